//! An owner of models or of data: shares what it has among the three parties, and puts its results together.

use super::{
    ClientSetup,
    config::{Limits, Network},
    control::{Control, Hello, ModelFacts, Sort, Status, Ticket, Upload, Why},
    fresh::{Fresh, Options},
    link::{Link, Owned},
    reading::Incoming,
    secrets::random,
    server::{clock, mismatch},
    tls,
    wire::{PIECE, VERSION, check_name, name, pack, unpack},
};
use crate::{
    Error, Result,
    fixed::Fixed,
    nn::{Graph, Program, bounds::bounds, lower},
    protocol as mpc,
};
use ring::digest::{Context, SHA256};
use std::{
    cell::RefCell,
    collections::HashMap,
    ops::RangeInclusive,
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Until a connection must be there.
    pub connect: Duration,
    /// How long a party that refuses is dialled again: it may be starting. Within `connect`.
    pub starting: Duration,
    /// Silence after which a party is taken for lost.
    pub idle: Duration,
    /// Until an answer must be there.
    pub patience: Duration,
    /// Makes the links as slow as such a network, for trials on one machine.
    pub shape: Option<Network>,
}

impl Default for Manners {
    fn default() -> Self {
        let limits = Limits::default();
        Self { connect: limits.connect(), starting: Duration::ZERO, idle: limits.idle(), patience: limits.request(), shape: None }
    }
}

/// Connections to all three parties.
pub struct Connection {
    pub(super) links: [Owned; 3],
    pub(super) inbox: Receiver<(usize, Result<Incoming>)>,
    pub(super) addresses: [String; 3],
    pub(super) manners: Manners,
    pub(super) fixed: Fixed,
    /// Which parties work ahead for requests to come.
    pub(super) prepares: [bool; 3],
    /// Tickets for requests under each lead.
    pub(super) tickets: RefCell<HashMap<(usize, Sort), Vec<Ticket>>>,
}

impl Connection {
    /// Connects to all three.
    pub fn open(setup: &ClientSetup, manners: Manners) -> Result<Self> {
        let (to, inbox) = channel();
        let limits =
            Limits { connect_seconds: manners.connect.as_secs_f64(), idle_seconds: manners.idle.as_secs_f64(), ..Limits::default() };
        let options = Options { starting: manners.starting, ..Options::new(&limits, manners.shape) };
        let (mut links, mut prepares) = (Vec::new(), [false; 3]);
        for number in 0..3 {
            let named = |e: Error| of_party(number, &setup.cluster.party[number].address, e);
            let Met { fresh, prepares: ahead, .. } = meet(setup, number, &options, false).map_err(named)?;
            prepares[number] = ahead;
            let (one, other) = (to.clone(), to.clone());
            let on = move |incoming, _, _: &_| {
                // nobody listens any more once the connection is dropped
                let _ = one.send((number, Ok(incoming)));
                Ok(())
            };
            links.push(Owned(fresh.start(on, move |error| drop(other.send((number, Err(error))))).map_err(named)?));
        }
        let links = links.try_into().unwrap_or_else(|_| unreachable!("three parties"));
        let addresses = std::array::from_fn(|i| setup.cluster.party[i].address.clone());
        Ok(Self { links, inbox, addresses, manners, fixed: setup.cluster.fixed()?, prepares, tickets: RefCell::default() })
    }

    /// How each party is.
    pub fn status(&self) -> Result<[Status; 3]> {
        self.ask_all(&|| Control::Status, |control| match control {
            Control::StatusIs(status) => Some(status),
            _ => None,
        })
    }

