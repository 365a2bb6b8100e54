//! A party as a service: one thread accepts, each connection has two, and one thread, the engine, does all that is protocol.

mod engine;
mod hello;
mod metrics;
mod visitor;

use super::{
    PartySetup,
    config::Client,
    fresh::{Fresh, Options},
    link::{Incoming, Link, Owned},
    secrets::Contribution,
    store::Store,
    tls,
    wire::Status,
};
use crate::{
    Error, Result,
    device::Device,
    party::{Keys, Party},
};
use engine::Engine;
pub(super) use hello::{clock, mismatch};
pub use metrics::Metrics;
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Connections that have not said who they are.
const MOST_STRANGERS: usize = 64;

/// What all threads of a party know.
struct House {
    setup: PartySetup,
    number: usize,
    cluster_hash: [u8; 32],
    options: Options,
    store: Store,
    party: Party,
    events: Sender<Event>,
    budget: Budget,
    metrics: Arc<Metrics>,
    status: Mutex<Status>,
    stopping: AtomicBool,
    strangers: AtomicUsize,
    visitors: Mutex<HashMap<u64, Link>>,
    numbers: AtomicU64,
}

/// What the engine is told.
enum Event {
    /// A link to a peer is there.
    Peer {
        number: usize,
        link: Owned,
        generation: u64,
        mine: Contribution,
        theirs: Contribution,
    },
    FromPeer {
        number: usize,
        generation: u64,
        incoming: Incoming,
    },
    PeerGone {
        number: usize,
        generation: u64,
        error: Error,
    },
    DialFailed {
        number: usize,
        error: Error,
    },
    FromVisitor {
        visitor: u64,
        client: Arc<Client>,
        link: Link,
        incoming: Incoming,
    },
    VisitorGone {
        visitor: u64,
    },
    /// Ends in order.
    Stop,
    /// Ends at once, as if the process had been killed.
    #[cfg(feature = "seeded")]
    Kill,
}

/// Bytes of events that the engine has not taken: readers wait while there are too many.
struct Budget {
    limit: u64,
    used: Mutex<u64>,
    room: Condvar,
}

impl Budget {
    fn take(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > self.limit {
            used = self.room.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
    }

    fn give(&self, bytes: u64) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        *used = used.saturating_sub(bytes);
        self.room.notify_all();
    }
}

/// Bytes that count.
fn size(incoming: &Incoming) -> u64 {
    match incoming {
        Incoming::Parcels(bytes) | Incoming::Piece(bytes) => bytes.len() as u64,
        Incoming::Control(_) => 0,
    }
}

impl House {
    fn visitors(&self) -> MutexGuard<'_, HashMap<u64, Link>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        // the engine is gone only when all is over
        let _ = self.events.send(event);
    }
}

/// A party at work.
pub struct Server {
    house: Arc<House>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens, and looks for the other two parties, again and again until it is stopped.
    pub fn start(setup: PartySetup, device: Device) -> Result<Self> {
        Self::with_options(setup, device, |options| options)
    }

    /// The same with a fault to come: for tests.
    #[cfg(feature = "seeded")]
    pub fn start_with_fault(setup: PartySetup, device: Device, plan: Arc<super::faults::Plan>) -> Result<Self> {
        Self::with_options(setup, device, |options| Options { fault: Some(plan), ..options })
    }

    fn with_options(setup: PartySetup, device: Device, change: impl FnOnce(Options) -> Options) -> Result<Self> {
        let (config, cluster) = (&setup.config, &setup.cluster);
        let listener = TcpListener::bind(config.listen)
            .map_err(|e| Error::Input(format!("cannot listen on {}: {e}; is another party running there?", config.listen)))?;
        let address = listener.local_addr().map_err(|e| Error::Device(e.to_string()))?;
        let store = Store::open(&config.store, config.party, setup.store_key.clone(), config.limits.store)?;
        let number = config.party;
        // each request has keys of its own: these serve none
        let party = Party::new(number, device, Keys::agreed(&[0; 32], &[0; 32], [0; 16]), cluster.fraction_bits);
        party.set_window(config.limits.window);
        party.set_sign(cluster.sign.into());
        party.set_net(cluster.network.map(Into::into));
        let (events, inbox) = channel();
        let status = Status { party: number as u8, device: party.device().name(), session: false, requests: 0, prepared: 0 };
        let options = change(Options::new(&config.limits, config.shape));
        let house = Arc::new(House {
            cluster_hash: cluster.hash()?,
            number,
            options,
            store,
            party,
            events,
            budget: Budget { limit: config.limits.early.max(config.limits.window), used: Mutex::new(0), room: Condvar::new() },
            metrics: Arc::default(),
            status: Mutex::new(status),
            stopping: AtomicBool::new(false),
            strangers: AtomicUsize::new(0),
            visitors: Mutex::default(),
            numbers: AtomicU64::new(0),
            setup,
        });
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map_err(|e| Error::Device(format!("no thread: {e}")))
        };
        let (one, other) = (house.clone(), house.clone());
        let mut threads = vec![
            spawn("trishade engine", Box::new(move || Engine::new(one).run(&inbox)))?,
            spawn("trishade acceptor", Box::new(move || accept(&other, &listener)))?,
        ];
        if let Some(at) = house.setup.config.metrics {
            threads.push(metrics::serve(&house, at)?);
        }
        tracing::info!(party = number, %address, device = %house.party.device().name(), "listening");
        Ok(Self { house, address, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has done so far.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.house.metrics.clone()
    }

    /// How it is.
    pub fn status(&self) -> Status {
        self.house.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends in order: requests under way are given up, peers and clients are told, keys are cleared.
    pub fn stop(self) {
        self.end(Event::Stop);
    }

    /// Ends at once, and tells nobody.
    #[cfg(feature = "seeded")]
    pub fn kill(self) {
        self.end(Event::Kill);
    }

    fn end(self, event: Event) {
        self.house.stopping.store(true, Ordering::Relaxed);
        self.house.tell(event);
        // the acceptor looks up
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server(party {} at {})", self.house.number, self.address)
    }
}

/// Takes connections until the party is stopped.
fn accept(house: &Arc<House>, listener: &TcpListener) {
    let known = house.setup.cluster.party.iter().map(|party| party.certificate);
    let known = known.chain(house.setup.cluster.client.iter().map(|client| client.certificate)).collect();
    let config = match tls::listener(&house.setup.identity, known) {
        Ok(config) => config,
        Err(error) => return tracing::error!(%error, "cannot accept connections"),
    };
    for tcp in listener.incoming() {
        if house.stopping.load(Ordering::Relaxed) {
            return;
        }
        let tcp = match tcp {
            Ok(tcp) => tcp,
            Err(error) => {
                // out of file handles, perhaps: they come back
                tracing::warn!(%error, "a connection could not be taken");
                thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if house.strangers.fetch_add(1, Ordering::Relaxed) >= MOST_STRANGERS {
            house.strangers.fetch_sub(1, Ordering::Relaxed);
            house.metrics.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let (host, config) = (house.clone(), config.clone());
        let welcome = move || {
            let address = tcp.peer_addr().map_or_else(|_| "?".into(), |address| address.to_string());
            let welcomed = Fresh::accept(tcp, config, &host.options).and_then(|fresh| hello::welcome(&host, fresh));
            host.strangers.fetch_sub(1, Ordering::Relaxed);
            if let Err(error) = welcomed {
                host.metrics.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%address, %error, "a connection was refused");
            }
        };
        if thread::Builder::new().name("trishade welcome".into()).spawn(welcome).is_err() {
            house.strangers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
