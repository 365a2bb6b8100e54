//! Three parties in one process, in lock step: what is sent in a pass arrives in the next.

use super::{
    exchange::{Task, exchange, stuck},
    network::Net,
    party::Party,
    pause::Pauses,
    shaped,
    turns::Turn,
};
use crate::Result;
use std::future::Future;

/// How messages pass between the parties of one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// Tensors are handed over without a copy where both parties share a device.
    #[default]
    Handover,
    /// Every message becomes bytes and is parsed again, as on a network.
    Bytes,
    /// Three machines with such a network between them, on a simulated clock.
    Shaped(Net),
}

impl Transport {
    /// The network of a shaped transport.
    pub(super) fn shaped(self) -> Option<Net> {
        if let Self::Shaped(net) = self { Some(net) } else { None }
    }
}

/// Runs one protocol at all three parties until every task has ended. The caller's data can be borrowed.
///
/// Errors: the first failure of a party or a device; [`Error::Misuse`](crate::Error::Misuse) if a task is pending but waits for nothing of the
/// engine's; [`Error::OutOfStep`](crate::Error::OutOfStep) if no party can go on, or if a message is left that nobody awaited. Dropping the tasks is
/// the only clean-up.
pub async fn run<'e, F, T>(parties: &'e [Party; 3], transport: Transport, task: impl Fn(&'e Party) -> F) -> Result<[T; 3]>
where
    F: Future<Output = T> + 'e,
{
    let number = next_run(parties);
    parties.iter().for_each(|party| party.begin(number, transport.shaped(), false));
    drive(parties, transport, std::array::from_fn(|i| Task::Runs(Box::pin(task(&parties[i]))))).await
}

/// The number of the next run, under which no party has run anything.
pub(super) fn next_run(parties: &[Party; 3]) -> u64 {
    1 + parties.iter().map(|party| party.lock().runs).fold(0, u64::max)
}

/// Goes on until every task has ended.
pub(super) async fn drive<F: Future>(parties: &[Party; 3], transport: Transport, mut tasks: [Task<F>; 3]) -> Result<[F::Output; 3]> {
    match transport {
        Transport::Shaped(net) => shaped::run(parties, net, &mut tasks).await?,
        _ => in_lock_step(parties, transport, &mut tasks).await?,
    }
    for party in parties {
        party.end()?;
    }
    Ok(tasks.map(|task| match task {
        Task::Done(output) => output,
        Task::Runs(_) => unreachable!("all tasks have ended"),
    }))
}

async fn in_lock_step<F: Future>(parties: &[Party; 3], transport: Transport, tasks: &mut [Task<F>; 3]) -> Result<()> {
    let mut pauses = Pauses::new();
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
                pauses.pause().await;
            }
            party.device.check()?;
        }
        moved |= exchange(parties, transport == Transport::Bytes).await?;
        if tasks.iter().all(|task| matches!(task, Task::Done(_))) {
            return Ok(());
        }
        if !moved {
            return Err(stuck(parties));
        }
    }
}
