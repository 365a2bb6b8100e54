//! Ops: a structural number, pads, and the futures that send and wait.

use super::{
    label::Label,
    message::{Message, Name},
    party::{Party, Role},
};
use crate::{
    Error, clock,
    device::{Buffer, Device},
    kernels::{Masked, Pad},
    stream::Stream,
};
use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};
use zeroize::Zeroizing;

/// A step of a protocol. Components are counted from the lead: the lead holds 0 and 1, the first of the pair 1 and 2, the
/// second 2 and 0.
pub struct Op<'p> {
    party: &'p Party,
    path: u128,
    number: u32,
    label: Label,
    lead: usize,
    keys: Zeroizing<[[u32; 8]; 2]>,
}

/// The first of the purposes that no op uses: kept for messages that will verify others.
pub const VERIFICATION: u8 = 192;

impl Party {
    /// Starts an op: it takes the next number of the current scope.
    pub fn op(&self, label: Label) -> Op<'_> {
        let mut state = self.lock();
        let scope = &mut state.scope;
        let number = scope.ops;
        scope.ops += 1;
        Op { party: self, path: scope.path, number, label, lead: scope.lead, keys: scope.keys.clone() }
    }
}

impl<'p> Op<'p> {
    /// The party.
    pub fn party(&self) -> &'p Party {
        self.party
    }

    /// Where to compute.
    pub fn device(&self) -> &'p Device {
        &self.party.device
    }

    /// This party's role in the op.
    pub fn role(&self) -> Role {
        Role::of(self.party.number, self.lead)
    }

    /// A split value belongs to the lead under which it was split: an op under another would show it to the pair.
    pub(crate) fn led_by(&self, lead: usize) {
        if lead != self.lead {
            let (label, now) = (self.label, self.lead);
            self.party.fail(Error::Misuse(format!("{label}: the value was split under party {lead}, but party {now} leads here")));
        }
    }

    /// A fresh pad from the key of a component that this party holds.
    pub(crate) fn pad(&self, component: usize, purpose: u8) -> Pad {
        Pad::fresh(self.fresh(component, purpose))
    }

    /// The zero share of a local product: `F_i - F_{i+1}` sums to zero over the parties.
    pub(crate) fn zero_share(&self) -> [Stream; 2] {
        let component = self.role() as usize;
        [self.fresh(component, 0), self.fresh((component + 1) % 3, 0)]
    }

    /// A stream of which this party makes a mask, once.
    fn fresh(&self, component: usize, purpose: u8) -> Stream {
        if cfg!(feature = "seeded") && !self.party.lock().used.insert((component, self.name(purpose))) {
            self.party.fail(Error::Misuse(format!("{}: pad {purpose} of component {component} used twice", self.label)));
        }
        self.known(component, purpose)
    }

    /// The stream of a pad that this party knows: to draw what was dealt or masked with it.
    pub(crate) fn known(&self, component: usize, purpose: u8) -> Stream {
        let at = (component + self.lead + 3 - self.party.number) % 3;
        assert!(at < 2, "{}: party {} does not hold the key of component {component}", self.label, self.party.number);
        let key = self.keys[at];
        #[cfg(feature = "seeded")]
        let (purpose, key) = self.party.lock().observed.stream(self.label, component, purpose, key);
        Stream { key, nonce: [self.number, u32::from(purpose), 0, 0] }
    }

    fn name(&self, purpose: u8) -> Name {
        assert!(purpose < VERIFICATION, "{}: purpose {purpose} is kept for verification", self.label);
        Name { path: self.path, op: self.number, purpose }
    }

    /// Puts a message into the outbox for the party of this role. Only `protocol/reshare.rs` and `protocol/io.rs` send.
    pub(crate) fn send(&self, to: Role, purpose: u8, masked: &Masked) {
        let mut state = self.party.lock();
        let (round, layer) = (state.scope.clock + 1, state.scope.layer);
        let payload = masked.words().clone();
        let message = Message { name: self.name(purpose), label: self.label, layer, round, sent: clock::now(), payload };
        let to = (self.lead + to as usize) % 3;
        let cost = state.meter.by_label.entry((layer, self.label)).or_default();
        cost.messages += 1;
        cost.bytes += message.bytes();
        state.outbox[to].push(message);
    }

    /// Waits for a message of `words` words.
    pub(crate) fn receive(&self, from: Role, purpose: u8, words: usize) -> Receive<'p> {
        let from = (self.lead + from as usize) % 3;
        Receive { party: self.party, name: self.name(purpose), label: self.label, from, words, dealt: false }
    }

    /// Waits for a message that the lead has dealt; taking it gives the lead room.
    pub(crate) fn receive_dealt(&self, purpose: u8, words: usize) -> Receive<'p> {
        Receive { dealt: true, ..self.receive(Role::Lead, purpose, words) }
    }

    /// The lead's deal of `words` words in all: waits for room, then computes and sends, then ends the task's turn, so
    /// that the lead goes breadth-first over tasks, the order in which the pair consumes.
    pub(crate) fn deal<'a>(&self, words: usize, make: impl FnOnce() -> Vec<(u8, Masked)> + Send + 'a) -> Deal<'a>
    where
        'p: 'a,
    {
        let messages = words as u64 * 8;
        let op = Op { keys: self.keys.clone(), ..*self };
        Deal { op, bytes: messages, turn: None, make: Some(Box::new(make)), sent: false }
    }
}

