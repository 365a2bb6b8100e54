//! One party's part of a run whose other two parties are elsewhere: frames come in as bytes, and go out as bytes.

use super::{
    message::{Message, decode, encode},
    party::Party,
    turns::Turn,
};
use crate::Result;
use std::{future::Future, pin::Pin, sync::Arc};
use zeroize::Zeroizing;

/// A party's task, and what it waits for. Dropping it is the only clean-up.
pub struct Remote<T> {
    // before the party that it borrows from
    task: Pin<Box<dyn Future<Output = T> + Send>>,
    party: Arc<Party>,
    /// The lead whose part is done before the run.
    preprocessed: Option<usize>,
}

/// Outcome of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// The task has ended; nothing more is to come for it but credit.
    Done(T),
    /// There is more to do at once.
    Again,
    /// The task waits for a frame.
    Blocked,
}

impl<T> Remote<T> {
    /// Begins a run at a party whose keys have served no other one.
    pub fn begin<F>(party: Party, task: impl FnOnce(Arc<Party>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        party.begin(1, None, false);
        Self::of(party, None, task)
    }

    /// Begins a run that its lead preprocesses, at the lead before there are inputs: its messages belong to no round.
    pub fn begin_preprocessed<F>(Expected { party, lead }: Expected, task: impl FnOnce(Arc<Party>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        Self::of(party, Some(lead), task)
    }

    fn of<F>(party: Party, preprocessed: Option<usize>, task: impl FnOnce(Arc<Party>) -> F) -> Self
    where
        F: Future<Output = T> + Send + 'static,
    {
        let party = Arc::new(party);
        Self { task: Box::pin(task(party.clone())), party, preprocessed }
    }

    /// The party, for its meter.
    pub fn party(&self) -> &Party {
        &self.party
    }

    /// Takes in a frame of a peer. True if the task may go on with it: not if it has but a part of a message.
    ///
    /// [`OutOfStep`](crate::Error::OutOfStep) if it is none, or if it repeats a message.
    pub fn deliver(&self, from: usize, frame: &[u8]) -> Result<bool> {
        deliver(&self.party, self.preprocessed, from, frame)
    }

    /// Goes on to the next point where something may leave; what leaves is handed to `send` with the number of the receiver, in
    /// frames of about `most` bytes, each as soon as it is there: while one travels, the next is read from the device.
    ///
    /// Errors: those of the party, of its device, and [`OutOfStep`](crate::Error::OutOfStep) for a message at the end that nobody awaited.
    pub async fn turn(&mut self, most: usize, send: &mut (dyn FnMut(usize, Zeroizing<Vec<u8>>) + Send)) -> Result<Progress<T>> {
        let turn = self.party.turn(self.task.as_mut())?;
        self.party.device.check()?;
        for peer in (0..3).filter(|&peer| peer != self.party.number) {
            let frame = self.party.frame(peer);
            if !frame.is_empty() {
                encode(&frame, &self.party.device, most, &mut |bytes| send(peer, bytes)).await?;
            }
        }
        match turn {
            Turn::Done(output) => self.party.end().map(|()| Progress::Done(output)),
            Turn::Again => Ok(Progress::Again),
            Turn::Blocked => Ok(Progress::Blocked),
        }
    }

    /// Messages that the task waits for, for an error that says so.
    pub fn waits(&self) -> String {
        let waits = &self.party.lock().waits;
        waits.iter().filter(|wait| !wait.is_empty()).take(2).cloned().collect::<Vec<_>>().join("; ")
    }
}

/// A party in a run that its lead preprocesses, as all three must know: deals go to the second's device before there is a task.
pub struct Expected {
    party: Party,
    lead: usize,
}

impl Expected {
    /// For a party whose keys have served no other one.
    pub fn new(party: Party, lead: usize) -> Self {
        party.begin(1, None, true);
        Self { party, lead }
    }

    /// The party that preprocesses: the lead of the run.
    pub fn lead(&self) -> usize {
        self.lead
    }

    /// Takes in a frame of the lead.
    ///
    /// [`OutOfStep`](crate::Error::OutOfStep) if it is none, or if it repeats a message.
    pub fn deliver(&self, frame: &[u8]) -> Result<()> {
        deliver(&self.party, Some(self.lead), self.lead, frame).map(drop)
    }
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expected({:?} of {})", self.party, self.lead)
    }
}

/// Takes in a frame; messages that a lead has dealt beforehand belong to no round.
fn deliver(party: &Party, preprocessed: Option<usize>, from: usize, frame: &[u8]) -> Result<bool> {
    let (credit, messages) = decode(frame)?;
    party.lock().windows[from].credit(credit);
    let mut news = credit > 0;
    for parsed in messages {
        if let Some(message) = party.place(from, parsed)? {
            let round = if preprocessed == Some(from) { 0 } else { message.round };
            party.deliver(from, Message { round, ..message })?;
            news = true;
        }
    }
    Ok(news)
}

impl<T> std::fmt::Debug for Remote<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({:?})", self.party)
    }
}
