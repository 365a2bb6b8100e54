//! Server: a party as a service. One thread accepts, each connection has two, and one thread, the engine, does all that is protocol.

mod accept;
mod connection;
mod engine;
mod events;
mod hello;
mod metrics;
mod quotas;
mod refusal;
mod state;
mod upload;

pub use metrics::Metrics;

#[cfg(feature = "seeded")]
use super::link::FaultPlan;
use super::{config::PartySetup, control::Status, link::LinkOptions, tls};
use crate::{Error, Result, device::Device};
use engine::Engine;
use events::Event;
use state::{ServerState, ThreadGuard};
use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, mpsc::channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// Party at work.
pub struct Server {
    state: Arc<ServerState>,
    address: SocketAddr,
    acceptor: JoinHandle<()>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a party: it listens, dials the parties of lower numbers again and again until it is stopped, and waits for those of
    /// higher ones.
    ///
    /// [`Error::Input`] if the address is taken, or the key and certificate are of no use; [`Error::File`] for the store.
    pub fn start(setup: PartySetup, device: Device) -> Result<Self> {
        let options = LinkOptions::new(&setup.config.limits, setup.config.shape);
        Self::with_options(setup, device, options)
    }

    /// Starts a party with a fault to come: for tests.
    #[cfg(feature = "seeded")]
    pub fn start_with_fault(setup: PartySetup, device: Device, plan: Arc<FaultPlan>) -> Result<Self> {
        let options = LinkOptions::new(&setup.config.limits, setup.config.shape);
        Self::with_options(setup, device, LinkOptions { fault: Some(plan), ..options })
    }

    fn with_options(setup: PartySetup, device: Device, options: LinkOptions) -> Result<Self> {
        let (listen, metrics) = (setup.config.listen, setup.config.metrics);
        let listener = TcpListener::bind(listen)
            .map_err(|e| Error::Input(format!("cannot listen on {listen}: {e}; is another party running there?")))?;
        let address = listener.local_addr().map_err(|e| Error::Device(e.to_string()))?;
        let known = setup.cluster.party.iter().map(|party| party.certificate);
        let known = known.chain(setup.cluster.client.iter().map(|client| client.certificate)).collect();
        let config = tls::listener(&setup.identity, known)?;
        let (events, inbox) = channel();
        let state = Arc::new(ServerState::new(setup, device, options, events)?);
        let (accepting, running) = (ThreadGuard(state.clone()), ThreadGuard(state.clone()));
        let acceptor = spawn("trishade acceptor", move || accept::run(&accepting.0, &listener, &config))?;
        let mut threads = vec![spawn("trishade engine", move || Engine::new(running.0.clone()).run(&inbox))?];
        if let Some(at) = metrics {
            let stopped = state.clone();
            threads.push(metrics::serve(state.metrics.clone(), at, move || stopped.is_stopping())?);
        }
        tracing::info!(party = state.number, %address, device = %state.party.device().name(), "listening");
        Ok(Self { state, address, acceptor, threads })
    }

    /// Address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Counters since it was started.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.state.metrics.clone()
    }

    /// State of the party.
    pub fn status(&self) -> Status {
        self.state.status().clone()
    }

    /// Whether a thread of it has failed, so that it serves nobody any more.
    pub fn is_broken(&self) -> bool {
        self.state.is_broken()
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
        let Self { state, mut address, acceptor, threads } = self;
        state.set_stopping();
        state.tell(event);
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
        }
        for thread in threads {
            // one that has failed said so
            let _ = thread.join();
        }
        // The acceptor wakes up when somebody connects. A machine that cannot reach itself leaves it to the next who does.
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            let _ = acceptor.join();
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server(party {} at {})", self.state.number, self.address)
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).spawn(run).map_err(|e| Error::Device(format!("no thread: {e}")))
}