impl std::fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Op({} {})", self.label, self.number)
    }
}

/// A message to come.
#[must_use = "a message that nobody awaits is an error at the end of the run"]
pub struct Receive<'p> {
    party: &'p Party,
    name: Name,
    label: Label,
    from: usize,
    words: usize,
    dealt: bool,
}

impl Future for Receive<'_> {
    type Output = Buffer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Buffer> {
        let mut state = self.party.lock();
        let Some(message) = state.inbox.remove(&(self.from, self.name)) else {
            state.wait(format!("{} waits for message {} of op {} from party {}", self.label, self.name.purpose, self.name.op, self.from));
            return Poll::Pending;
        };
        if message.payload.len() != self.words || message.label != self.label {
            let (label, from, got, words) = (self.label, self.from, message.payload.len(), self.words);
            state
                .failed
                .get_or_insert(Error::OutOfStep(format!("{label}: party {from} sent {got} words of {}, expected {words}", message.label)));
            return Poll::Pending;
        }
        state.scope.clock = state.scope.clock.max(message.round);
        state.waiting[self.from] = state.waiting[self.from].saturating_sub(8 * message.payload.len() as u64);
        if self.dealt {
            state.taken[self.from] += message.payload.len() as u64 * 8;
        }
        Poll::Ready(message.payload)
    }
}

type Make<'a> = Box<dyn FnOnce() -> Vec<(u8, Masked)> + Send + 'a>;

/// A deal under way.
#[must_use = "a deal sends when it is awaited"]
pub struct Deal<'a> {
    op: Op<'a>,
    bytes: u64,
    turn: Option<u64>,
    make: Option<Make<'a>>,
    sent: bool,
}

impl Future for Deal<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.sent {
            return Poll::Ready(());
        }
        let to = (self.op.lead + Role::Second as usize) % 3;
        {
            let mut state = self.op.party.lock();
            let turn = *self.turn.get_or_insert_with(|| state.windows[to].queue());
            if !state.windows[to].enter(turn, self.bytes) {
                state.wait(format!("{} waits for room at party {to}", self.op.label));
                return Poll::Pending;
            }
        }
        if let Some(make) = self.make.take() {
            for (purpose, masked) in make() {
                self.op.send(Role::Second, purpose, &masked);
            }
        }
        self.sent = true;
        let mut state = self.op.party.lock();
        state.wait(String::new());
        state.yielded = true;
        Poll::Pending
    }
}

/// Protocol futures can move between threads.
const _: fn() = || {
    fn send<T: Send>(_: PhantomData<T>) {}
    send(PhantomData::<(Receive<'_>, Deal<'_>, Op<'_>)>);
};
