//! The pair's side of a deal: the same words, drawn by one and received by the other.

use crate::{
    device::{Arg, Buffer},
    stream::Stream,
};

/// Halves of what the lead has dealt: `STREAMS` streams at the first of the pair, which knows the key that the lead masked
/// with, and `MESSAGES` messages at the second.
#[derive(Debug, Clone)]
pub enum Dealt<const MESSAGES: usize, const STREAMS: usize> {
    /// The first of the pair draws them.
    Drawn([Stream; STREAMS]),
    /// The second has received them.
    Received([Buffer; MESSAGES]),
}

impl<const MESSAGES: usize, const STREAMS: usize> Dealt<MESSAGES, STREAMS> {
    /// 1 if the words are drawn, 0 if they are read: for the kernel's parameters.
    pub(super) fn drawn(&self) -> u32 {
        matches!(self, Self::Drawn(_)).into()
    }

    /// The streams, or empty ones where nothing is drawn: for the kernel's parameters.
    pub(super) fn streams(&self) -> [Stream; STREAMS] {
        match self {
            Self::Drawn(streams) => *streams,
            Self::Received(_) => [Stream::default(); STREAMS],
        }
    }

    /// Message `index` as an input of which each item reads `per_item` words; `unused` is bound where nothing is read.
    pub(super) fn input<'a>(&'a self, index: usize, per_item: usize, unused: Arg<'a>) -> Arg<'a> {
        match self {
            Self::Drawn(_) => unused,
            Self::Received(messages) => messages[index].each(per_item),
        }
    }
}
