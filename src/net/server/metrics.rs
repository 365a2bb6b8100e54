//! Metrics of a party: counters, and the page on which Prometheus reads them. Public figures only.

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

/// Counters of a party since it was started.
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
    /// Requests that were preprocessed here, as their lead.
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
    /// Preprocessed requests for which there are tokens to give.
    pub tokens: AtomicU64,
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
            ("requests_prepared_total", &self.prepared, "Requests that this party, as their lead, has preprocessed."),
            ("connections_refused_total", &self.refused, "Connections that were refused."),
            ("protocol_bytes_total", &self.protocol_bytes, "Bytes of the protocols sent to the other parties."),
            ("socket_bytes_total", &self.socket_bytes, "Bytes sent on the sockets to the other parties, of sessions that have ended."),
            ("busy_microseconds_total", &self.busy, "Time of computing."),
        ];
        let gauges = [
            ("session", &self.session, "Whether there is a session."),
            ("requests_under_way", &self.under_way, "Requests under way."),
            ("requests_prepared", &self.tokens, "Preprocessed requests for which there are tokens to give."),
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

/// Serves the page until `stopped` says so.
pub fn serve(metrics: Arc<Metrics>, at: SocketAddr, stopped: impl Fn() -> bool + Send + 'static) -> Result<JoinHandle<()>> {
    let server = tiny_http::Server::http(at).map_err(|e| Error::Input(format!("metrics: cannot listen on {at}: {e}")))?;
    let run = move || {
        while !stopped() {
            if let Ok(Some(request)) = server.recv_timeout(Duration::from_millis(200)) {
                // a reader that is gone misses nothing
                let _ = request.respond(tiny_http::Response::from_string(metrics.page()));
            }
        }
    };
    thread::Builder::new().name("trishade metrics".into()).spawn(run).map_err(|e| Error::Device(format!("no thread: {e}")))
}
