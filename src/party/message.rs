//! Messages by name, and their form as bytes.

use super::label::{LABELS, Label};
use crate::{
    Error, Result,
    device::{Buffer, Device},
};
use zeroize::Zeroizing;

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
    /// The op that made it, for costs and errors.
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
/// Rounds that a run may have: clocks that follow a peer's stay far from the largest number.
const MOST_ROUNDS: u32 = 1 << 30;

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

/// A message that came as bytes, or a part of one: words not yet on a device.
pub(super) struct Parsed<'a> {
    pub(super) name: Name,
    pub(super) label: Label,
    pub(super) layer: u16,
    pub(super) round: u32,
    pub(super) part: Part,
    pub(super) words: &'a [u8],
}

/// Which words of a message these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Index of the first one.
    pub(super) first: u64,
    /// Words of the whole message.
    pub(super) of: u64,
}

/// Beside a label: the head goes on with the index of the first word and the number of all, eight bytes each.
const PARTIAL: u8 = LABELS;

/// Bytes that say which part it is.
const PART_HEADER: usize = 16;

/// Bytes of a part at most: a head counts its words in 32 bits.
const LARGEST_PART: usize = u32::MAX as usize;

/// The frame as bytes, handed out in frames of about `most` bytes as they are made: a message that is larger goes in parts. Their
/// heads are not in [`Frame::bytes`]. Payloads are copied once, from where they lie.
pub(super) async fn encode(frame: &Frame, device: &Device, most: usize, send: &mut (dyn FnMut(Zeroizing<Vec<u8>>) + Send)) -> Result<()> {
    let payloads: Vec<&Buffer> = frame.messages.iter().map(|message| &message.payload).collect();
    let most = most.min(LARGEST_PART);
    let mut writer = Writer { frame, most, left: frame.bytes() as usize, bytes: Zeroizing::default(), count: 0, first: true };
    writer.begin();
    device.read(&payloads, &mut |i, first, bytes| writer.write(i, first, bytes, send)).await?;
    writer.end(send);
    Ok(())
}

/// Makes frames of the payloads as they come.
struct Writer<'a> {
    frame: &'a Frame,
    most: usize,
    /// Bytes that are still to come, at least.
    left: usize,
    bytes: Zeroizing<Vec<u8>>,
    /// Messages in `bytes`.
    count: u32,
    /// The credit goes with the first frame.
    first: bool,
}

