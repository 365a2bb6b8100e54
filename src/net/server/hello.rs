//! The first words of a connection: who is there, and whether both mean the same cluster and the same protocol.

use super::{Event, House, visitor::Visitor};
use crate::{
    Error, Result,
    net::{
        control::{Control, Hello, Secret, Why},
        fresh::{Fresh, Intake},
        link::Owned,
        reading::Incoming,
        secrets::{Contribution, random},
        tls,
        wire::VERSION,
    },
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970.
pub(in crate::net) fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// What does not fit in a HELLO.
pub(in crate::net) fn mismatch(hello: &Hello, cluster: &[u8; 32]) -> Option<String> {
    let own = env!("CARGO_PKG_VERSION");
    if hello.version != VERSION {
        return Some(format!(
            "speaks version {} of the protocol (trishade {}), this side {VERSION} (trishade {own})",
            hello.version, hello.program
        ));
    }
    (hello.cluster != *cluster).then(|| "has another cluster.toml: the file must be the same everywhere".into())
}

impl House {
    fn hello(&self, contribution: &Contribution) -> Control {
        Control::Hello(Hello {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            party: Some(self.number as u8),
            probe: false,
            cluster: self.cluster_hash,
            clock: clock(),
            prepares: self.setup.config.prepare > 0,
            contribution: Some(Secret(contribution.clone())),
        })
    }
}

/// Looks for a peer of a lower number.
pub(super) fn dial(house: &Arc<House>, number: usize) -> Result<()> {
    let peer = &house.setup.cluster.party[number];
    let mut fresh = Fresh::dial(&peer.address, tls::dialler(&house.setup.identity, peer.certificate)?, &house.options)?;
    let mine = random::<32>()?;
    fresh.send(&house.hello(&mine))?;
    match fresh.receive()? {
        Control::Hello(hello) => {
            if let Some(what) = mismatch(&hello, &house.cluster_hash) {
                return Err(Error::Peer(what));
            }
            if hello.party != Some(number as u8) {
                return Err(Error::Peer(format!("says that it is not party {number}")));
            }
            peer_link(house, fresh, number, mine, hello.contribution)
        }
        Control::Refused { text, .. } => Err(Error::Peer(format!("refused: {text}"))),
        _ => Err(Error::Peer("answered HELLO with something else".into())),
    }
}

/// Takes in whoever has dialled: a peer of a higher number, or a client.
pub(super) fn welcome(house: &Arc<House>, mut fresh: Fresh) -> Result<()> {
    let certificate = fresh.fingerprint()?;
    let hello = match fresh.receive()? {
        Control::Hello(hello) => hello,
        _ => return Err(Error::Peer("did not begin with HELLO".into())),
    };
    let cluster = &house.setup.cluster;
    let (party, client) = (cluster.party_of(certificate), cluster.client_of(certificate));
    let mut refuse = |why: Why, text: String| {
        fresh.send(&Control::refused(None, why, &text))?;
        Err(Error::Peer(text))
    };
    if let Some(what) = mismatch(&hello, &house.cluster_hash) {
        return refuse(Why::Mismatch, format!("the other side {what}"));
    }
    match (hello.party, party, client) {
        (said, _, _) if said.map(usize::from) != party => {
            let said = said.map_or("a client".into(), |number| format!("party {number}"));
            let pinned = party.map_or("a client's".into(), |number| format!("party {number}'s"));
            refuse(Why::Mismatch, format!("the other side says that it is {said}, but its certificate is {pinned}"))
        }
        (Some(_), Some(number), _) if hello.probe => {
            fresh.send(&house.hello(&random::<32>()?))?;
            tracing::info!(party = number, "probes");
            Visitor::start(house, fresh, &house.probes)
        }
        (Some(_), Some(number), _) if number <= house.number => {
            refuse(Why::Mismatch, format!("party {number} does not dial party {}: the higher number dials", house.number))
        }
        (Some(_), Some(number), _) => {
            let mine = random::<32>()?;
            fresh.send(&house.hello(&mine))?;
            peer_link(house, fresh, number, mine, hello.contribution)
        }
        (None, None, Some(client)) => {
            // a client shares no key with a party
            fresh.send(&house.hello(&random::<32>()?))?;
            match house.accounts.get(&client.certificate) {
                Some(account) => Visitor::start(house, fresh, account),
                None => Err(Error::Misuse("a client without an account".into())),
            }
        }
        (None, ..) => refuse(Why::Unauthorised, "this certificate belongs to nobody in cluster.toml".into()),
        (Some(_), None, _) => refuse(Why::Mismatch, "the other side is no party".into()),
    }
}

fn peer_link(house: &Arc<House>, mut fresh: Fresh, number: usize, mine: Contribution, theirs: Option<Secret>) -> Result<()> {
    let Some(Secret(theirs)) = theirs else { return Err(Error::Peer("gave nothing to the common key".into())) };
    fresh.options.intake = Intake::Waits(house.inbox.clone());
    let generation = house.numbers.fetch_add(1, Ordering::Relaxed);
    let (one, other) = (house.clone(), house.clone());
    // nothing is told of the link before the engine knows it
    let (known, wait) = std::sync::mpsc::channel::<()>();
    let wait = Arc::new(std::sync::Mutex::new(wait));
    let wait_too = wait.clone();
    let until_known = |wait: &std::sync::Mutex<std::sync::mpsc::Receiver<()>>| {
        let _ = wait.lock().map(|wait| wait.recv());
    };
    let on = move |incoming, held, _: &_| {
        until_known(&wait);
        if !matches!(incoming, Incoming::Alive) {
            one.tell(Event::FromPeer { number, generation, incoming, held });
        }
        Ok(())
    };
    let ended = move |error| {
        until_known(&wait_too);
        other.tell(Event::PeerGone { number, generation, error });
    };
    let link = fresh.start(on, ended)?;
    house.tell(Event::Peer { number, link: Owned(link), generation, mine, theirs });
    // both ends of the wait are over from here on
    drop(known);
    Ok(())
}
