//! One of the three parties: its device, its keys, its settings, and the state of its task.

#[cfg(feature = "seeded")]
use super::observe::{Mutation, Seen};
use super::{
    credit::CreditWindow,
    keys::Keys,
    meter::Meter,
    network::Net,
    state::State,
    store::Shared,
    watch::{Ended, Span},
};
use crate::{Error, Result, clock, device::Device};
use std::{
    any::Any,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Role of a party in a run: it follows from its number and the lead's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Only sends: knows `A = x_0 + x_1`, components counted from the lead.
    Lead,
    /// Holds components 1 and 2, knows `B = x_2`; draws what the lead deals.
    First,
    /// Holds components 2 and 0, knows `B = x_2`; receives what the lead deals.
    Second,
}

impl Role {
    /// The role of a party under a lead.
    pub(super) fn of(party: usize, lead: usize) -> Self {
        match (party + 3 - lead) % 3 {
            0 => Self::Lead,
            1 => Self::First,
            _ => Self::Second,
        }
    }
}

/// One of the three parties: its device, its keys, and the state of its task.
pub struct Party {
    pub(super) number: usize,
    pub(super) device: Device,
    pub(super) keys: Keys,
    fraction_bits: u32,
    shared: Shared,
    state: Mutex<State>,
}

impl Party {
    /// A party with its keys. All three must agree on `fraction_bits`.
    pub fn new(number: usize, device: Device, keys: Keys, fraction_bits: u32) -> Self {
        assert!(number < 3, "there are three parties");
        let state = Mutex::new(State::new(&keys));
        Self { number, device, keys, fraction_bits, shared: Shared::default(), state }
    }

    /// The same party with other keys and nothing under way: for another run beside this one.
    pub fn beside(&self, keys: Keys) -> Self {
        let other = Self { shared: self.shared.clone(), ..Self::new(self.number, self.device.clone(), keys, self.fraction_bits) };
        {
            let (own, mut state) = (self.lock(), other.lock());
            (state.settings, state.net) = (own.settings.clone(), own.net);
            state.windows = std::array::from_fn(|i| own.windows[i].like());
        }
        other
    }

    /// Three parties of one process, with fresh keys from the operating system.
    pub fn local(devices: [Device; 3], fraction_bits: u32) -> Result<[Self; 3]> {
        Ok(Self::with_keys(devices, fraction_bits, Keys::generate()?))
    }

    /// Three parties whose masks follow from a number: for tests that compare devices bit for bit, and for nothing else.
    #[cfg(feature = "seeded")]
    pub fn local_seeded(devices: [Device; 3], fraction_bits: u32, seed: u64) -> [Self; 3] {
        Self::with_keys(devices, fraction_bits, Keys::seeded([seed, seed ^ 1 << 32, seed ^ 2 << 32]))
    }

    /// As [`local_seeded`](Self::local_seeded), one seed a component: for tests that change one key and watch the others' views.
    #[cfg(feature = "seeded")]
    pub fn local_with_component_seeds(devices: [Device; 3], fraction_bits: u32, seeds: [u64; 3]) -> [Self; 3] {
        Self::with_keys(devices, fraction_bits, Keys::seeded(seeds))
    }

    fn with_keys([a, b, c]: [Device; 3], fraction_bits: u32, [keys_a, keys_b, keys_c]: [Keys; 3]) -> [Self; 3] {
        let party = |number, device, keys| Self::new(number, device, keys, fraction_bits);
        [party(0, a, keys_a), party(1, b, keys_b), party(2, c, keys_c)]
    }

    /// 0, 1 or 2.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Where this party computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Fraction bits of fixed-point values.
    pub fn fraction_bits(&self) -> u32 {
        self.fraction_bits
    }

    /// The party that leads in the current scope.
    pub fn lead(&self) -> usize {
        self.lock().scope.lead
    }

    /// Bits of two's complement that hold what is compared in the current scope: 64 unless a tag says fewer.
    pub fn range_bits(&self) -> u32 {
        self.lock().scope.range_bits
    }

