//! A party's part in a run: its task turn by turn, frames out, messages in.

use super::{
    label::Label,
    message::{Frame, Message, Parsed},
    network::Net,
    party::Party,
    scope::Scope,
};
use crate::{Error, Result};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use zeroize::Zeroizing;

/// Outcome of polling a task once.
pub(super) enum Turn<T> {
    Done(T),
    /// The lead has dealt and goes on.
    Again,
    Blocked,
}

impl Party {
    /// Begins a run that has not been before at this party, or that its lead has prepared: its root scope, the network of a shaped
    /// transport, and whether the lead's part is done beforehand.
    pub(super) fn begin(&self, number: u64, shaped: Option<Net>, preprocessed: bool) {
        let scope = Scope::root(&self.keys, number);
        self.lock().begin(scope, number, shaped, preprocessed);
    }

    /// Polls the task once.
    pub(super) fn turn<F: Future + ?Sized>(&self, task: Pin<&mut F>) -> Result<Turn<F::Output>> {
        {
            let mut state = self.lock();
            state.scope.waiting = false;
            state.waits.clear();
            state.yielded = false;
        }
        let polled = task.poll(&mut Context::from_waker(Waker::noop()));
        let mut state = self.lock();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let clock = state.scope.clock;
        state.meter.rounds = state.meter.rounds.max(clock);
        match polled {
            Poll::Ready(output) => Ok(Turn::Done(output)),
            Poll::Pending if state.yielded => Ok(Turn::Again),
            Poll::Pending if state.waits.is_empty() => Err(Error::Misuse(format!(
                "party {}: a task is pending without waiting for a message; protocol code awaits only ops and joins",
                self.number
            ))),
            Poll::Pending => Ok(Turn::Blocked),
        }
    }

    /// Checks that a run which has ended has left no message.
    pub(super) fn end(&self) -> Result<()> {
        let state = self.lock();
        if let Some((from, name)) = state.parts.keys().next() {
            return Err(Error::OutOfStep(format!("party {}: of message {} of party {from} a part is missing", self.number, name.purpose)));
        }
        match state.inbox.values().next() {
            Some(message) => Err(Error::OutOfStep(format!(
                "party {}: nobody awaited message {} of a {}",
                self.number, message.name.purpose, message.label
            ))),
            None => Ok(()),
        }
    }

    /// Takes the frame for `peer` of this exchange.
    pub(super) fn frame(&self, peer: usize) -> Frame {
        let mut state = self.lock();
        let frame = Frame { credit: std::mem::take(&mut state.taken[peer]), messages: std::mem::take(&mut state.outbox[peer]) };
        if !frame.is_empty() {
            state.meter.bytes_to[peer] += frame.bytes();
            state.meter.frames += u64::from(!frame.messages.is_empty());
        }
        frame
    }

    /// Puts a part of a message that came as bytes on this party's device: the message, if it is whole now.
    pub(super) fn place(&self, from: usize, Parsed { name, label, layer, round, part, words }: Parsed<'_>) -> Result<Option<Message>> {
        let of = usize::try_from(part.of)
            .map_err(|_| Error::OutOfStep(format!("{label}: party {from} sent a message of {} words, more than memory has", part.of)))?;
        let mut growing = match part.first {
            0 => {
                self.expect_bytes(from, label, part.of)?;
                self.device.grow(of)
            }
            first => match self.lock().parts.remove(&(from, name)) {
                Some(growing) if (growing.filled() as u64, growing.len()) == (first, of) => growing,
                _ => return Err(Error::OutOfStep(format!("{label}: party {from} sent a part of a message that is none"))),
            },
        };
        match bytemuck::try_cast_slice(words) {
            Ok(words) => growing.put(words),
            // the words are unaligned in what has come
            Err(_) => {
                let words = words.chunks_exact(8).map(|b| u64::from_le_bytes(std::array::from_fn(|i| b[i])));
                growing.put(&Zeroizing::new(words.collect::<Vec<u64>>()));
            }
        }
        if growing.filled() == growing.len() {
            return Ok(Some(Message { name, label, layer, round, sent: 0.0, payload: growing.finish() }));
        }
        match self.lock().parts.insert((from, name), growing) {
            None => Ok(None),
            Some(_) => Err(Error::OutOfStep(format!("{label}: party {from} began message {} twice", name.purpose))),
        }
    }

    /// Bytes of a message that has begun to come count as waiting until it is awaited.
    fn expect_bytes(&self, from: usize, label: Label, words: u64) -> Result<()> {
        let mut state = self.lock();
        let waiting = words.saturating_mul(8).saturating_add(state.waiting[from]);
        if waiting > state.most_waiting {
            return Err(Error::OutOfStep(format!("{label}: party {from} sends more than is wanted: {waiting} bytes wait")));
        }
        state.waiting[from] = waiting;
        Ok(())
    }

    /// Takes in a whole message.
    pub(super) fn deliver(&self, from: usize, message: Message) -> Result<()> {
        let mut state = self.lock();
        state.meter.received += 1;
        #[cfg(feature = "seeded")]
        state.observed.note(&message);
        let (label, purpose) = (message.label, message.name.purpose);
        match state.inbox.insert((from, message.name), message) {
            None => Ok(()),
            Some(_) => Err(Error::OutOfStep(format!("{label}: party {from} sent message {purpose} twice"))),
        }
    }
}
