//! Tests of privacy alone (feature `seeded`): messages that a party has seen, and masks broken on purpose.

use super::{label::Label, message::Message};
use crate::device::Buffer;

/// A message that a party has received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The op that sent it.
    pub label: Label,
    /// The message among those of its op.
    pub purpose: u8,
    /// The words.
    pub payload: Buffer,
}

/// A stream changed on purpose, at all parties alike: the tests of privacy must notice a broken one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The stream of this op's purpose comes from a public key.
    Public(Label, u8),
    /// The first purpose of this op's streams is used for the second too.
    Same(Label, u8, u8),
    /// Nothing is broken: the stream of this op's purpose and component comes from another secret key.
    Rekeyed(Label, u8, usize),
}

/// A purpose that no op has.
const PUBLIC: u8 = u8::MAX;

/// Messages that have come in, once they are watched, and the mutations of streams.
#[derive(Default)]
pub(super) struct Observed {
    pub(super) seen: Option<Vec<Seen>>,
    pub(super) mutations: Vec<Mutation>,
}

impl Observed {
    pub(super) fn note(&mut self, message: &Message) {
        if let Some(seen) = &mut self.seen {
            seen.push(Seen { label: message.label, purpose: message.name.purpose, payload: message.payload.clone() });
        }
    }

    /// The purpose and key that a stream really gets.
    pub(super) fn stream(&self, label: Label, component: usize, purpose: u8, key: [u32; 8]) -> (u8, [u32; 8]) {
        self.mutations.iter().fold((purpose, key), |(purpose, key), mutation| match *mutation {
            Mutation::Public(l, p) if (l, p) == (label, purpose) => (PUBLIC, [1; 8]),
            Mutation::Same(l, one, other) if (l, other) == (label, purpose) => (one, key),
            Mutation::Rekeyed(l, p, c) if (l, p, c) == (label, purpose, component) => (purpose, key.map(|word| !word)),
            _ => (purpose, key),
        })
    }
}