    /// The role in the current scope.
    pub fn role(&self) -> Role {
        Role::of(self.number, self.lead())
    }

    /// Costs since the party was made or since the last [`reset_meter`](Self::reset_meter).
    pub fn meter(&self) -> Meter {
        self.lock().meter.clone()
    }

    /// Starts counting anew.
    pub fn reset_meter(&self) {
        self.lock().meter = Meter::default();
    }

    /// The most bytes that the lead may have dealt to a peer and that the peer has not yet taken; all parties agree.
    pub fn set_window(&self, bytes: u64) {
        self.lock().windows = std::array::from_fn(|_| CreditWindow::new(bytes));
    }

    /// The most bytes of messages of a peer that may wait here: with more the run ends. It must hold the window and the
    /// largest message; no bound unless it is set.
    pub fn set_most_waiting(&self, bytes: u64) {
        self.lock().most_waiting = bytes;
    }

    /// Tells the figures of the network between the parties to protocols that choose by them; public and the same at all. None in
    /// one process. A shaped transport brings its own.
    pub fn set_net(&self, net: Option<Net>) {
        self.lock().net = net;
    }

    /// The network between the parties.
    pub fn net(&self) -> Option<Net> {
        let state = self.lock();
        state.shaped.or(state.net)
    }

    /// Keeps the spans of each layer from now on, or no longer.
    pub fn keep_spans(&self, keep: bool) {
        self.lock().watch.spans = keep.then(Vec::new);
    }

    /// The spans kept so far; keeping goes on. On a GPU they are those of recording work and of waiting for it.
    pub fn take_spans(&self) -> Vec<Span> {
        self.lock().watch.spans.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Calls back whenever this party has ended a layer.
    pub fn on_layer(&self, ended: Option<Ended>) {
        self.lock().watch.ended = ended;
    }

    /// When a turn of a layer begins, if anyone wants to know.
    pub(super) fn turn_begins(&self) -> Option<f64> {
        self.lock().watch.spans.is_some().then(clock::now)
    }

    pub(super) fn turn_ends(&self, layer: u16, began: f64) {
        let ended = clock::now();
        self.lock().watch.note(layer, [began, ended]);
    }

    pub(super) fn layer_ends(&self, layer: u16, clocks: (u32, u32)) {
        let ended = {
            let mut state = self.lock();
            state.meter.layers.insert(layer, clocks);
            state.watch.ended.clone()
        };
        if let Some(ended) = ended {
            ended(layer);
        }
    }

    /// Whether the lead's part of this run is done before the others'.
    pub(crate) fn preprocessed(&self) -> bool {
        self.lock().preprocessed
    }

    /// A value that a protocol keeps with the party and those beside it, made at first use.
    pub(crate) fn shared<T: Default + Any + Send + Sync>(&self) -> Arc<T> {
        self.shared.get()
    }

    /// Makes a public choice of a protocol, the same at all parties.
    pub(crate) fn set<T: Any + Send + Sync>(&self, setting: T) {
        self.lock().settings.set(setting);
    }

    /// The public choice of this type, its default unless it was made.
    pub(crate) fn setting<T: Copy + Default + Any>(&self) -> T {
        self.lock().settings.get()
    }

    /// Counts a way that a protocol has chosen.
    pub(crate) fn note_choice(&self, way: &'static str) {
        *self.lock().meter.choices.entry(way).or_default() += 1;
    }

    /// Records a failure; the driver drops the task and returns it.
    pub(crate) fn fail(&self, error: Error) {
        self.lock().failed.get_or_insert(error);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "seeded")]
impl Party {
    /// Keeps every message that comes in from now on.
    pub fn watch(&self) {
        self.lock().observed.seen = Some(Vec::new());
    }

    /// Messages that have come in since [`watch`](Self::watch), in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().observed.seen.clone().unwrap_or_default()
    }

    /// Changes streams from now on, one mutation after the other.
    pub fn mutate(&self, mutations: &[Mutation]) {
        self.lock().observed.mutations = mutations.to_vec();
    }
}

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Party {} on {}", self.number, self.device.name())
    }
}
