//! State of a party that all its threads share.

use super::{events::Event, metrics::Metrics, quotas::ClientQuota};
use crate::{
    Error, Result,
    device::Device,
    net::{
        budget::Budget,
        config::PartySetup,
        control::Status,
        identity::Fingerprint,
        link::{Link, LinkOptions},
        store::Store,
    },
    nn::{Program, Reveal},
    party::{Keys, Net, Party},
};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::Instant,
};

/// Connections at one time that have not said who they are.
const MAX_UNAUTHENTICATED: u64 = 64;

/// State that all threads of a party share.
pub struct ServerState {
    /// The party's files.
    pub setup: PartySetup,
    /// Its number.
    pub number: usize,
    /// Hash of `cluster.toml`.
    pub cluster_hash: [u8; 32],
    /// Options of links to peers.
    pub options: LinkOptions,
    /// Shares of models.
    pub store: Store,
    /// Party that holds the models.
    pub party: Party,
    /// Bytes that models and requests hold on the device.
    pub memory: Arc<Budget>,
    /// Bytes that peers have sent and the engine has not taken.
    pub inbox: Arc<Budget>,
    /// Connections that have not said who they are.
    pub unauthenticated: Arc<Budget>,
    /// Quotas of clients, by their certificates.
    pub quotas: HashMap<Fingerprint, Arc<ClientQuota>>,
    /// Quota of parties that only measure the way.
    pub probes: Arc<ClientQuota>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    events: Sender<Event>,
    status: Mutex<Status>,
    stopping: AtomicBool,
    broken: AtomicBool,
    connections: Mutex<HashMap<u64, Link>>,
    next_number: AtomicU64,
}

/// Bytes that a model and a request for it hold on the device.
pub struct Footprint {
    /// Bytes of the model.
    pub model: u64,
    /// Bytes of the request besides.
    pub request: u64,
}

impl ServerState {
    /// State of a party that is being started.
    pub fn new(setup: PartySetup, device: Device, options: LinkOptions, events: Sender<Event>) -> Result<Self> {
        let (config, cluster) = (&setup.config, &setup.cluster);
        let clients = cluster.client.iter().enumerate();
        let quotas = clients.map(|(i, client)| (client.certificate, ClientQuota::new(i, Some(client.clone()), &config.limits))).collect();
        let number = config.party;
        // each request has keys of its own: these serve none
        let party = Party::new(number, device, Keys::agreed(&[0; 32], &[0; 32], [0; 16]), cluster.fraction_bits);
        party.set_window(config.limits.window);
        party.set_sign(cluster.sign.into());
        party.set_net(cluster.network.map(Into::into));
        let status = Status { party: number as u8, device: party.device().name(), session: false, requests: 0, prepared: 0 };
        Ok(Self {
            number,
            cluster_hash: cluster.hash()?,
            options,
            store: Store::open(&config.store, number, setup.store_key.clone(), config.limits.store)?,
            party,
            memory: Budget::new(config.memory.unwrap_or(u64::MAX)),
            inbox: Budget::new(config.limits.pending.max(config.limits.window)),
            unauthenticated: Budget::new(MAX_UNAUTHENTICATED),
            quotas,
            probes: ClientQuota::new(0, None, &config.limits),
            metrics: Arc::default(),
            events,
            status: Mutex::new(status),
            stopping: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            connections: Mutex::default(),
            next_number: AtomicU64::new(0),
            setup,
        })
    }

    /// Sends an event to the engine.
    pub fn tell(&self, event: Event) {
        // the engine is gone only when all is over
        let _ = self.events.send(event);
    }

    /// Number that no other connection of this party has.
    pub fn draw_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Links to clients, by the numbers of their connections.
    pub fn connections(&self) -> MutexGuard<'_, HashMap<u64, Link>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// State of the party for operators and clients.
    pub fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the party is being stopped.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Notes that the party is being stopped.
    pub fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether a thread has ended without which there is no party.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Bytes that a model and a request for it hold on the device, from a shape-only run.
    pub fn footprint(&self, program: &Program, count: usize, reveal: Reveal) -> Result<Footprint> {
        let (cluster, window) = (&self.setup.cluster, self.setup.config.limits.window);
        let (sign, net) = (cluster.sign.into(), cluster.network.map(Into::into));
        let [model, request] = shape_only(program.memory(count, reveal, sign, net, window))?;
        Ok(Footprint { model, request })
    }

    /// Whether a preprocessed request ends no later on the cluster's network than one that is not. It may: it has no short signs.
    pub fn worth_preparing(&self, program: &Program, count: usize, reveal: Reveal) -> Result<bool> {
        let cluster = &self.setup.cluster;
        let net = cluster.network.map_or(Net { latency_us: 0, bits_per_second: u64::MAX }, Into::into);
        let began = Instant::now();
        let [whole, online] = shape_only(program.network_seconds(count, reveal, cluster.sign.into(), net))?;
        // the time of the shape-only run is in both; without figures of the network they have the same signs, and it is all that there is
        Ok(cluster.network.is_none() || online <= whole + began.elapsed().as_secs_f64())
    }
}

/// Guard of a thread without which there is no party: when it ends, the party is broken unless it is being stopped.
pub struct ThreadGuard(pub Arc<ServerState>);

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        if !self.0.is_stopping() {
            self.0.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// Result of a shape-only run. An architecture that somebody has made up must not take the others down.
fn shape_only<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let run = catch_unwind(AssertUnwindSafe(|| pollster::block_on(run)));
    run.unwrap_or_else(|_| Err(Error::Model("the architecture cannot be computed".into())))
}
