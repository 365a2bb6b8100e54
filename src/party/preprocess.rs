//! Preprocessing: the lead's run, made before the inputs of the others exist.
//!
//! The lead receives nothing, so its whole run can be done beforehand: its components of every value are streams, and those of an
//! input are seeds that its owner chooses before there is an input.
//! Its deals lie at the second of the pair until the rest of the run takes them.

use super::{
    exchange::{Task, pass},
    local::{Transport, drive, next_run},
    message::Message,
    network::Net,
    party::Party,
    shaped::{Simulation, turns},
};
use crate::{Error, Result};
use std::future::Future;

/// A run whose lead, party 0, has ended. It is used up by the one run that it belongs to.
#[must_use = "what was prepared is for one run"]
pub struct Preprocessed<T> {
    number: u64,
    session: [u32; 4],
    output: T,
    /// Receiver and message, on the receiver's device.
    dealt: Vec<(usize, Message)>,
    /// Bytes that the lead has sent.
    pub bytes: u64,
    /// Seconds of the lead's computing; on a shaped link until the last message has arrived.
    pub seconds: f64,
}

/// No latency, no queue.
const IDEAL: Net = Net { latency_us: 0, bits_per_second: u64::MAX };

/// Runs the lead's part of a run to its end. No window bounds what it deals: that lies in the second party's memory.
///
/// [`Error::Misuse`] if the lead waits for a message: an opening, a short sign, or other leads in the same run.
pub async fn preprocess<'e, F, T>(
    parties: &'e [Party; 3],
    transport: Transport,
    task: impl FnOnce(&'e Party) -> F,
) -> Result<Preprocessed<T>>
where
    F: Future<Output = T> + 'e,
{
    let (lead, number) = (&parties[0], next_run(parties));
    lead.begin(number, transport.shaped(), true);
    let before = lead.meter().bytes();
    let mut simulation = Simulation::new(transport.shaped().unwrap_or(IDEAL));
    let mut task = Task::Runs(Box::pin(task(lead)));
    let output = loop {
        turns(lead, &mut task, &mut simulation).await?;
        match task {
            Task::Done(output) => break output,
            Task::Runs(_) if lead.lock().make_room() => {}
            Task::Runs(_) => {
                let waits = lead.lock().waits.join("; ");
                return Err(Error::Misuse(format!("this run cannot be preprocessed, its lead needs interaction: {waits}")));
            }
        }
    };
    let seconds = simulation.flights.iter().map(|flight| flight.arrives).fold(simulation.clocks[0], f64::max);
    let mut dealt = Vec::new();
    for flight in simulation.flights {
        let frame = pass(lead, &parties[flight.to], flight.frame, transport == Transport::Bytes).await?;
        // what lies there already is no round of the run to come
        dealt.extend(frame.messages.into_iter().map(|message| (flight.to, Message { round: 0, ..message })));
    }
    Ok(Preprocessed { number, session: lead.keys.session(), output, dealt, bytes: lead.meter().bytes() - before, seconds })
}

/// The rest of a prepared run: as [`run`](super::local::run), with the lead's part done. The task must be the one that was prepared.
///
/// [`Error::Misuse`] if other parties have prepared it.
pub async fn run_preprocessed<'e, F, T>(
    parties: &'e [Party; 3],
    transport: Transport,
    preprocessed: Preprocessed<T>,
    task: impl Fn(&'e Party) -> F,
) -> Result<[T; 3]>
where
    F: Future<Output = T> + 'e,
{
    if parties.iter().any(|party| party.keys.session() != preprocessed.session) {
        return Err(Error::Misuse("what was prepared belongs to another session".into()));
    }
    parties.iter().for_each(|party| party.begin(preprocessed.number, transport.shaped(), true));
    for (to, message) in preprocessed.dealt {
        parties[to].deliver(0, message)?;
    }
    let pair = [1, 2].map(|i| Task::Runs(Box::pin(task(&parties[i]))));
    let [first, second] = pair;
    drive(parties, transport, [Task::Done(preprocessed.output), first, second]).await
}

impl<T> std::fmt::Debug for Preprocessed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Preprocessed({} messages, {} bytes)", self.dealt.len(), self.bytes)
    }
}
