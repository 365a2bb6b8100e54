//! Beginning of a connection at a party: peers are dialled, and what comes in is a peer or a client.

use super::{connection::ClientConnection, events::Event, state::ServerState};
use crate::{
    Error, Result,
    net::{
        control::{Control, Hello, RefusalReason, Secret},
        hello::{self, Introduced, Introduction},
        link::{Handshake, InboundPolicy, Incoming, LinkGuard},
        secrets::{Contribution, Contributions, random},
    },
};
use std::sync::Arc;

/// Dials a peer of a lower number.
pub fn dial(state: &Arc<ServerState>, number: usize) -> Result<()> {
    let own = random::<32>()?;
    let (setup, introduction) = (&state.setup, introduction(state, &own));
    let Introduced { handshake, hello, .. } = hello::dial(&setup.cluster, number, &setup.identity, &state.options, &introduction)?;
    link_peer(state, handshake, number, own, hello.contribution)
}

/// Receives HELLO on a connection that has come in: from a peer of a higher number, or from a client.
pub fn welcome(state: &Arc<ServerState>, mut handshake: Handshake) -> Result<()> {
    let certificate = handshake.fingerprint()?;
    let hello = hello::receive(&mut handshake, &state.cluster_hash)?;
    let cluster = &state.setup.cluster;
    let (party, client) = (cluster.party_of(certificate), cluster.client_of(certificate));
    let mut refuse = |reason, text| hello::refuse(&mut handshake, reason, text);
    match (hello.party, party, client) {
        (said, _, _) if said.map(usize::from) != party => {
            let said = said.map_or("a client".into(), |number| format!("party {number}"));
            let pinned = party.map_or("a client's".into(), |number| format!("party {number}'s"));
            refuse(RefusalReason::Mismatch, format!("the other side says that it is {said}, but its certificate is {pinned}"))
        }
        (_, Some(number), _) => welcome_party(state, handshake, number, hello),
        (_, None, Some(client)) => {
            let quota = state.quotas.get(&client.certificate).expect("every client of cluster.toml has a quota");
            // a client shares no key with a party
            handshake.send(&Control::Hello(introduction(state, &random::<32>()?).hello()))?;
            ClientConnection::start(state, handshake, quota)
        }
        (_, None, None) => refuse(RefusalReason::Unauthorised, "this certificate belongs to nobody in cluster.toml".into()),
    }
}

/// Takes in a peer, or a party that only measures the way.
fn welcome_party(state: &Arc<ServerState>, mut handshake: Handshake, number: usize, hello: Hello) -> Result<()> {
    if !hello.probe && number <= state.number {
        let text = format!("party {number} does not dial party {}: the higher number dials", state.number);
        return hello::refuse(&mut handshake, RefusalReason::Mismatch, text);
    }
    let own = random::<32>()?;
    handshake.send(&Control::Hello(introduction(state, &own).hello()))?;
    if hello.probe {
        tracing::info!(party = number, "probes");
        return ClientConnection::start(state, handshake, &state.probes);
    }
    link_peer(state, handshake, number, own, hello.contribution)
}

fn introduction(state: &ServerState, contribution: &Contribution) -> Introduction {
    Introduction {
        party: Some(state.number as u8),
        probe: false,
        cluster: state.cluster_hash,
        preprocesses: state.setup.config.prepare > 0,
        contribution: Some(contribution.clone()),
    }
}

/// Starts the link to a peer. The engine knows it before anything is received on it.
fn link_peer(state: &Arc<ServerState>, mut handshake: Handshake, number: usize, own: Contribution, peers: Option<Secret>) -> Result<()> {
    let Some(Secret(peers)) = peers else { return Err(Error::Peer("gave nothing to the common key".into())) };
    handshake.options.inbound = InboundPolicy::Block(state.inbox.clone());
    let generation = state.draw_number();
    let unstarted = handshake.into_link()?;
    let link = LinkGuard(unstarted.link());
    state.tell(Event::PeerLinked { number, link, generation, contributions: Contributions { own, peers } });
    let (inbound, ended) = (state.clone(), state.clone());
    let handler = move |incoming, permit| {
        if !matches!(incoming, Incoming::Alive) {
            inbound.tell(Event::FromPeer { number, generation, incoming, permit });
        }
        Ok(())
    };
    let started = unstarted.start(handler, move |error| ended.tell(Event::PeerLost { number, generation, error }));
    if let Err(error) = &started {
        state.tell(Event::PeerLost { number, generation, error: error.clone() });
    }
    started
}
