//! HELLO, the first message of each side of a connection: who is there, and whether both sides have the same protocol and the same
//! `cluster.toml`. Parties and clients use the same functions.

use super::{
    config::Cluster,
    control::{Control, Hello, RefusalReason, Secret},
    identity::Identity,
    link::{Handshake, LinkOptions},
    secrets::Contribution,
    tls,
    wire::VERSION,
};
use crate::{Error, Result};
use std::time::{SystemTime, UNIX_EPOCH};

/// Description of this side in a HELLO.
pub(super) struct Introduction {
    /// Number of a party; none for a client.
    pub(super) party: Option<u8>,
    /// This side only measures the way.
    pub(super) probe: bool,
    /// Hash of `cluster.toml`.
    pub(super) cluster: [u8; 32],
    /// This party has preprocessing tokens to give.
    pub(super) preprocesses: bool,
    /// Contribution of a party to the key of the link.
    pub(super) contribution: Option<Contribution>,
}

impl Introduction {
    /// HELLO with the clock of now.
    pub(super) fn hello(&self) -> Hello {
        Hello {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            party: self.party,
            probe: self.probe,
            cluster: self.cluster,
            clock: clock(),
            preprocesses: self.preprocesses,
            contribution: self.contribution.clone().map(Secret),
        }
    }
}

/// Party that has answered a HELLO.
pub(super) struct Introduced {
    pub(super) handshake: Handshake,
    pub(super) hello: Hello,
    /// Seconds by which its clock is ahead of this one's.
    pub(super) clock_ahead: f64,
}

/// Dials party `number`, says HELLO and checks the answer.
pub(super) fn dial(cluster: &Cluster, number: usize, identity: &Identity, options: &LinkOptions, own: &Introduction) -> Result<Introduced> {
    let party = &cluster.party[number];
    let mut handshake = Handshake::dial(&party.address, tls::dialler(identity, party.certificate)?, options)?;
    let sent = clock();
    handshake.send(&Control::Hello(own.hello()))?;
    let hello = match handshake.receive()? {
        Control::Hello(hello) => hello,
        Control::Refused { reason, text, .. } => return Err(reason.error(&text)),
        _ => return Err(Error::Peer("answered HELLO with something else".into())),
    };
    if let Some(fault) = mismatch(&hello, &own.cluster) {
        return Err(Error::Peer(fault));
    }
    if hello.party != Some(number as u8) {
        return Err(Error::Peer(format!("says that it is not party {number}")));
    }
    let clock_ahead = (hello.clock as f64 - (sent as f64 + clock() as f64) / 2.0) / 1000.0;
    Ok(Introduced { handshake, hello, clock_ahead })
}

/// Receives the HELLO of a side that has dialled; one of another protocol or cluster is refused.
pub(super) fn receive(handshake: &mut Handshake, cluster: &[u8; 32]) -> Result<Hello> {
    let hello = match handshake.receive()? {
        Control::Hello(hello) => hello,
        _ => return Err(Error::Peer("did not begin with HELLO".into())),
    };
    match mismatch(&hello, cluster) {
        None => Ok(hello),
        Some(fault) => refuse(handshake, RefusalReason::Mismatch, format!("the other side {fault}")),
    }
}

/// Refuses a side that has dialled.
pub(super) fn refuse<T>(handshake: &mut Handshake, reason: RefusalReason, text: String) -> Result<T> {
    handshake.send(&Control::refused(None, reason, &text))?;
    Err(Error::Peer(text))
}

/// Milliseconds since 1970.
pub(super) fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Difference between the other side and this one for which they cannot speak, if there is one.
pub(super) fn mismatch(hello: &Hello, cluster: &[u8; 32]) -> Option<String> {
    let own = env!("CARGO_PKG_VERSION");
    if hello.version != VERSION {
        return Some(format!(
            "speaks version {} of the protocol (trishade {}), this side {VERSION} (trishade {own})",
            hello.version, hello.program
        ));
    }
    (hello.cluster != *cluster).then(|| "has another cluster.toml: the file must be the same everywhere".into())
}