    /// Waits until the parties have a session.
    pub fn ready(&self) -> Result<()> {
        let until = Instant::now() + self.manners.connect;
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

    /// The models that all three parties keep for this client, the newest last.
    pub fn models(&self) -> Result<Vec<ModelFacts>> {
        let [mut first, second, third] = self.ask_all(&|| Control::Models, |control| match control {
            Control::ModelList(models) => Some(models),
            _ => None,
        })?;
        first.retain(|model| [&second, &third].iter().all(|models| models.iter().any(|other| other.id == model.id)));
        first.sort_by_key(|model| model.uploaded);
        Ok(first)
    }

    /// The whole id of a model, or of the newest of that name.
    pub fn find(&self, model: &str) -> Result<String> {
        let models = self.models()?;
        let found = models.iter().rev().find(|facts| facts.id == model || name(&facts.id) == model);
        found.map(|facts| facts.id.clone()).ok_or_else(|| {
            let known: Vec<_> = models.iter().map(|facts| &facts.id[..]).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            Error::Input(format!("there is no model '{model}' that all three parties keep for this client; known: {known}"))
        })
    }

    /// What is public of a model, in which all three parties must agree.
    pub fn architecture(&self, id: &str) -> Result<Program> {
        let [first, second, third] = self.ask_all(&|| Control::Architecture { id: id.into() }, |control| match control {
            Control::ArchitectureIs { architecture } => Some(architecture),
            _ => None,
        })?;
        if first != second || first != third {
            return Err(Error::Peer(format!("the parties do not agree on what model {id} is")));
        }
        let program: Program = unpack(&first)?;
        if program.fixed() != self.fixed {
            let (own, found) = (self.fixed.fraction_bits(), program.fixed().fraction_bits());
            return Err(Error::Model(format!("the model {id} has {found} fraction bits, cluster.toml {own}")));
        }
        Ok(program)
    }

    /// Shares a model's weights among the parties, which keep them under the id that is returned. `progress` is told the share
    /// that is done.
    pub fn upload(&self, name: &str, graph: &Graph, progress: impl Fn(f64)) -> Result<String> {
        self.upload_for(name, graph, None, progress)
    }

    /// The same for inputs in a range: comparisons look only at as many bits as the values can have, which become public, and
    /// clients refuse inputs outside it.
    pub fn upload_for(&self, name: &str, graph: &Graph, range: Option<RangeInclusive<f32>>, progress: impl Fn(f64)) -> Result<String> {
        check_name(name)?;
        let lowered = lower(graph, self.fixed)?;
        let program = range.map_or_else(|| Ok(lowered.program.clone()), |range| bounds(&lowered, range))?;
        let (architecture, number) = (pack(&program)?.to_vec(), *random::<16>()?);
        let words: u64 = program.parameters().iter().map(|parameter| parameter.shape.elements() as u64).sum();
        let (uploaded, tensors) = (clock() / 1000, program.parameters().len() as u64);
        let mut id = String::new();
        for (party, link) in self.links.iter().enumerate() {
            // two seeds, or one and all words
            let bytes = if party == 0 { tensors * 66 } else { tensors * 34 + words * 8 };
            let upload = Upload { name: name.into(), architecture: architecture.clone(), uploaded, number, bytes };
            id = upload.id();
            link.control(&Control::Upload(upload));
        }
        let mut digests = [(); 3].map(|()| Context::new(&SHA256));
        let mut done = 0;
        for parameter in lowered.parameters.encoded() {
            let parameter = parameter?;
            let parameter_words = Zeroizing::new(parameter.words);
            let shares = mpc::share(&parameter.shape, &parameter_words)?;
            for (party, share) in shares.iter().enumerate() {
                let mut pieces = Pieces { link: &self.links[party], digest: &mut digests[party], piece: Zeroizing::new(Vec::new()) };
                share.write(&mut pieces).and_then(|()| pieces.end()).map_err(|_| self.trouble(party))?;
            }
            done += parameter_words.len() as u64;
            progress(done as f64 / words as f64);
        }
        for (link, digest) in self.links.iter().zip(digests) {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest.finish().as_ref());
            link.control(&Control::Sealed { digest: bytes });
        }
        self.answers(|control| matches!(control, Control::Stored).then_some(()))?;
        self.ask_all(&|| Control::Commit, |control| matches!(control, Control::Committed).then_some(()))?;
        Ok(id)
    }

    /// The reason why a party takes nothing more.
    fn trouble(&self, party: usize) -> Error {
        while let Ok((from, incoming)) = self.inbox.recv_timeout(self.manners.connect) {
            if let Err(error) = incoming {
                return self.named(from, error);
            }
        }
        self.named(party, Error::Peer("takes nothing more".into()))
    }

