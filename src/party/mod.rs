//! The only place where sharing meets the network: parties, ops, joins, rounds, costs.
//!
//! Protocol code is plain `async fn` over `&Party`. An [`Op`] takes a structural number; what it sends lies in the outbox
//! until the party's whole task is blocked; then everything goes out in one frame a peer. Messages are matched by name, the
//! name also keys the masks, and the number of rounds is the longest chain of messages (docs/architecture.md).

mod ahead;
mod cell;
mod join;
mod keys;
mod local;
mod message;
mod meter;
#[cfg(feature = "seeded")]
mod observe;
mod op;
mod remote;
mod scope;
mod shaped;
mod watch;
mod window;

pub use ahead::{Ahead, ahead, run_prepared};
pub use cell::Cell;
pub use join::{join, join_all, tagged};
pub use keys::Keys;
pub use local::{Link, run};
pub use message::{Label, MESSAGE_HEADER, Message, Name};
pub use meter::{Cost, Meter, Signs};
#[cfg(feature = "seeded")]
pub use observe::{Mutation, Seen};
pub use op::{Deal, Op, Receive};
pub use remote::{Expected, Progress, Remote};
pub use scope::Tag;
pub use shaped::Net;
pub use watch::{Ended, Span};

use crate::{
    Error, Result,
    device::{Device, Growing},
    kernels::{
        bits::Compiled,
        circuit::{self, Tree},
    },
};
use scope::Scope;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use window::Window;

/// What a party is in a run: it follows from its number and the lead's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Only sends: knows `A = x_0 + x_1`, components counted from the lead.
    Lead,
    /// Holds components 1 and 2, knows `B = x_2`; draws what the lead deals.
    First,
    /// Holds components 2 and 0, knows `B = x_2`; receives what the lead deals.
    Second,
}

/// One of the three parties: its device, its keys, and the state of its task.
pub struct Party {
    number: usize,
    device: Device,
    keys: Keys,
    fraction_bits: u32,
    circuits: Circuits,
    state: Mutex<State>,
}

/// Compiled once a device and a role; siblings share them.
type Circuits = Arc<Mutex<HashMap<(Circuit, bool), Arc<Steps>>>>;

/// A compiled circuit of one role on this party's device.
#[derive(Debug)]
pub struct Steps {
    /// One step a level; outputs are dealt or swapped.
    pub levels: Vec<Compiled>,
    /// After the last swap.
    pub finish: Compiled,
}

/// Which circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Circuit {
    /// `[x >= 0]` of values of so many bits.
    Nonnegative(Tree, u32),
    /// All 64 bits.
    AllBits,
    /// The top bit under a mask: the pair's end of a short sign.
    Direction,
}

/// How signs are computed: public, and the same at all parties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Sign {
    /// A tree of six rounds a ReLU, with the fewest bits.
    Six,
    /// A tree of five rounds a ReLU.
    Five,
    /// Four rounds a ReLU, twice the bits, many times the computing.
    Short,
    /// What ends first for the size of the tensor and the network between the parties.
    #[default]
    Auto,
}

pub(crate) struct State {
    scope: Scope,
    runs: u64,
    outbox: [Vec<Message>; 3],
    /// By sender and name.
    inbox: HashMap<(usize, Name), Message>,
    /// Room at each peer for what is dealt; and what was taken of what each peer dealt.
    windows: [Window; 3],
    taken: [u64; 3],
    /// Messages of which a part has come, by sender and name.
    parts: HashMap<(usize, Name), Growing>,
    /// Bytes of messages of each peer that nobody has awaited yet, and how many there may be.
    waiting: [u64; 3],
    most_waiting: u64,
    waits: Vec<String>,
    yielded: bool,
    failed: Option<Error>,
    meter: Meter,
    used: HashSet<(usize, Name)>,
    #[cfg(feature = "seeded")]
    observed: observe::Observed,
    sign: Sign,
    /// The network that the caller has told of, and that of a shaped link while it runs.
    net: Option<Net>,
    shaped: Option<Net>,
    /// The lead's part of the run is done beforehand.
    prepared: bool,
    watch: watch::Watch,
}

impl Party {
    /// A party with its keys. All three must agree on `fraction_bits`.
    pub fn new(number: usize, device: Device, keys: Keys, fraction_bits: u32) -> Self {
        assert!(number < 3, "there are three parties");
        let scope = Scope::root(&keys, 0);
        let state = State {
            scope,
            runs: 0,
            outbox: Default::default(),
            inbox: HashMap::new(),
            windows: std::array::from_fn(|_| Window::new(WINDOW)),
            taken: [0; 3],
            parts: HashMap::new(),
            waiting: [0; 3],
            most_waiting: u64::MAX,
            waits: Vec::new(),
            yielded: false,
            failed: None,
            meter: Meter::default(),
            used: HashSet::new(),
            #[cfg(feature = "seeded")]
            observed: Default::default(),
            sign: Sign::default(),
            net: None,
            shaped: None,
            prepared: false,
            watch: Default::default(),
        };
        Self { number, device, keys, fraction_bits, circuits: Circuits::default(), state: Mutex::new(state) }
    }

