//! Three parties in one process, in lock step: what is sent in a pass arrives in the next.

use super::{
    Party,
    message::{Frame, Label, Message, Parsed, decode, encode},
    scope::Scope,
    shaped::{self, Net},
    window::Window,
};
use crate::{Error, Result};
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

/// One party's task: under way, or what it made.
pub(super) enum Task<F: Future> {
    Runs(Pin<Box<F>>),
    Done(F::Output),
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
    let number = next_run(parties);
    parties.iter().for_each(|party| party.begin(number, link, false));
    drive(parties, link, std::array::from_fn(|i| Task::Runs(Box::pin(task(&parties[i]))))).await
}

/// The number of the next run, under which no party has run anything.
pub(super) fn next_run(parties: &[Party; 3]) -> u64 {
    1 + parties.iter().map(|party| party.lock().runs).max().unwrap_or(0)
}

/// Goes on until every task has ended.
pub(super) async fn drive<F: Future>(parties: &[Party; 3], link: Link, mut tasks: [Task<F>; 3]) -> Result<[F::Output; 3]> {
    match link {
        Link::Shaped(net) => shaped::run(parties, net, &mut tasks).await?,
        _ => in_lock_step(parties, link, &mut tasks).await?,
    }
    for party in parties {
        party.end()?;
    }
    Ok(tasks.map(|task| match task {
        Task::Done(output) => output,
        Task::Runs(_) => unreachable!("all tasks have ended"),
    }))
}

async fn in_lock_step<F: Future>(parties: &[Party; 3], link: Link, tasks: &mut [Task<F>; 3]) -> Result<()> {
    loop {
        let mut moved = false;
        for (party, task) in parties.iter().zip(tasks.iter_mut()) {
            while let Task::Runs(future) = task {
                match party.turn(future.as_mut())? {
                    Turn::Done(output) => {
                        *task = Task::Done(output);
                        moved = true;
                    }
                    Turn::Again => moved = true,
                    Turn::Blocked => break,
                }
            }
            party.device.check()?;
        }
        moved |= exchange(parties, link).await?;
        if tasks.iter().all(|task| matches!(task, Task::Done(_))) {
            return Ok(());
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
    /// The root scope of a run that has not been before at this party, or that its lead has prepared.
    pub(super) fn begin(&self, number: u64, link: Link, prepared: bool) {
        let mut state = self.lock();
        state.shaped = if let Link::Shaped(net) = link { Some(net) } else { None };
        state.prepared = prepared;
        state.runs = state.runs.max(number);
        state.scope = Scope::root(&self.keys, number);
        state.outbox = Default::default();
        state.inbox.clear();
        state.windows.iter_mut().for_each(Window::reset);
        state.taken = [0; 3];
        state.waiting = [0; 3];
        state.parts.clear();
        state.failed = None;
        state.used.clear();
    }

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

    /// What came as bytes, on this party's device: a message if it is whole now.
    pub(super) fn place(&self, from: usize, Parsed { name, label, layer, round, part, words }: Parsed<'_>) -> Result<Option<Message>> {
        let of = usize::try_from(part.of).unwrap_or(usize::MAX);
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
            // a frame that lies askew in what has come
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
        let frame = pass(sender, receiver, frame, link).await?;
        receiver.lock().windows[from].credit(frame.credit);
        for message in frame.messages {
            receiver.deliver(from, message)?;
        }
    }
    Ok(moved)
}

/// A frame as it reaches the receiver: the very same buffers, or bytes that were parsed again.
pub(super) async fn pass(sender: &Party, receiver: &Party, frame: Frame, link: Link) -> Result<Frame> {
    if link != Link::Bytes && sender.device.same(&receiver.device) {
        return Ok(frame);
    }
    let mut whole = Zeroizing::default();
    encode(&frame, &sender.device, usize::MAX, &mut |bytes| whole = bytes).await?;
    let (credit, parsed) = decode(&whole)?;
    let messages = parsed.into_iter().filter_map(|message| receiver.place(sender.number, message).transpose());
    Ok(Frame { credit, messages: messages.collect::<Result<_>>()? })
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
