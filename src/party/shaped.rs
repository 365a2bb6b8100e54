//! Three machines with a network between them, on a simulated clock.
//!
//! Each party has a clock. What it computes is measured and added; a message leaves when the op sends it and the link is free,
//! as if another thread did the sending, takes its bytes over the bandwidth, and arrives a latency later. Nothing sleeps: a run over
//! a slow network takes as long as its arithmetic, and [`Meter::seconds`](super::meter::Meter) says when each party would have ended. Each link and each
//! direction has the whole bandwidth; framing of TCP and TLS is not counted.

use super::{
    exchange::{Task, pass, stuck},
    message::{Frame, Message},
    network::Net,
    party::Party,
    turns::Turn,
};
use crate::{Result, clock};
use std::future::Future;

/// Something on its way.
pub(super) struct Flight {
    pub(super) arrives: f64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) frame: Frame,
}

/// The clocks of parties and links, and what is on its way.
pub(super) struct Simulation {
    net: Net,
    pub(super) clocks: [f64; 3],
    /// When the link from one party to another is free.
    free: [[f64; 3]; 3],
    pub(super) flights: Vec<Flight>,
}

impl Simulation {
    pub(super) fn new(net: Net) -> Self {
        Self { net, clocks: [0.0; 3], free: [[0.0; 3]; 3], flights: Vec::new() }
    }

    /// Puts the outbox of a party on its links; `sent` is the simulated time of a moment of the real clock.
    fn send(&mut self, party: &Party, sent: impl Fn(f64) -> f64) {
        let from = party.number();
        for to in (0..3).filter(|&to| to != from) {
            let frame = party.frame(to);
            if frame.is_empty() {
                continue;
            }
            let head = frame.bytes() - frame.messages.iter().map(Message::bytes).sum::<u64>();
            for message in frame.messages {
                let at = sent(message.sent);
                self.fly(from, to, at, message.bytes(), Frame { credit: 0, messages: vec![message] });
            }
            self.fly(from, to, self.clocks[from], head, Frame { credit: frame.credit, messages: Vec::new() });
        }
    }

    fn fly(&mut self, from: usize, to: usize, at: f64, bytes: u64, frame: Frame) {
        let start = self.free[from][to].max(at);
        let sent = start + bytes as f64 * 8.0 / self.net.bits_per_second as f64;
        self.free[from][to] = sent;
        if !frame.is_empty() {
            self.flights.push(Flight { arrives: sent + self.net.latency_us as f64 * 1e-6, from, to, frame });
        }
    }

    /// The next arrival, and everything that has reached the same party by then.
    fn arrivals(&mut self) -> Option<(usize, Vec<Flight>)> {
        let first = self.flights.iter().min_by(|a, b| a.arrives.total_cmp(&b.arrives))?;
        let to = first.to;
        let now = self.clocks[to].max(first.arrives);
        self.clocks[to] = now;
        let (arrived, rest) = std::mem::take(&mut self.flights).into_iter().partition(|f| f.to == to && f.arrives <= now);
        self.flights = rest;
        Some((to, arrived))
    }
}

/// As [`run`](super::local::run), one party at a time in the order of the simulated clock.
pub(super) async fn run<F: Future>(parties: &[Party; 3], net: Net, tasks: &mut [Task<F>; 3]) -> Result<()> {
    let mut simulation = Simulation::new(net);
    for (party, task) in parties.iter().zip(tasks.iter_mut()) {
        turns(party, task, &mut simulation).await?;
    }
    while let Some((to, arrived)) = simulation.arrivals() {
        for Flight { from, frame, .. } in arrived {
            let frame = pass(&parties[from], &parties[to], frame, false).await?;
            parties[to].lock().windows[from].credit(frame.credit);
            for message in frame.messages {
                parties[to].deliver(from, message)?;
            }
        }
        turns(&parties[to], &mut tasks[to], &mut simulation).await?;
    }
    for (party, clock) in parties.iter().zip(simulation.clocks) {
        party.lock().meter.seconds += clock;
    }
    if tasks.iter().all(|task| matches!(task, Task::Done(_))) { Ok(()) } else { Err(stuck(parties)) }
}

/// Runs a party until it is blocked; what it deals leaves at once.
pub(super) async fn turns<F: Future>(party: &Party, task: &mut Task<F>, simulation: &mut Simulation) -> Result<()> {
    while let Task::Runs(future) = task {
        let began = clock::now();
        let turn = party.turn(future.as_mut())?;
        if party.device.records() {
            // what is only recorded has not been computed
            party.device.download(&[]).await?;
        }
        party.device.check()?;
        let (before, now) = (simulation.clocks[party.number()], clock::now());
        simulation.clocks[party.number()] = before + now - began;
        // a device that records has computed nothing before the end
        let recorded = party.device.records();
        simulation.send(party, |sent| before + if recorded { now - began } else { (sent - began).clamp(0.0, now - began) });
        match turn {
            Turn::Done(made) => *task = Task::Done(made),
            Turn::Again => {}
            Turn::Blocked => return Ok(()),
        }
    }
    Ok(())
}