    /// The same party with other keys and nothing under way: for another run beside this one.
    pub fn beside(&self, keys: Keys) -> Self {
        let other = Self { circuits: self.circuits.clone(), ..Self::new(self.number, self.device.clone(), keys, self.fraction_bits) };
        {
            let (own, mut state) = (self.lock(), other.lock());
            (state.sign, state.net) = (own.sign, own.net);
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

    fn with_keys(devices: [Device; 3], fraction_bits: u32, keys: [Keys; 3]) -> [Self; 3] {
        let mut number = 0;
        let mut devices = devices.into_iter();
        keys.map(|keys| {
            let device = devices.next().unwrap_or_else(Device::dry);
            number += 1;
            Self::new(number - 1, device, keys, fraction_bits)
        })
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
        match (self.number + 3 - self.lead()) % 3 {
            0 => Role::Lead,
            1 => Role::First,
            _ => Role::Second,
        }
    }

    /// Starts an op: it takes the next number of the current scope.
    pub fn op(&self, label: Label) -> Op<'_> {
        Op::start(self, label)
    }

    /// What the party has spent since it was made or since the last [`reset_meter`](Self::reset_meter).
    pub fn meter(&self) -> Meter {
        self.lock().meter.clone()
    }

    /// Starts counting anew.
    pub fn reset_meter(&self) {
        self.lock().meter = Meter::default();
    }

    /// The most bytes that the lead may have dealt to a peer and that the peer has not yet taken; all parties agree.
    pub fn set_window(&self, bytes: u64) {
        self.lock().windows = std::array::from_fn(|_| Window::new(bytes));
    }

    /// The most bytes of messages of a peer that may wait here: with more the run ends. It must hold the window and the
    /// largest message; no bound unless it is set.
    pub fn set_most_waiting(&self, bytes: u64) {
        self.lock().most_waiting = bytes;
    }

    /// How signs are computed, public and the same at all parties.
    pub fn set_sign(&self, sign: Sign) {
        self.lock().sign = sign;
    }

    /// How signs are computed.
    pub fn sign(&self) -> Sign {
        self.lock().sign
    }

    /// The network between the parties as [`Sign::Auto`] is to see it, public and the same at all; none in one process. A
    /// shaped link brings its own.
    pub fn set_net(&self, net: Option<Net>) {
        self.lock().net = net;
    }

    /// The network between the parties.
    pub fn net(&self) -> Option<Net> {
        let state = self.lock();
        state.shaped.or(state.net)
    }

    /// Whether the lead's part of this run is done before the others'.
    pub(crate) fn prepared(&self) -> bool {
        self.lock().prepared
    }

    /// Counts a sign by a tree, or a short one.
    pub(crate) fn note_sign(&self, tree: Option<Tree>) {
        let signs = &mut self.lock().meter.signs;
        *match tree {
            Some(Tree::Six) => &mut signs.six,
            Some(Tree::Five) => &mut signs.five,
            None => &mut signs.short,
        } += 1;
    }

    /// A circuit as this party's role runs it, compiled once.
    pub(crate) fn circuit(&self, which: Circuit) -> Arc<Steps> {
        let lead = self.role() == Role::Lead;
        let mut circuits = self.circuits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(steps) = circuits.get(&(which, lead)) {
            return steps.clone();
        }
        let circuit = match which {
            Circuit::Nonnegative(tree, bits) => circuit::nonnegative(tree, bits),
            Circuit::AllBits => circuit::all_bits(),
            Circuit::Direction => circuit::masked_top(),
        };
        let side = |level: circuit::Level| Compiled::new(&self.device, if lead { level.lead } else { level.pair });
        let steps = Arc::new(Steps { levels: circuit.levels.into_iter().map(side).collect(), finish: side(circuit.finish) });
        circuits.insert((which, lead), steps.clone());
        steps
    }

    /// Records a failure; the driver drops the task and returns it.
    pub(crate) fn fail(&self, error: Error) {
        self.lock().failed.get_or_insert(error);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may be dealt and not yet taken, in bytes a receiver, unless set otherwise.
pub const WINDOW: u64 = 1 << 30;

impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Party {} on {}", self.number, self.device.name())
    }
}
