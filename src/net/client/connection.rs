//! Connection of a client to the three parties: who is there, which models they keep, and what each replies.

use crate::{
    Error, Result,
    net::{
        config::{ClientSetup, Cluster, Limits, LinkFigures},
        control::{Control, PreprocessingToken, RequestKind, Status},
        hello::{self, Introduced, Introduction},
        link::{Incoming, LinkGuard, LinkOptions},
    },
};
use std::{
    cell::RefCell,
    collections::HashMap,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// Options of a client's connection.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Time until a connection must be there.
    pub connect: Duration,
    /// Time for which a party that refuses is dialled again: it may be starting. Within `connect`.
    pub retry: Duration,
    /// Silence after which a party is taken for lost.
    pub idle: Duration,
    /// Time until an answer must be there.
    pub timeout: Duration,
    /// Network that the links imitate, for trials on one machine.
    pub shape: Option<LinkFigures>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        let limits = Limits::default();
        Self { connect: limits.connect(), retry: Duration::ZERO, idle: limits.idle(), timeout: limits.request(), shape: None }
    }
}

impl ClientOptions {
    /// Options of the links.
    pub(super) fn link(&self) -> LinkOptions {
        let limits = Limits { connect_seconds: self.connect.as_secs_f64(), idle_seconds: self.idle.as_secs_f64(), ..Limits::default() };
        LinkOptions { retry: self.retry, ..LinkOptions::new(&limits, self.shape) }
    }
}

/// Connections of a client to all three parties.
///
/// The owner of a model uploads it once; each party keeps its shares. A client that `cluster.toml` allows then asks for inferences.
/// Its inputs leave it as shares, and it alone learns the result.
///
/// ```no_run
/// use std::path::Path;
/// use trishade::{
///     net::{ClientOptions, ClientSetup, Connection, InferOptions},
///     nn::{Reveal, onnx},
/// };
///
/// # fn main() -> trishade::Result<()> {
/// // the files that `trishade cluster init --local --dir demo` writes; three `trishade party` processes are running
/// let setup = ClientSetup::open(Path::new("demo/cluster.toml"), Path::new("demo/owner.crt"), Path::new("demo/owner.key"))?;
/// let connection = Connection::open(&setup, ClientOptions::default())?;
/// connection.ready()?;
///
/// let graph = onnx::open(Path::new("examples/models/lenet_mnist.onnx"))?;
/// let id = connection.upload("lenet", &graph, |done| println!("{:.0} %", 100.0 * done))?;
///
/// let architecture = connection.architecture(&id)?;
/// let images = vec![0.0; 100 * 28 * 28];
/// let options = InferOptions { batch: 32, in_flight: 3, reveal: Reveal::Logits };
/// let answer = connection.infer(&id, &architecture, &images, options, |done| println!("{done} of 100"))?;
/// println!("{:?}: {} bytes between the parties", answer.predictions, answer.cost.bytes_sent.iter().sum::<u64>());
/// # Ok(())
/// # }
/// ```
pub struct Connection {
    pub(super) links: [LinkGuard; 3],
    pub(super) inbox: Receiver<(usize, Result<Incoming>)>,
    addresses: [String; 3],
    pub(super) options: ClientOptions,
    pub(super) cluster: Cluster,
    /// Parties that have preprocessing tokens to give.
    pub(super) preprocesses: [bool; 3],
    /// Preprocessing tokens for requests under each lead.
    pub(super) tokens: RefCell<HashMap<(usize, RequestKind), Vec<PreprocessingToken>>>,
}

impl Connection {
    /// Connects to all three parties.
    ///
    /// [`Error::Peer`] names the party that cannot be reached or refuses, and why; [`Error::Input`] if the client's files are of no use.
    pub fn open(setup: &ClientSetup, options: ClientOptions) -> Result<Self> {
        let (to, inbox) = channel();
        let link_options = options.link();
        let open = |number: usize| -> Result<(LinkGuard, bool)> {
            let Introduced { handshake, hello, .. } = introduce(setup, number, &link_options, false)?;
            let (inbound, ended) = (to.clone(), to.clone());
            // nobody receives any more once the connection is dropped
            let handler = move |incoming, _| {
                let _ = inbound.send((number, Ok(incoming)));
                Ok(())
            };
            let link = handshake.start(handler, move |error| drop(ended.send((number, Err(error)))))?;
            Ok((LinkGuard(link), hello.preprocesses))
        };
        let named = |number: usize| open(number).map_err(|e| of_party(number, &setup.cluster.party[number].address, e));
        let [first, second, third] = [named(0)?, named(1)?, named(2)?];
        Ok(Self {
            inbox,
            addresses: addresses(&setup.cluster),
            options,
            cluster: setup.cluster.clone(),
            preprocesses: [first.1, second.1, third.1],
            links: [first.0, second.0, third.0],
            tokens: RefCell::default(),
        })
    }

