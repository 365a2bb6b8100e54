//! For tests of privacy alone (feature `seeded`): what a party has seen, and masks broken on purpose.

use super::{Label, Message, Party};
use crate::device::Buffer;

/// A message that a party has received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which op sent it.
    pub label: Label,
    /// Which of the op's messages.
    pub purpose: u8,
    /// The words.
    pub payload: Buffer,
}

/// A mask broken on purpose, at all parties alike: the tests of privacy must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The stream of this op's purpose comes from a public key.
    Public(Label, u8),
    /// The first purpose of this op's streams is used for the second too.
    Same(Label, u8, u8),
}

#[derive(Default)]
pub(super) struct Observed {
    seen: Option<Vec<Seen>>,
    mutation: Option<Mutation>,
}

impl Observed {
    pub(super) fn note(&mut self, message: &Message) {
        if let Some(seen) = &mut self.seen {
            seen.push(Seen { label: message.label, purpose: message.name.purpose, payload: message.payload.clone() });
        }
    }

    /// The purpose and key that a stream really gets.
    pub(super) fn stream(&self, label: Label, purpose: u8, key: [u32; 8]) -> (u8, [u32; 8]) {
        match self.mutation {
            Some(Mutation::Public(l, p)) if (l, p) == (label, purpose) => (purpose, [1; 8]),
            Some(Mutation::Same(l, one, other)) if (l, other) == (label, purpose) => (one, key),
            _ => (purpose, key),
        }
    }
}

impl Party {
    /// Keeps every message that comes in from now on.
    pub fn watch(&self) {
        self.lock().observed.seen = Some(Vec::new());
    }

    /// What has come in since [`watch`](Self::watch), in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().observed.seen.clone().unwrap_or_default()
    }

    /// Breaks a mask, or none.
    pub fn mutate(&self, mutation: Option<Mutation>) {
        self.lock().observed.mutation = mutation;
    }
}
