//! A party as a service: one thread accepts, each connection has two, and one thread, the engine, does all that is protocol.

mod engine;
mod hello;
mod metrics;
mod visitor;

use super::{
    PartySetup,
    config::{Client, Limits},
    control::{Ask, Status, Why},
    fresh::{Fresh, Options},
    identity::Fingerprint,
    link::{Link, Owned},
    reading::Incoming,
    room::{Held, Room},
    secrets::Contribution,
    store::Store,
    tls,
    wire::name,
};
use crate::{
    Error, Result,
    device::Device,
    nn::{Program, Reveal},
    party::{Keys, Net, Party},
};
use engine::Engine;
pub(super) use hello::{clock, mismatch};
pub use metrics::Metrics;
use std::{
    collections::HashMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
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
    /// What models and requests hold on the device.
    memory: Arc<Room>,
    /// What peers have sent and the engine has not taken.
    inbox: Arc<Room>,
    accounts: HashMap<Fingerprint, Arc<Account>>,
    /// Of parties that only measure the way.
    probes: Arc<Account>,
    metrics: Arc<Metrics>,
    status: Mutex<Status>,
    stopping: AtomicBool,
    /// A thread without which there is no party has ended.
    broken: AtomicBool,
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
        held: Option<Held>,
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
    /// A request that the client may make; its shares follow.
    Asked {
        visitor: u64,
        link: Link,
        ask: Ask,
        /// The message, and the request.
        held: [Option<Held>; 2],
    },
    FromVisitor {
        visitor: u64,
        account: Arc<Account>,
        link: Link,
        incoming: Incoming,
        held: Option<Held>,
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

/// A client, and what it may take up here.
struct Account {
    /// In the order of `cluster.toml`.
    number: u32,
    /// None: a party that only measures the way.
    client: Option<Client>,
    connections: Arc<Room>,
    requests: Arc<Room>,
    bytes: Arc<Room>,
}

impl Account {
    fn new(number: usize, client: Option<Client>, limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            number: number as u32,
            client,
            connections: Room::new(limits.client_connections as u64),
            requests: Room::new(limits.client_requests as u64),
            bytes: Room::new(limits.client_bytes),
        })
    }

    /// An error unless its client may ask for this model.
    fn permit(&self, model: &str) -> std::result::Result<(), (Why, String)> {
        match self.client.as_ref().is_some_and(|client| client.may_use(name(model))) {
            true => Ok(()),
            false => Err((Why::Unauthorised, format!("client '{}' may not use model {model}", self.name()))),
        }
    }

    fn name(&self) -> &str {
        self.client.as_ref().map_or("a party, probing", |client| &client.name)
    }
}

impl House {
    /// What a model and a request for it hold on the device, in bytes.
    fn foresee(&self, program: &Program, count: usize, reveal: Reveal) -> Result<[u64; 2]> {
        let (cluster, window) = (&self.setup.cluster, self.setup.config.limits.window);
        let (sign, net) = (cluster.sign.into(), cluster.network.map(Into::into));
        dry(program.memory(count, reveal, sign, net, window))
    }

    /// Whether a request ends no later on the network if its lead works ahead. It may: a prepared run has no short signs.
    fn pays(&self, program: &Program, count: usize, reveal: Reveal) -> Result<bool> {
        let cluster = &self.setup.cluster;
        let net = cluster.network.map_or(Net { latency_us: 0, bits_per_second: u64::MAX }, Into::into);
        let began = Instant::now();
        let [whole, rest] = dry(program.network_seconds(count, reveal, cluster.sign.into(), net))?;
        // the dry run's own time is in both; without figures of the network they have the same signs, and it is all that there is
        Ok(cluster.network.is_none() || rest <= whole + began.elapsed().as_secs_f64())
    }

    fn visitors(&self) -> MutexGuard<'_, HashMap<u64, Link>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        // the engine is gone only when all is over
        let _ = self.events.send(event);
    }
}

/// A dry run. An architecture that somebody has made up must not take the others down.
fn dry<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let run = catch_unwind(AssertUnwindSafe(|| pollster::block_on(run)));
    run.unwrap_or_else(|_| Err(Error::Model("the architecture cannot be computed".into())))
}

/// A party at work.
pub struct Server {
    house: Arc<House>,
    address: SocketAddr,
    acceptor: JoinHandle<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Listens, dials the parties of lower numbers again and again until it is stopped, and waits for those of higher ones.
    ///
    /// [`Error::Input`] if the address is taken, or the key and certificate are of no use; [`Error::File`] for the store.
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
        let known = cluster.party.iter().map(|party| party.certificate);
        let known = known.chain(cluster.client.iter().map(|client| client.certificate)).collect();
        let shake = tls::listener(&setup.identity, known)?;
        let accounts = cluster.client.iter().enumerate();
        let accounts = accounts.map(|(i, client)| (client.certificate, Account::new(i, Some(client.clone()), &config.limits))).collect();
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
            memory: Room::new(config.memory.unwrap_or(u64::MAX)),
            inbox: Room::new(config.limits.early.max(config.limits.window)),
            accounts,
            probes: Account::new(0, None, &config.limits),
            metrics: Arc::default(),
            status: Mutex::new(status),
            stopping: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            strangers: AtomicUsize::new(0),
            visitors: Mutex::default(),
            numbers: AtomicU64::new(0),
            setup,
        });
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map_err(|e| Error::Device(format!("no thread: {e}")))
        };
        let (one, other) = (Needed(house.clone()), Needed(house.clone()));
        let acceptor = spawn("trishade acceptor", Box::new(move || accept(&other.0, &listener, &shake)))?;
        let mut threads = vec![spawn("trishade engine", Box::new(move || Engine::new(one.0.clone()).run(&inbox)))?];
        if let Some(at) = house.setup.config.metrics {
            threads.push(metrics::serve(&house, at)?);
        }
        tracing::info!(party = number, %address, device = %house.party.device().name(), "listening");
        Ok(Self { house, address, acceptor, threads })
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

    /// Whether a thread of it has failed, so that it serves nobody any more.
    pub fn is_broken(&self) -> bool {
        self.house.broken.load(Ordering::Relaxed)
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
        let Self { mut address, acceptor, threads, .. } = self;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        for thread in threads {
            let _ = thread.join();
        }
        // The acceptor looks up when somebody connects. A machine that cannot reach itself leaves it to the next who does.
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            let _ = acceptor.join();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server(party {} at {})", self.house.number, self.address)
    }
}

/// Held by a thread without which there is no party.
struct Needed(Arc<House>);

impl Drop for Needed {
    fn drop(&mut self) {
        if !self.0.stopping.load(Ordering::Relaxed) {
            self.0.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// Takes connections until the party is stopped.
fn accept(house: &Arc<House>, listener: &TcpListener, config: &Arc<rustls::ServerConfig>) {
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
