//! Acceptor: takes connections, a thread for each until it has said who is there.

use super::{hello, state::ServerState};
use crate::net::{budget::Permit, link::Handshake};
use std::{
    net::{TcpListener, TcpStream},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

/// Takes connections until the party is stopped.
pub fn run(state: &Arc<ServerState>, listener: &TcpListener, config: &Arc<rustls::ServerConfig>) {
    for tcp in listener.incoming() {
        if state.is_stopping() {
            return;
        }
        match tcp {
            Ok(tcp) => match state.unauthenticated.try_acquire(1) {
                Some(permit) => welcome(state, tcp, config, permit),
                None => count_refused(state),
            },
            Err(error) => {
                // out of file handles, perhaps: they come back
                tracing::warn!(%error, "a connection could not be taken");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn welcome(state: &Arc<ServerState>, tcp: TcpStream, config: &Arc<rustls::ServerConfig>, permit: Permit) {
    let (state, config) = (state.clone(), config.clone());
    let run = move || {
        let address = tcp.peer_addr().map_or_else(|_| "?".into(), |address| address.to_string());
        let welcomed = Handshake::accept(tcp, config, &state.options).and_then(|handshake| hello::welcome(&state, handshake));
        drop(permit);
        if let Err(error) = welcomed {
            count_refused(&state);
            tracing::warn!(%address, %error, "a connection was refused");
        }
    };
    if let Err(error) = thread::Builder::new().name("trishade welcome".into()).spawn(run) {
        tracing::warn!(%error, "no thread for a connection");
    }
}

fn count_refused(state: &ServerState) {
    state.metrics.refused.fetch_add(1, Ordering::Relaxed);
}