impl Writer<'_> {
    fn begin(&mut self) {
        // never grows: what it left would not be wiped
        self.bytes = Zeroizing::new(Vec::with_capacity(self.left.min(self.most) + 2 * (MESSAGE_HEADER as usize + PART_HEADER)));
        self.bytes.extend(MAGIC.to_le_bytes());
        self.bytes.extend(0u32.to_le_bytes());
        self.bytes.extend(if std::mem::take(&mut self.first) { self.frame.credit } else { 0 }.to_le_bytes());
        self.count = 0;
    }

    fn end(&mut self, send: &mut (dyn FnMut(Zeroizing<Vec<u8>>) + Send)) {
        self.bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        send(std::mem::take(&mut self.bytes));
    }

    /// Words of a message, from `first` on.
    fn write(&mut self, message: usize, mut first: usize, mut words: &[u8], send: &mut (dyn FnMut(Zeroizing<Vec<u8>>) + Send)) {
        let Message { name, label, layer, round, payload, .. } = &self.frame.messages[message];
        while !words.is_empty() {
            let space = self.most.saturating_sub(self.bytes.len() + MESSAGE_HEADER as usize + PART_HEADER) & !7;
            if space < words.len() && self.count > 0 {
                self.end(send);
                self.begin();
                continue;
            }
            let (part, rest) = words.split_at(words.len().min(space.max(8)));
            let whole = part.len() == 8 * payload.len();
            self.bytes.extend(name.path.to_le_bytes());
            self.bytes.extend(name.op.to_le_bytes());
            self.bytes.extend([name.purpose, label.number() | if whole { 0 } else { PARTIAL }]);
            self.bytes.extend(layer.to_le_bytes());
            self.bytes.extend(round.to_le_bytes());
            self.bytes.extend(((part.len() / 8) as u32).to_le_bytes());
            if !whole {
                self.bytes.extend((first as u64).to_le_bytes());
                self.bytes.extend((payload.len() as u64).to_le_bytes());
            }
            self.bytes.extend_from_slice(part);
            self.count += 1;
            self.left = self.left.saturating_sub(part.len());
            (words, first) = (rest, first + part.len() / 8);
        }
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
        let label = Label::received(kind[1] & !PARTIAL);
        let layer = number(take(2)?) as u16;
        let round = number(take(4)?) as u32;
        if round > MOST_ROUNDS {
            return Err(bad("of a round that no run has"));
        }
        let words = number(take(4)?) as u64;
        let part = match kind[1] & PARTIAL {
            0 => Part { first: 0, of: words },
            _ => Part { first: number(take(8)?) as u64, of: number(take(8)?) as u64 },
        };
        if words == 0 || part.first.checked_add(words).is_none_or(|end| end > part.of) {
            return Err(bad("has a part of a message that is no part of it"));
        }
        let words =
            usize::try_from(words).ok().and_then(|words| words.checked_mul(8)).ok_or_else(|| bad("has a message that is too long"))?;
        let name = Name { path, op, purpose: kind[0] };
        messages.push(Parsed { name, label, layer, round, part, words: take(words)? });
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

    const SPLIT: Label = Label::new(4, "split");

    proptest! {
        #[test]
        fn hostile_bytes_are_errors(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
            let mut bytes = bytes;
            if magic && bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
            }
            let _ = decode(&bytes);
        }

        #[test]
        fn frames_come_back_in_parts(lengths in proptest::collection::vec(1..200usize, 0..6), most in 0..2000usize, credit in any::<u64>()) {
            let device = Device::cpu(1).unwrap();
            let words = |i: usize| (0..lengths[i] as u64).map(|word| word << 32 | i as u64).collect::<Vec<u64>>();
            let message = |i: usize| Message {
                name: Name { path: i as u128, op: 7, purpose: 3 },
                label: SPLIT,
                layer: 9,
                round: 5,
                sent: 0.0,
                payload: device.upload(&words(i)),
            };
            let frame = Frame { credit, messages: (0..lengths.len()).map(message).collect() };
            let mut sent = Vec::new();
            pollster::block_on(encode(&frame, &device, most, &mut |bytes| sent.push(bytes))).unwrap();
            let mut came = vec![Vec::new(); lengths.len()];
            let mut credits = Vec::new();
            for bytes in &sent {
                prop_assert!(bytes.len() <= most.max(16 + 32 + 16 + 8) || sent.len() == 1 && lengths.is_empty());
                let (credit, messages) = decode(bytes).unwrap();
                credits.push(credit);
                for Parsed { name, label, layer, round, part, words } in messages {
                    prop_assert_eq!((name.op, name.purpose, label, layer, round), (7, 3, SPLIT, 9, 5));
                    let message = name.path as usize;
                    prop_assert_eq!((part.first, part.of), (came[message].len() as u64, lengths[message] as u64));
                    came[message].extend(words.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())));
                }
            }
            prop_assert_eq!(credits[0], credit);
            prop_assert!(credits[1..].iter().all(|&credit| credit == 0));
            for (i, came) in came.into_iter().enumerate() {
                prop_assert_eq!(came, words(i));
            }
            let mut whole = Vec::new();
            pollster::block_on(encode(&frame, &device, usize::MAX, &mut |bytes| whole.push(bytes))).unwrap();
            prop_assert_eq!((whole.len(), whole[0].len() as u64), (1, frame.bytes()));
        }
    }

    #[test]
    fn a_round_that_no_run_has_is_an_error() {
        let device = Device::cpu(1).unwrap();
        for (round, fits) in [(0, true), (MOST_ROUNDS, true), (MOST_ROUNDS + 1, false), (u32::MAX, false)] {
            let payload = device.upload(&[1]);
            let message = Message { name: Name { path: 1, op: 0, purpose: 0 }, label: SPLIT, layer: 0, round, sent: 0.0, payload };
            let mut sent = Vec::new();
            let frame = Frame { credit: 0, messages: vec![message] };
            pollster::block_on(encode(&frame, &device, usize::MAX, &mut |bytes| sent.push(bytes))).unwrap();
            assert_eq!(decode(&sent[0]).is_ok(), fits, "round {round}");
        }
    }
}
