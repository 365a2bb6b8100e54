//! An owner of models or of data: shares what it has among the three parties, and puts its results together.

use super::{
    ClientSetup,
    config::{Limits, Network},
    control::{Ask, Control, Hello, ModelFacts, SecretBytes, Sort, Spent, Status, Ticket, Upload, Why},
    fresh::{Fresh, Options},
    link::{Link, Owned},
    reading::Incoming,
    secrets::{Id, random},
    server::{clock, mismatch},
    tls,
    wire::{PIECE, VERSION, check_name, pack, parcels, unpack},
};
use crate::{
    Error, Result, clock as seconds,
    fixed::Fixed,
    nn::{Answer, Architecture, Graph, Reveal},
    protocol as mpc,
    ring::Word,
};
use ring::digest::{Context, SHA256};
use std::{
    cell::RefCell,
    collections::HashMap,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
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

/// What a batch of inputs is asked with.
#[derive(Debug, Clone, Copy)]
pub struct Asking {
    /// Inputs of one request.
    pub batch: usize,
    /// Requests under way at one time; their leads take turns.
    pub in_flight: usize,
    /// What is revealed.
    pub reveal: Reveal,
}

/// Connections to all three parties.
pub struct Connection {
    links: [Owned; 3],
    inbox: Receiver<(usize, Result<Incoming>)>,
    addresses: [String; 3],
    manners: Manners,
    fixed: Fixed,
    /// Which parties work ahead for requests to come.
    prepares: [bool; 3],
    /// Tickets for requests under each lead.
    tickets: RefCell<HashMap<(usize, Sort), Vec<Ticket>>>,
}

/// What has come of a request.
struct Waiting {
    first: usize,
    count: usize,
    parts: [Option<Vec<Vec<Word>>>; 3],
    spent: [Option<Spent>; 3],
    shared: u64,
    began: Instant,
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
                    return Err(of_party(party, &self.addresses[party], Error::Peer("has no session with the other parties".into())));
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
        let found = models.iter().rev().find(|facts| facts.id == model || facts.id.split_once('@').is_some_and(|(name, _)| name == model));
        found.map(|facts| facts.id.clone()).ok_or_else(|| {
            let known: Vec<_> = models.iter().map(|facts| &facts.id[..]).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            Error::Input(format!("there is no model '{model}' that all three parties keep for this client; known: {known}"))
        })
    }

    /// What is public of a model, in which all three parties must agree.
    pub fn architecture(&self, id: &str) -> Result<Architecture> {
        let [first, second, third] = self.ask_all(&|| Control::Architecture { id: id.into() }, |control| match control {
            Control::ArchitectureIs { architecture } => Some(architecture),
            _ => None,
        })?;
        if first != second || first != third {
            return Err(Error::Peer(format!("the parties do not agree on what model {id} is")));
        }
        let architecture: Architecture = unpack(&first)?;
        architecture.check(self.fixed)?;
        Ok(architecture)
    }

    /// Shares a model's weights among the parties, which keep them under the id that is returned. `progress` is told the share
    /// that is done.
    pub fn upload(&self, name: &str, graph: &Graph, progress: impl Fn(f64)) -> Result<String> {
        check_name(name)?;
        let (architecture, parameters) = Architecture::of(graph, self.fixed)?;
        let (architecture, number) = (pack(&architecture)?.to_vec(), *random::<16>()?);
        let words: u64 = parameters.iter().map(|parameter| parameter.words.len() as u64).sum();
        let (uploaded, tensors) = (clock() / 1000, parameters.len() as u64);
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
        for parameter in parameters {
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
                return of_party(from, &self.addresses[from], error);
            }
        }
        of_party(party, &self.addresses[party], Error::Peer("takes nothing more".into()))
    }

    /// Takes tickets for so many inputs, as far as the parties have worked ahead for such requests: [`infer`](Self::infer) uses
    /// them, and then costs only what was not done before. One round trip, if any party works ahead. Returns how many requests
    /// are prepared.
    ///
    /// A ticket lasts as long as this connection, and at most the parties' `request_seconds`.
    pub fn prepare(&self, id: &str, inputs: usize, asking: Asking) -> Result<usize> {
        let mut asked = [0; 3];
        for (lead, link) in self.links.iter().enumerate().filter(|(lead, _)| self.prepares[*lead]) {
            let mut wanted: HashMap<usize, u32> = HashMap::new();
            let counts = sizes(inputs, asking.batch).enumerate().filter(|(request, _)| request % 3 == lead);
            counts.for_each(|(_, count)| *wanted.entry(count).or_default() += 1);
            asked[lead] = wanted.len();
            for (count, wanted) in wanted {
                link.control(&Control::Tickets { sort: sort(id, count, asking.reveal), wanted });
            }
        }
        let mut taken = 0;
        while asked.iter().any(|&left| left > 0) {
            let (party, incoming) =
                self.inbox.recv_timeout(self.manners.patience).map_err(|_| Error::Peer("no answer came in time".into()))?;
            let named = |e| of_party(party, &self.addresses[party], e);
            match incoming.map_err(named)? {
                Incoming::Control(Control::TicketsAre { sort, tickets }) => {
                    asked[party] = asked[party].saturating_sub(1);
                    taken += tickets.len();
                    self.tickets.borrow_mut().entry((party, sort)).or_default().extend(tickets);
                }
                Incoming::Control(Control::Refused { request: None, why, text }) => return Err(named(refusal(why, text))),
                _ => {}
            }
        }
        Ok(taken)
    }

    /// Scores of `values.len() / inputs` images. The session must be there ([`ready`](Self::ready)). `progress` is told how many
    /// are done.
    pub fn infer(
        &self,
        id: &str,
        architecture: &Architecture,
        values: &[f32],
        asking: Asking,
        mut progress: impl FnMut(usize),
    ) -> Result<Answer> {
        let Asking { batch, in_flight, reveal } = asking;
        let size: usize = architecture.input_extents().iter().product();
        if values.is_empty() || !values.len().is_multiple_of(size) || batch == 0 || in_flight == 0 {
            return Err(Error::Input(format!("{} numbers in batches of {batch}: an input of the model has {size}", values.len())));
        }
        let began = seconds::now();
        let mut parts: Vec<Option<Answer>> = values.chunks(batch.saturating_mul(size)).map(|_| None).collect();
        let mut todo = values.chunks(batch.saturating_mul(size)).enumerate();
        let mut waiting: HashMap<Id, Waiting> = HashMap::new();
        let mut done = 0;
        let ended = loop {
            while waiting.len() < in_flight
                && let Some((first, part)) = todo.next()
            {
                let ticket = self.ticket(first, &sort(id, part.len() / size, reveal))?;
                waiting.insert(ticket.request, self.ask(&ticket, id, architecture, first, part, reveal)?);
            }
            if waiting.is_empty() {
                break Ok(());
            }
            match self.collect(architecture, &mut waiting, reveal) {
                Ok(answers) => {
                    for (first, count, answer) in answers {
                        parts[first] = Some(answer);
                        done += count;
                        progress(done);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        for request in waiting.into_keys() {
            self.links.iter().for_each(|link| link.control(&Control::Cancel { request }));
        }
        ended?;
        let mut whole = Answer::default();
        for part in parts.into_iter().flatten() {
            whole.append(part);
        }
        whole.cost.seconds.compute = seconds::now() - began;
        Ok(whole)
    }

    /// A ticket of the lead, or one without a share that this side has drawn: nothing is prepared for it.
    fn ticket(&self, first: usize, sort: &Sort) -> Result<Ticket> {
        let given = self.tickets.borrow_mut().get_mut(&(first % 3, sort.clone())).and_then(Vec::pop);
        given.map_or_else(|| Ok(Ticket { request: *random::<16>()?, share: SecretBytes::default() }), Ok)
    }

    /// Shares some inputs among the parties.
    fn ask(&self, ticket: &Ticket, id: &str, architecture: &Architecture, first: usize, part: &[f32], reveal: Reveal) -> Result<Waiting> {
        let (lead, request, ahead) = (first % 3, ticket.request, !ticket.share.0.is_empty());
        let count = part.len() / architecture.input_extents().iter().product::<usize>();
        let (words, shape) = (Zeroizing::new(self.fixed.encode("input", part)?), architecture.input_shape(count)?);
        let promise = match ahead {
            true => mpc::Promise::of(mpc::Input::read(&shape, &mut &ticket.share.0[..])?)?,
            false => mpc::promise(&shape)?,
        };
        // components are counted from the lead, so that its two are seeds
        let mut shares = promise.keep(&words)?;
        shares.rotate_right(lead);
        let patience = self.manners.patience.as_millis() as u64;
        let ask = Ask { request, model: id.into(), count: count as u32, reveal, lead: lead as u8, ahead, patience };
        let mut shared = 0;
        for (party, (link, share)) in self.links.iter().zip(&shares).enumerate() {
            let mut bytes = Zeroizing::new(Vec::with_capacity(share.bytes() as usize + 2));
            // the lead that gave the ticket has chosen its share itself
            if party != lead || !ahead {
                shared += share.bytes();
                share.write(&mut *bytes).map_err(|e| Error::Device(e.to_string()))?;
            }
            link.control(&Control::Ask(ask.clone()));
            link.parcel(request, bytes);
        }
        Ok(Waiting { first, count, parts: Default::default(), spent: Default::default(), shared, began: Instant::now() })
    }

    /// Makes a request twice under one number, or with one ticket, as nobody does who means well.
    #[cfg(feature = "seeded")]
    pub fn replay(&self, id: &str, architecture: &Architecture, values: &[f32]) -> Result<()> {
        let ticket = self.ticket(0, &sort(id, 1, Reveal::Logits))?;
        for _ in 0..2 {
            let state = self.ask(&ticket, id, architecture, 0, values, Reveal::Logits)?;
            let mut waiting = HashMap::from([(ticket.request, state)]);
            while !waiting.is_empty() {
                self.collect(architecture, &mut waiting, Reveal::Logits)?;
            }
        }
        Ok(())
    }

    /// The next thing that comes, and the answers that it completes.
    fn collect(
        &self,
        architecture: &Architecture,
        waiting: &mut HashMap<Id, Waiting>,
        reveal: Reveal,
    ) -> Result<Vec<(usize, usize, Answer)>> {
        // the parties give up first, and say why
        let until = waiting.values().map(|w| w.began).min().unwrap_or_else(Instant::now) + self.manners.patience + self.manners.idle;
        let (party, incoming) = match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(incoming) => incoming,
            Err(RecvTimeoutError::Timeout) => return Err(Error::Peer("no answer came in time, and no party says why".into())),
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Peer("all parties are gone".into())),
        };
        let named = |e| of_party(party, &self.addresses[party], e);
        let body = match incoming.map_err(named)? {
            // of a request that was given up before: the others say so too
            Incoming::Control(Control::Refused { request: Some(request), .. }) if !waiting.contains_key(&request) => return Ok(Vec::new()),
            Incoming::Control(Control::Refused { why, text, .. }) => return Err(named(refusal(why, text))),
            Incoming::Control(Control::Answer { request, spent }) => {
                waiting.entry(request).and_modify(|w| w.spent[party] = Some(spent));
                return Ok(Vec::new());
            }
            Incoming::Parcels(body) => body,
            _ => return Ok(Vec::new()),
        };
        let mut answers = Vec::new();
        for (request, bytes) in parcels(&body)? {
            let Some(state) = waiting.get_mut(&request) else { continue };
            let lengths = architecture.revealed(state.count, reveal)?;
            if bytes.len() != 8 * lengths.iter().sum::<usize>() {
                return Err(named(Error::Peer("sent a result of another size than the model's outputs have".into())));
            }
            let mut rest = bytes.chunks_exact(8).map(|b| Word::from_le_bytes(std::array::from_fn(|i| b[i])));
            state.parts[party] = Some(lengths.iter().map(|&length| rest.by_ref().take(length).collect()).collect());
            if let [Some(a), Some(b), Some(c)] = &state.parts {
                let mut answer = architecture.answer([a, b, c], state.count, reveal, self.fixed)?;
                let spent = state.spent.map(Option::unwrap_or_default);
                answer.cost.rounds = 1 + spent.iter().map(|spent| spent.rounds).max().unwrap_or(0);
                answer.cost.bytes_from_owners = state.shared;
                answer.cost.bytes_sent = spent.map(|spent| spent.bytes);
                answer.cost.bytes_prepared = spent.iter().map(|spent| spent.ahead.bytes).sum();
                answer.cost.seconds.prepare = spent.iter().map(|spent| spent.ahead.seconds).sum();
                answers.push((state.first, state.count, answer));
                waiting.remove(&request);
            }
        }
        Ok(answers)
    }

    fn ask_all<T>(&self, ask: &dyn Fn() -> Control, take: impl Fn(Control) -> Option<T>) -> Result<[T; 3]> {
        self.links.iter().for_each(|link| link.control(&ask()));
        self.answers(take)
    }

    /// One answer or refusal of each party, so that nothing is left for the next question; then the first refusal, if any.
    fn answers<T>(&self, take: impl Fn(Control) -> Option<T>) -> Result<[T; 3]> {
        let mut answers: [Option<Result<T>>; 3] = [None, None, None];
        while answers.iter().any(Option::is_none) {
            let (party, incoming) =
                self.inbox.recv_timeout(self.manners.patience).map_err(|_| Error::Peer("no answer came in time".into()))?;
            let named = |e| of_party(party, &self.addresses[party], e);
            let answer = match incoming.map_err(named)? {
                Incoming::Control(Control::Refused { request: None, why, text }) => Some(Err(named(refusal(why, text)))),
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

/// Inputs of each request for `inputs` of them, `batch` at a time.
fn sizes(inputs: usize, batch: usize) -> impl Iterator<Item = usize> {
    (0..inputs).step_by(batch.max(1)).map(move |first| batch.min(inputs - first))
}

fn sort(model: &str, count: usize, reveal: Reveal) -> Sort {
    Sort { model: model.into(), count: count as u32, reveal }
}

fn refusal(why: Why, text: String) -> Error {
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