    /// State of each party.
    pub fn status(&self) -> Result<[Status; 3]> {
        self.query(&Control::GetStatus, |control| match control {
            Control::Status(status) => Some(status),
            _ => None,
        })
    }

    /// Waits until the parties have a session.
    pub fn ready(&self) -> Result<()> {
        let until = Instant::now() + self.options.connect;
        loop {
            let status = self.status()?;
            match status.iter().position(|status| !status.session) {
                None => return Ok(()),
                Some(party) if Instant::now() > until => {
                    return Err(self.named(party, Error::Peer("has no session with the other parties".into())));
                }
                Some(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Error with the party that it is about.
    pub(super) fn named(&self, party: usize, error: Error) -> Error {
        of_party(party, &self.addresses[party], error)
    }

    /// Next message of any party.
    pub(super) fn next_message(&self) -> Result<(usize, Incoming)> {
        let received = self.inbox.recv_timeout(self.options.timeout);
        let (party, incoming) = received.map_err(|_| Error::Peer("no answer came in time".into()))?;
        Ok((party, incoming.map_err(|e| self.named(party, e))?))
    }

    /// Sends a query to each party and collects the replies.
    pub(super) fn query<T>(&self, query: &Control, take: impl Fn(Control) -> Option<T>) -> Result<[T; 3]> {
        self.links.iter().for_each(|link| link.control(query));
        self.replies(take)
    }

    /// Sends a query to one party, and waits for its reply.
    pub(super) fn query_one<T>(&self, party: usize, query: &Control, take: impl Fn(Control) -> Option<T>) -> Result<T> {
        self.links[party].control(query);
        loop {
            let (from, incoming) = self.next_message()?;
            match incoming {
                Incoming::Control(Control::Refused { request: None, reason, text }) => return Err(self.named(from, reason.error(&text))),
                Incoming::Control(control) if from == party => match take(control) {
                    Some(reply) => return Ok(reply),
                    None => continue,
                },
                _ => {}
            }
        }
    }

    /// One reply or refusal of each party, so that nothing is left for the next query; then the first refusal, if any.
    pub(super) fn replies<T>(&self, take: impl Fn(Control) -> Option<T>) -> Result<[T; 3]> {
        let mut replies: [Option<Result<T>>; 3] = [None, None, None];
        while replies.iter().any(Option::is_none) {
            let (party, incoming) = self.next_message()?;
            let reply = match incoming {
                Incoming::Control(Control::Refused { request: None, reason, text }) => Some(Err(self.named(party, reason.error(&text)))),
                Incoming::Control(control) => take(control).map(Ok),
                _ => None,
            };
            replies[party] = replies[party].take().or(reply);
        }
        let [a, b, c] = replies.map(|reply| reply.expect("all have replied"));
        Ok([a?, b?, c?])
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.addresses.join(", "))
    }
}

/// Dials a party and exchanges HELLO, as a client or, with a party's certificate, as that party.
pub(super) fn introduce(setup: &ClientSetup, number: usize, options: &LinkOptions, probe: bool) -> Result<Introduced> {
    let own = introduction(setup, probe)?;
    hello::dial(&setup.cluster, number, &setup.identity, options, &own)
}

/// Introduction of a client.
pub(super) fn introduction(setup: &ClientSetup, probe: bool) -> Result<Introduction> {
    let party = setup.cluster.party_of(setup.identity.fingerprint()).map(|own| own as u8);
    Ok(Introduction { party, probe, cluster: setup.cluster.hash()?, preprocesses: false, contribution: None })
}

fn addresses(cluster: &Cluster) -> [String; 3] {
    std::array::from_fn(|number| cluster.party[number].address.clone())
}

/// Error with the party that it is about.
fn of_party(number: usize, address: &str, error: Error) -> Error {
    match error {
        Error::Peer(text) => Error::Peer(format!("party {number} at {address} {text}")),
        Error::Input(text) => Error::Input(format!("party {number} at {address} {text}")),
        other => other,
    }
}