    /// The next thing that a party says.
    pub(super) fn hear(&self) -> Result<(usize, Incoming)> {
        let heard = self.inbox.recv_timeout(self.manners.patience);
        let (party, incoming) = heard.map_err(|_| Error::Peer("no answer came in time".into()))?;
        Ok((party, incoming.map_err(|e| self.named(party, e))?))
    }

    /// An error with the party that it is of.
    pub(super) fn named(&self, party: usize, error: Error) -> Error {
        of_party(party, &self.addresses[party], error)
    }

    fn ask_all<T>(&self, ask: &dyn Fn() -> Control, take: impl Fn(Control) -> Option<T>) -> Result<[T; 3]> {
        self.links.iter().for_each(|link| link.control(&ask()));
        self.answers(take)
    }

    /// One answer or refusal of each party, so that nothing is left for the next question; then the first refusal, if any.
    fn answers<T>(&self, take: impl Fn(Control) -> Option<T>) -> Result<[T; 3]> {
        let mut answers: [Option<Result<T>>; 3] = [None, None, None];
        while answers.iter().any(Option::is_none) {
            let (party, incoming) = self.hear()?;
            let answer = match incoming {
                Incoming::Control(Control::Refused { request: None, why, text }) => Some(Err(self.named(party, refusal(why, text)))),
                Incoming::Control(control) => take(control).map(Ok),
                _ => None,
            };
            answers[party] = answers[party].take().or(answer);
        }
        let [a, b, c] = answers.map(|answer| answer.unwrap_or_else(|| unreachable!("all have answered")));
        Ok([a?, b?, c?])
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.addresses.join(", "))
    }
}

/// A party that has been met.
pub(super) struct Met {
    pub(super) fresh: Fresh,
    /// Its clock minus this one's, in seconds.
    pub(super) clock: f64,
    prepares: bool,
}

/// Dials a party and exchanges HELLO.
pub(super) fn meet(setup: &ClientSetup, number: usize, options: &Options, probe: bool) -> Result<Met> {
    let peer = &setup.cluster.party[number];
    let hash = setup.cluster.hash()?;
    let mut fresh = Fresh::dial(&peer.address, tls::dialler(&setup.identity, peer.certificate)?, options)?;
    let party = setup.cluster.party_of(setup.identity.fingerprint()).map(|own| own as u8);
    let program = env!("CARGO_PKG_VERSION").into();
    let sent = clock();
    let hello = Hello { version: VERSION, program, party, probe, cluster: hash, clock: sent, prepares: false, contribution: None };
    fresh.send(&Control::Hello(hello))?;
    match fresh.receive()? {
        Control::Hello(hello) => match mismatch(&hello, &hash) {
            Some(what) => Err(Error::Peer(what)),
            None if hello.party != Some(number as u8) => Err(Error::Peer(format!("says that it is not party {number}"))),
            None => {
                let clock = (hello.clock as f64 - (sent as f64 + clock() as f64) / 2.0) / 1000.0;
                Ok(Met { fresh, clock, prepares: hello.prepares })
            }
        },
        Control::Refused { why, text, .. } => Err(refusal(why, text)),
        _ => Err(Error::Peer("answered HELLO with something else".into())),
    }
}

pub(super) fn refusal(why: Why, text: String) -> Error {
    match why {
        Why::Unauthorised | Why::NoSuchModel | Why::BadRequest | Why::TooMuch => Error::Input(format!("refused: {text}")),
        _ => Error::Peer(format!("gave up ({why:?}): {text}")),
    }
}

/// An error with the party that it is of.
fn of_party(number: usize, address: &str, error: Error) -> Error {
    match error {
        Error::Peer(text) => Error::Peer(format!("party {number} at {address} {text}")),
        Error::Input(text) => Error::Input(format!("party {number} at {address} {text}")),
        other => other,
    }
}

/// Cuts what is written into pieces of an upload.
struct Pieces<'a> {
    link: &'a Link,
    digest: &'a mut Context,
    piece: Zeroizing<Vec<u8>>,
}

impl Pieces<'_> {
    fn end(&mut self) -> std::io::Result<()> {
        self.digest.update(&self.piece);
        self.link.piece(std::mem::take(&mut self.piece)).map_err(std::io::Error::other)
    }
}

impl std::io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.piece.len() == PIECE {
            self.end()?;
        }
        let n = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
