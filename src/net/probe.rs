//! What a doctor finds: whether a party can be met, and the way to it.

use super::{
    ClientSetup, Manners,
    client::{Met, meet},
    config::Limits,
    control::{Control, Status},
    fresh::Options,
    link::Owned,
    reading::Incoming,
};
use crate::{Error, Result};
use std::{sync::mpsc::channel, time::Instant};

/// What a doctor finds at a party.
#[derive(Debug, Clone)]
pub struct Found {
    /// The party's clock minus this one's, in seconds.
    pub clock: f64,
    /// Whole days until its certificate expires.
    pub days_left: i64,
    /// Seconds.
    pub round_trip: f64,
    /// There and back, the better of two messages of 4 MiB.
    pub bytes_a_second: f64,
    /// What it says of itself.
    pub status: Status,
}

/// Meets one party, as a client or as another party, and measures the way.
pub fn probe(setup: &ClientSetup, number: usize, manners: &Manners) -> Result<Found> {
    let limits = Limits { connect_seconds: manners.connect.as_secs_f64(), ..Limits::default() };
    let Met { fresh, clock, .. } = meet(setup, number, &Options::new(&limits, manners.shape), true)?;
    let days_left = fresh.validity()?.days_left();
    let (to, inbox) = channel();
    let other = to.clone();
    let on = move |incoming, _, _: &_| {
        if !matches!(incoming, Incoming::Alive) {
            let _ = to.send(Ok(incoming));
        }
        Ok(())
    };
    let link = Owned(fresh.start(on, move |error| drop(other.send(Err(error))))?);
    let ask = |control: Control| {
        let began = Instant::now();
        link.control(&control);
        match inbox.recv_timeout(manners.patience).map_err(|_| Error::Peer("does not answer".into()))?? {
            Incoming::Control(control) => Ok((control, began.elapsed().as_secs_f64())),
            _ => Err(Error::Peer("answered with something else".into())),
        }
    };
    let (mut round_trip, mut bytes_a_second) = (f64::INFINITY, 0.0f64);
    for _ in 0..5 {
        round_trip = round_trip.min(ask(Control::Echo { bytes: Vec::new() })?.1);
    }
    for _ in 0..2 {
        let size = 4 << 20;
        let (_, took) = ask(Control::Echo { bytes: vec![0x5a; size] })?;
        bytes_a_second = bytes_a_second.max(2.0 * size as f64 / (took - round_trip).max(1e-9));
    }
    let status = match ask(Control::Status)?.0 {
        Control::StatusIs(status) => status,
        _ => return Err(Error::Peer("answered with something else".into())),
    };
    Ok(Found { clock, days_left, round_trip, bytes_a_second, status })
}
