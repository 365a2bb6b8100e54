//! Three parties of this process, each with sockets of its own, and an owner.
#![allow(dead_code, reason = "each test uses a part")]

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use trishade::{
    device::Device,
    net::{
        ClientOptions, ClientSetup, Connection, FaultPlan, PartySetup, Server,
        config::{Limits, LinkFigures},
        setup,
    },
};

pub struct Cluster {
    pub folder: PathBuf,
    pub parties: [Option<Server>; 3],
    pub device: Device,
    /// Requests that each party prepares.
    pub prepare: usize,
    /// Bytes that each party may hold.
    pub memory: Option<u64>,
}

/// Ports that nobody uses.
fn ports() -> [u16; 3] {
    let bound = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    bound.map(|listener| listener.local_addr().unwrap().port())
}

/// Limits for tests: short waits.
pub fn limits() -> Limits {
    Limits { connect_seconds: 3.0, idle_seconds: 2.0, request_seconds: 20.0, ..Limits::default() }
}

impl Cluster {
    pub fn new(name: &str, shape: Option<LinkFigures>, limits: &Limits) -> Self {
        let folder = std::env::temp_dir().join(format!("trishade-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        setup::local(&folder, ports(), "cpu", shape, limits).unwrap();
        Self { folder, parties: [None, None, None], device: Device::cpu(2).unwrap(), prepare: 0, memory: None }
    }

    pub fn setup(&self, number: usize) -> PartySetup {
        let mut setup = PartySetup::open(&self.folder.join(format!("party{number}.toml"))).unwrap();
        setup.config.prepare = self.prepare;
        setup.config.memory = self.memory;
        setup
    }

    pub fn start(&mut self, number: usize) {
        self.parties[number] = Some(Server::start(self.setup(number), self.device.clone()).unwrap());
    }

    pub fn start_all(&mut self) {
        (0..3).for_each(|number| self.start(number));
        self.wait();
    }

    pub fn start_with_fault(&mut self, number: usize, plan: Arc<FaultPlan>) {
        self.parties[number] = Some(Server::start_with_fault(self.setup(number), self.device.clone(), plan).unwrap());
    }

    /// Until all that run have a session.
    pub fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.parties.iter().flatten().all(|party| party.status().session) {
            assert!(Instant::now() < until, "no session");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Until each party has prepared so many requests.
    pub fn wait_prepared(&self, count: u32) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.parties.iter().flatten().all(|party| party.status().prepared == count) {
            let prepared: Vec<u32> = self.parties.iter().flatten().map(|party| party.status().prepared).collect();
            assert!(Instant::now() < until, "{prepared:?} requests are prepared, not {count}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn owner(&self) -> ClientSetup {
        client(&self.folder, "owner")
    }

    pub fn connect(&self) -> Connection {
        Connection::open(&self.owner(), client_options()).unwrap()
    }
}

pub fn client(folder: &Path, name: &str) -> ClientSetup {
    try_client(folder, name).unwrap()
}

pub fn try_client(folder: &Path, name: &str) -> trishade::Result<ClientSetup> {
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    ClientSetup::open(&folder.join("cluster.toml"), &file("crt"), &file("key"))
}

pub fn client_options() -> ClientOptions {
    ClientOptions {
        connect: Duration::from_secs(3),
        retry: Duration::ZERO,
        idle: Duration::from_secs(2),
        timeout: Duration::from_secs(20),
        shape: None,
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.parties.iter_mut().filter_map(Option::take).for_each(Server::stop);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
