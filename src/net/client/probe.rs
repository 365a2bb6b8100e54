//! Probe of a party: whether it can be reached, and the latency and bandwidth of the way.

use super::connection::{ClientOptions, introduce};
use crate::{
    Error, Result,
    net::{
        config::ClientSetup,
        control::{Control, Status},
        hello::Introduced,
        link::{Incoming, Link, LinkGuard},
    },
};
use std::{
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// Bytes of the long echo.
const LONG: usize = 4 << 20;

/// Report on a party.
#[derive(Debug, Clone)]
pub struct PartyReport {
    /// Seconds by which the party's clock is ahead of this one's.
    pub clock: f64,
    /// Whole days until its certificate expires.
    pub days_left: i64,
    /// Seconds there and back, the least of five.
    pub round_trip: f64,
    /// Bandwidth there and back, the better of two messages of 4 MiB.
    pub bytes_a_second: f64,
    /// State of the party.
    pub status: Status,
}

/// Probes one party, as a client or as another party.
pub fn probe(setup: &ClientSetup, number: usize, options: &ClientOptions) -> Result<PartyReport> {
    let Introduced { handshake, clock_ahead, .. } = introduce(setup, number, &options.link(), true)?;
    let days_left = handshake.validity()?.days_left();
    let (to, inbox) = channel();
    let ended = to.clone();
    let handler = move |incoming, _| {
        if !matches!(incoming, Incoming::Alive) {
            // nobody receives any more once the probe has ended
            let _ = to.send(Ok(incoming));
        }
        Ok(())
    };
    let link = LinkGuard(handshake.start(handler, move |error| drop(ended.send(Err(error))))?);
    let measure = |query: Control| query_once(&link, &inbox, options.timeout, &query);
    let (mut round_trip, mut bytes_a_second) = (f64::INFINITY, 0.0f64);
    for _ in 0..5 {
        round_trip = round_trip.min(measure(Control::Echo { bytes: Vec::new() })?.1);
    }
    for _ in 0..2 {
        let (_, took) = measure(Control::Echo { bytes: vec![0x5a; LONG] })?;
        bytes_a_second = bytes_a_second.max(2.0 * LONG as f64 / (took - round_trip).max(1e-9));
    }
    match measure(Control::GetStatus)?.0 {
        Control::Status(status) => Ok(PartyReport { clock: clock_ahead, days_left, round_trip, bytes_a_second, status }),
        _ => Err(Error::Peer("answered with something else".into())),
    }
}

/// Reply to a query, and the seconds that it took.
fn query_once(link: &Link, inbox: &Receiver<Result<Incoming>>, timeout: Duration, query: &Control) -> Result<(Control, f64)> {
    let began = Instant::now();
    link.control(query);
    match inbox.recv_timeout(timeout).map_err(|_| Error::Peer("does not answer".into()))?? {
        Incoming::Control(control) => Ok((control, began.elapsed().as_secs_f64())),
        _ => Err(Error::Peer("answered with something else".into())),
    }
}
