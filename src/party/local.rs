//! Three parties in one process, in lock step: what is sent in a pass arrives in the next.

use super::{
    Party,
    message::{Frame, Message, Parsed, decode, encode},
    scope::Scope,
    shaped::{self, Net},
    window::Window,
};
use crate::{Error, Result, device::Buffer};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use zeroize::Zeroizing;

/// How messages pass between the parties of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Link {
    /// Tensors are handed over without a copy where both parties share a device.
    #[default]
    Handover,
    /// Every message becomes bytes and is parsed again, as on a network.
    Bytes,
    /// Three machines with such a network between them, on a simulated clock.
    Shaped(Net),
}

/// Runs one protocol at all three parties until every task has ended. The caller's data can be borrowed.
///
/// Errors: the first failure of a party or a device; [`Error::Misuse`] if a task is pending but waits for nothing of the
/// engine's; [`Error::OutOfStep`] if no party can go on, or if a message is left that nobody awaited. Dropping the tasks is
/// the only clean-up.
pub async fn run<'e, F, T>(parties: &'e [Party; 3], link: Link, task: impl Fn(&'e Party) -> F) -> Result<[T; 3]>
where
    F: Future<Output = T> + 'e,
{
    let net = if let Link::Shaped(net) = link { Some(net) } else { None };
    for party in parties {
        party.begin(net);
    }
    let tasks: [Pin<Box<F>>; 3] = std::array::from_fn(|i| Box::pin(task(&parties[i])));
    let outputs = match link {
        Link::Shaped(net) => shaped::run(parties, net, tasks).await?,
        _ => in_lock_step(parties, link, tasks).await?,
    };
    for party in parties {
        party.end()?;
    }
    let [Some(a), Some(b), Some(c)] = outputs else { unreachable!("all tasks have ended") };
    Ok([a, b, c])
}

async fn in_lock_step<'e, F, T>(parties: &'e [Party; 3], link: Link, mut tasks: [Pin<Box<F>>; 3]) -> Result<[Option<T>; 3]>
where
    F: Future<Output = T> + 'e,
{
    let mut outputs: [Option<T>; 3] = [None, None, None];
    loop {
        let mut moved = false;
        for i in 0..3 {
            while outputs[i].is_none() {
                match parties[i].turn(tasks[i].as_mut())? {
                    Turn::Done(output) => {
                        outputs[i] = Some(output);
                        moved = true;
                    }
                    Turn::Again => moved = true,
                    Turn::Blocked => break,
                }
            }
            parties[i].device.check()?;
        }
        moved |= exchange(parties, link).await?;
        if outputs.iter().all(Option::is_some) {
            return Ok(outputs);
        }
        if !moved {
            return Err(stuck(parties));
        }
    }
}

/// What came of polling a task once.
pub(super) enum Turn<T> {
    Done(T),
    /// The lead has dealt and goes on.
    Again,
    Blocked,
}

impl Party {
    /// A fresh root scope: no name of an earlier run comes again.
    pub(super) fn begin(&self, net: Option<Net>) {
        let mut state = self.lock();
        state.shaped = net;
        state.runs += 1;
        state.scope = Scope::root(&self.keys, state.runs);
        state.outbox = Default::default();
        state.inbox.clear();
        state.windows.iter_mut().for_each(Window::reset);
        state.taken = [0; 3];
        state.failed = None;
        state.used.clear();
    }

    pub(super) fn turn<F: Future>(&self, task: Pin<&mut F>) -> Result<Turn<F::Output>> {
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

    fn end(&self) -> Result<()> {
        let state = self.lock();
        match state.inbox.values().next() {
            Some(message) => Err(Error::OutOfStep(format!(
                "party {}: nobody awaited message {} of a {}",
                self.number, message.name.purpose, message.label
            ))),
            None => Ok(()),
        }
    }

    /// What goes to `peer` in this exchange.
    pub(super) fn frame(&self, peer: usize) -> Frame {
        let mut state = self.lock();
        let frame = Frame { credit: std::mem::take(&mut state.taken[peer]), messages: std::mem::take(&mut state.outbox[peer]) };
        if !frame.is_empty() {
            state.meter.bytes_to[peer] += frame.bytes();
            state.meter.frames += u64::from(!frame.messages.is_empty());
        }
        frame
    }

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

/// Moves every frame; true if there was one.
async fn exchange(parties: &[Party; 3], link: Link) -> Result<bool> {
    let mut moved = false;
    for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let (sender, receiver) = (&parties[from], &parties[to]);
        let frame = sender.frame(to);
        if frame.is_empty() {
            continue;
        }
        moved = true;
        if link == Link::Handover && sender.device.same(&receiver.device) {
            receiver.lock().windows[from].credit(frame.credit);
            for message in frame.messages {
                receiver.deliver(from, message)?;
            }
        } else {
            carry(sender, receiver, &frame).await?;
        }
    }
    Ok(moved)
}

/// A frame as bytes, parsed again on the other side.
async fn carry(sender: &Party, receiver: &Party, frame: &Frame) -> Result<()> {
    let payloads: Vec<&Buffer> = frame.messages.iter().map(|message| &message.payload).collect();
    let words = Zeroizing::new(sender.device.download(&payloads).await?);
    let bytes = encode(frame, &words);
    let (credit, messages) = decode(&bytes)?;
    receiver.lock().windows[sender.number].credit(credit);
    for Parsed { name, label, layer, round, words } in messages {
        let words = words.chunks_exact(8).map(|b| u64::from_le_bytes(std::array::from_fn(|i| b[i])));
        let words: Zeroizing<Vec<u64>> = Zeroizing::new(words.collect());
        let payload = receiver.device.upload(&words);
        receiver.deliver(sender.number, Message { name, label, layer, round, payload })?;
    }
    Ok(())
}

pub(super) fn stuck(parties: &[Party; 3]) -> Error {
    let waits: Vec<String> = parties
        .iter()
        .flat_map(|p| {
            p.lock().waits.iter().filter(|w| !w.is_empty()).take(2).map(|w| format!("party {}: {w}", p.number)).collect::<Vec<_>>()
        })
        .collect();
    Error::OutOfStep(format!("no party can go on; {}", waits.join("; ")))
}
