//! Counters, and the page on which Prometheus reads them. Public figures only.

use super::House;
use crate::{Error, Result};
use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What a party has done since it was started.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Sessions that have begun.
    pub sessions: AtomicU64,
    /// Requests that have begun.
    pub begun: AtomicU64,
    /// Requests that were answered.
    pub answered: AtomicU64,
    /// Requests that ended otherwise.
    pub failed: AtomicU64,
    /// Requests to come whose lead's part was done here.
    pub prepared: AtomicU64,
    /// Connections that were refused.
    pub refused: AtomicU64,
    /// Bytes of the protocols to the other parties, as the meter counts them.
    pub protocol_bytes: AtomicU64,
    /// Bytes on the sockets to the other parties, in sessions that have ended.
    pub socket_bytes: AtomicU64,
    /// Microseconds of computing.
    pub busy: AtomicU64,
    /// Whether there is a session: 1 or 0.
    pub session: AtomicU64,
    /// Requests under way.
    pub under_way: AtomicU64,
    /// Requests to come that are prepared and promised to nobody.
    pub tickets: AtomicU64,
    /// Whole days until this party's certificate expires.
    pub certificate_days: AtomicU64,
}

impl Metrics {
    /// The page, in the text format of Prometheus.
    pub fn page(&self) -> String {
        let rows = [
            ("sessions_total", &self.sessions, "Sessions that have begun."),
            ("requests_total", &self.begun, "Requests that have begun."),
            ("requests_answered_total", &self.answered, "Requests that were answered."),
            ("requests_failed_total", &self.failed, "Requests that ended without an answer."),
            ("requests_prepared_total", &self.prepared, "Requests to come whose lead, this party, has done its part."),
            ("connections_refused_total", &self.refused, "Connections that were refused."),
            ("protocol_bytes_total", &self.protocol_bytes, "Bytes of the protocols sent to the other parties."),
            ("socket_bytes_total", &self.socket_bytes, "Bytes sent on the sockets to the other parties, of sessions that have ended."),
            ("busy_microseconds_total", &self.busy, "Time of computing."),
        ];
        let gauges = [
            ("session", &self.session, "Whether there is a session."),
            ("requests_under_way", &self.under_way, "Requests under way."),
            ("requests_prepared", &self.tickets, "Requests to come that are prepared."),
            ("certificate_days_left", &self.certificate_days, "Whole days until the certificate expires."),
        ];
        let rows = rows.iter().map(|row| (row, "counter")).chain(gauges.iter().map(|row| (row, "gauge")));
        rows.fold(String::new(), |mut page, ((name, value, help), kind)| {
            let value = value.load(Ordering::Relaxed);
            // a String takes everything
            let _ = writeln!(page, "# HELP trishade_{name} {help}\n# TYPE trishade_{name} {kind}\ntrishade_{name} {value}");
            page
        })
    }
}

/// Serves the page until the party is stopped.
pub(super) fn serve(house: &Arc<House>, at: SocketAddr) -> Result<JoinHandle<()>> {
    let server = tiny_http::Server::http(at).map_err(|e| Error::Input(format!("metrics: cannot listen on {at}: {e}")))?;
    let house = house.clone();
    let run = move || {
        while !house.stopping.load(Ordering::Relaxed) {
            if let Ok(Some(request)) = server.recv_timeout(Duration::from_millis(200)) {
                let _ = request.respond(tiny_http::Response::from_string(house.metrics.page()));
            }
        }
    };
    thread::Builder::new().name("trishade metrics".into()).spawn(run).map_err(|e| Error::Device(format!("no thread: {e}")))
}
