//! Resource limits of a party: bounds on time and space, `[limits]` of `party.toml`.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bounds on time and space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Requests under way at one time.
    pub requests: usize,
    /// Requests of one client under way at one time.
    pub client_requests: usize,
    /// Connections of one client.
    pub client_connections: usize,
    /// Bytes that one client may have on their way in, and as many that it has not read.
    pub client_bytes: u64,
    /// Inputs of one request.
    pub batch: usize,
    /// Bytes of a record of a peer.
    pub frame: u64,
    /// Bytes that the lead of one request may have dealt and the second has not taken.
    pub window: u64,
    /// Bytes of messages that wait for requests that have not begun here, in all; of one client half as many. Earlier files call
    /// it `early`.
    #[serde(alias = "early")]
    pub pending: u64,
    /// Bytes that leads may have dealt to this party in preprocessing, in all. Earlier files call it `ahead`.
    #[serde(alias = "ahead")]
    pub preprocessing: u64,
    /// Bytes of the store.
    pub store: u64,
    /// Seconds until a connection must be there, its certificates checked and its first message read.
    pub connect_seconds: f64,
    /// Seconds of silence after which a peer is taken for lost. A peer that is alive says so three times as often.
    pub idle_seconds: f64,
    /// Seconds until a request must have ended.
    pub request_seconds: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 256,
            client_requests: 128,
            client_connections: 32,
            client_bytes: 512 << 20,
            batch: 256,
            frame: 4 << 30,
            window: 256 << 20,
            pending: 1 << 30,
            preprocessing: 4 << 30,
            store: 100 << 30,
            connect_seconds: 10.0,
            idle_seconds: 15.0,
            request_seconds: 600.0,
        }
    }
}

impl Limits {
    pub(super) fn check(&self) -> Result<()> {
        let times =
            [("connect_seconds", self.connect_seconds), ("idle_seconds", self.idle_seconds), ("request_seconds", self.request_seconds)];
        if let Some((name, seconds)) = times.iter().find(|(_, seconds)| !(0.1..=86_400.0).contains(seconds)) {
            return Err(Error::Input(format!("limits: {name} = {seconds}: it must be from 0.1 to 86400")));
        }
        let sizes = [
            ("requests", self.requests as u64, 1),
            ("client_requests", self.client_requests as u64, 1),
            ("client_connections", self.client_connections as u64, 1),
            ("client_bytes", self.client_bytes, 1 << 16),
            ("batch", self.batch as u64, 1),
            ("frame", self.frame, 1 << 16),
            ("window", self.window, 1),
        ];
        match sizes.iter().find(|(_, size, least)| size < least) {
            Some((name, size, least)) => Err(Error::Input(format!("limits: {name} = {size}: it must be at least {least}"))),
            None => Ok(()),
        }
    }

    pub(super) fn connect(&self) -> Duration {
        Duration::from_secs_f64(self.connect_seconds)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_secs_f64(self.idle_seconds)
    }

    pub(super) fn request(&self) -> Duration {
        Duration::from_secs_f64(self.request_seconds)
    }
}
