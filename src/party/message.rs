//! Messages by name, and their form as bytes.

use crate::{
    Error, Result,
    device::{Buffer, Device},
};
use zeroize::Zeroizing;

/// What an op does: the label of its costs and of errors. It travels as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Label {
    /// Shares of a party's own value.
    Input,
    /// Opening to all.
    Open,
    /// Revealing to an owner outside.
    Reveal,
    /// A local product made a share.
    Reshare,
    /// A local product made a split value.
    Split,
    /// Elementwise product.
    Product,
    /// Matrix product.
    Matmul,
    /// Convolution.
    Convolution,
    /// Truncation.
    Truncation,
    /// Sign, by a tree.
    Sign,
    /// Sign, in two rounds.
    ShortSign,
    /// All bits.
    Bits,
    /// Bit times word.
    Injection,
    /// Truncation and ReLU in one.
    Activation,
    /// A test's own op.
    Test,
}

impl Label {
    const ALL: [Label; 15] = {
        use Label::*;
        [Input, Open, Reveal, Reshare, Split, Product, Matmul, Convolution, Truncation, Sign, ShortSign, Bits, Injection, Activation, Test]
    };

    fn of(number: u8) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", format!("{self:?}").to_lowercase())
    }
}

/// A message's name: scope path, op number, purpose. The same name keys the masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name {
    /// The scope's path.
    pub path: u128,
    /// The op's number in its scope.
    pub op: u32,
    /// Which of the op's messages.
    pub purpose: u8,
}

/// A masked tensor on its way.
#[derive(Debug)]
pub struct Message {
    /// Its name.
    pub name: Name,
    /// Who made it, for costs and errors.
    pub label: Label,
    /// Layer of the network, or `u16::MAX`.
    pub layer: u16,
    /// Round in which it arrives: one more than the sender's clock.
    pub round: u32,
    /// When it was sent, by the sender's clock. It does not travel.
    pub sent: f64,
    /// The words.
    pub payload: Buffer,
}

/// Bytes of a frame's header: magic, number of messages, credit.
pub const FRAME_HEADER: u64 = 16;
/// Bytes of a message's header: path, op, purpose, label, layer, round, words.
pub const MESSAGE_HEADER: u64 = 32;

const MAGIC: u32 = u32::from_le_bytes(*b"TS3\x01");

/// One exchange to one peer.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) credit: u64,
    pub(super) messages: Vec<Message>,
}

impl Frame {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.credit == 0
    }

    pub(super) fn bytes(&self) -> u64 {
        FRAME_HEADER + self.messages.iter().map(Message::bytes).sum::<u64>()
    }
}

impl Message {
    /// Bytes on the wire, header included.
    pub fn bytes(&self) -> u64 {
        MESSAGE_HEADER + self.payload.len() as u64 * 8
    }
}

/// A message that came as bytes: words not yet on a device.
pub(super) struct Parsed<'a> {
    pub(super) name: Name,
    pub(super) label: Label,
    pub(super) layer: u16,
    pub(super) round: u32,
    pub(super) words: &'a [u8],
}

/// The frame as bytes, allocated once and wiped; payloads are copied to it from the device, once.
pub(super) async fn encode(frame: &Frame, device: &Device) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; frame.bytes() as usize]);
    let (head, mut rest) = bytes.split_at_mut(FRAME_HEADER as usize);
    fill(head, &[&MAGIC.to_le_bytes(), &(frame.messages.len() as u32).to_le_bytes(), &frame.credit.to_le_bytes()]);
    let mut places = Vec::new();
    for Message { name, label, layer, round, payload, .. } in &frame.messages {
        let (head, tail) = std::mem::take(&mut rest).split_at_mut(MESSAGE_HEADER as usize);
        let kind = [name.purpose, *label as u8];
        let words = (payload.len() as u32).to_le_bytes();
        fill(head, &[&name.path.to_le_bytes(), &name.op.to_le_bytes(), &kind, &layer.to_le_bytes(), &round.to_le_bytes(), &words]);
        let (place, tail) = tail.split_at_mut(8 * payload.len());
        places.push(place);
        rest = tail;
    }
    let payloads: Vec<&Buffer> = frame.messages.iter().map(|message| &message.payload).collect();
    device.download_to(&payloads, places).await?;
    Ok(bytes)
}

/// Puts one part after another.
fn fill(mut to: &mut [u8], parts: &[&[u8]]) {
    for part in parts {
        let (head, tail) = to.split_at_mut(part.len());
        head.copy_from_slice(part);
        to = tail;
    }
}

/// Parses a frame: credit and messages. Nothing is trusted, nothing is allocated by a length that the bytes do not cover.
pub(super) fn decode(bytes: &[u8]) -> Result<(u64, Vec<Parsed<'_>>)> {
    let bad = |what: &str| Error::OutOfStep(format!("a frame {what}"));
    let mut rest = bytes;
    let mut take = |n: usize| -> Result<&[u8]> {
        let (head, tail) = rest.split_at_checked(n).ok_or_else(|| bad("is too short"))?;
        rest = tail;
        Ok(head)
    };
    if number(take(4)?) != u128::from(MAGIC) {
        return Err(bad("does not begin as one of this version"));
    }
    let count = number(take(4)?) as u32;
    let credit = number(take(8)?) as u64;
    let mut messages = Vec::new();
    for _ in 0..count {
        let path = number(take(16)?);
        let op = number(take(4)?) as u32;
        let kind = take(2)?;
        let (purpose, label) = (kind[0], Label::of(kind[1]).ok_or_else(|| bad("has a message with an unknown label"))?);
        let layer = number(take(2)?) as u16;
        let round = number(take(4)?) as u32;
        let words = (number(take(4)?) as usize).checked_mul(8).ok_or_else(|| bad("has a message that is too long"))?;
        messages.push(Parsed { name: Name { path, op, purpose }, label, layer, round, words: take(words)? });
    }
    if !rest.is_empty() {
        return Err(bad("is longer than its messages"));
    }
    Ok((credit, messages))
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |n, &b| n << 8 | u128::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
            let mut bytes = bytes;
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            }
            let _ = decode(&bytes);
        }
    }
}
