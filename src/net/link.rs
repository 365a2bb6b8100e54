//! A TLS connection with a thread that reads and one that writes, so that both go on at the same time whatever the sizes.
//!
//! Writing takes all that waits, and puts parcels that lie there together into one record; reading is in `reading`. A side that has nothing to say says that it is alive.

use super::{
    config::Network,
    control::{Control, Why},
    fresh::{Fresh, Options},
    reading::Incoming,
    room::Held,
    secrets::Id,
    wire::{Header, Kind, PARCEL_HEADER, RECORD_HEADER, clip, pack, parcel_header},
};
use crate::{Error, Result};
use rustls::Connection;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Bytes of parcels that share a record, unless one alone is larger.
const TOGETHER: usize = 1 << 20;

/// Bytes in the queue beyond which whoever is asked waits before it answers.
const DRAINED: u64 = 8 << 20;

/// Plaintext bytes that are encrypted under one lock.
pub(super) const CHUNK: usize = 1 << 16;

impl Fresh {
    /// Starts both threads. `on` takes what comes, with the room that it takes, and ends the link with an error; `ended` is told
    /// why it ended, once.
    pub(super) fn start(
        self,
        mut on: impl FnMut(Incoming, Option<Held>, &Link) -> Result<()> + Send + 'static,
        ended: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Link> {
        let Self { tcp, mut tls, options, sequences: [sent, received], .. } = self;
        tcp.set_read_timeout(Some(options.idle)).and_then(|()| tcp.set_write_timeout(Some(options.idle))).map_err(|e| broken(&e))?;
        tls.set_buffer_limit(None);
        let queue = Queue { items: VecDeque::new(), bytes: 0, session: [0; 16], free: Instant::now(), closing: false, closed: None };
        let link = Link(Arc::new(Shared {
            queue: Mutex::new(queue),
            wake: Condvar::new(),
            tls: Mutex::new(tls),
            tcp,
            options,
            began: Instant::now(),
            heard: AtomicU64::new(0),
            counted: Default::default(),
        }));
        let (reader, writer) = (link.clone(), link.clone());
        let spawned = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(|e| Error::Device(format!("no thread: {e}")))
        };
        spawned("trishade writer", Box::new(move || writer.write_all(sent)))?;
        let read = move || {
            let error = reader.read_all(received, &mut on);
            let error = reader.queue().closed.clone().unwrap_or(error);
            reader.kill(error.clone());
            ended(error);
        };
        spawned("trishade reader", Box::new(read))?;
        Ok(link)
    }
}

/// One end of a connection at work; copies are the same end.
#[derive(Clone)]
pub(super) struct Link(pub(super) Arc<Shared>);

/// An end that is closed when it is let go.
pub(super) struct Owned(pub(super) Link);

impl std::ops::Deref for Owned {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.close("the other side has done");
    }
}

pub(super) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    tls: Mutex<Connection>,
    pub(super) tcp: TcpStream,
    pub(super) options: Options,
    pub(super) began: Instant,
    /// Milliseconds after that when something last came.
    pub(super) heard: AtomicU64,
    pub(super) counted: Counted,
}

/// Bytes that went through.
#[derive(Default)]
pub(super) struct Counted {
    /// On the socket.
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

struct Queue {
    items: VecDeque<Item>,
    /// In the items.
    bytes: u64,
    /// Of what is put in from now on.
    session: Id,
    /// When the shaped link has sent what is in the queue.
    free: Instant,
    /// What is in the queue still goes out.
    closing: bool,
    closed: Option<Error>,
}

struct Item {
    release: Instant,
    session: Id,
    kind: Kind,
    request: Id,
    bytes: Zeroizing<Vec<u8>>,
}

impl Item {
    fn length(&self) -> usize {
        self.bytes.len() + if self.kind == Kind::Parcels { PARCEL_HEADER } else { 0 }
    }
}

impl Link {
    pub(super) fn control(&self, control: &Control) {
        match pack(control) {
            Ok(bytes) => self.put(Kind::Control, [0; 16], bytes),
            Err(error) => self.kill(error),
        }
    }

    pub(super) fn parcel(&self, request: Id, bytes: Zeroizing<Vec<u8>>) {
        self.put(Kind::Parcels, request, bytes);
    }

    /// Waits while many pieces are in the queue.
    pub(super) fn piece(&self, bytes: Zeroizing<Vec<u8>>) -> Result<()> {
        if let Some(error) = &self.wait_while(|queue| queue.items.len() > 8).closed {
            return Err(error.clone());
        }
        self.put(Kind::Piece, [0; 16], bytes);
        Ok(())
    }

    /// Begins a session: what is sent from now on carries its number, after a message that says so.
    pub(super) fn begin(&self, session: Id) {
        self.control(&Control::Begin { session });
        self.queue().session = session;
    }

    /// Sends what is in the queue, says why, and ends.
    pub(super) fn close(&self, text: &str) {
        self.control(&Control::Goodbye { text: clip(text) });
        self.queue().closing = true;
        self.0.wake.notify_all();
    }

    /// Ends at once.
    pub(super) fn kill(&self, error: Error) {
        let mut queue = self.queue();
        queue.items.clear();
        queue.bytes = 0;
        queue.closed.get_or_insert(error);
        let _ = self.0.tcp.shutdown(Shutdown::Both);
        self.0.wake.notify_all();
    }

    pub(super) fn refuse(&self, request: Option<Id>, why: Why, text: &str) {
        self.control(&Control::refused(request, why, text));
    }

    /// Waits while so much lies there that the other side does not read.
    pub(super) fn drained(&self) {
        drop(self.wait_while(|queue| queue.bytes > DRAINED));
    }

    /// The queue when it is not so full any more, or closed.
    fn wait_while(&self, full: impl Fn(&Queue) -> bool) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue();
        while full(&queue) && queue.closed.is_none() {
            queue = self.0.wake.wait_timeout(queue, self.0.options.idle).unwrap_or_else(PoisonError::into_inner).0;
        }
        queue
    }

    /// Whether nothing waits to be sent.
    pub(super) fn sent_all(&self) -> bool {
        self.queue().items.is_empty()
    }

    /// Whether nothing more goes through.
    pub(super) fn ended(&self) -> bool {
        self.queue().closed.is_some()
    }

    pub(super) fn counted(&self) -> &Counted {
        &self.0.counted
    }

    fn put(&self, kind: Kind, request: Id, bytes: Zeroizing<Vec<u8>>) {
        let mut queue = self.queue();
        if queue.closed.is_some() || queue.closing {
            return;
        }
        let mut item = Item { release: Instant::now(), session: queue.session, kind, request, bytes };
        queue.bytes += item.length() as u64;
        if queue.bytes > self.0.options.unread {
            drop(queue);
            return self.kill(Error::Peer("does not read what it has asked for".into()));
        }
        if let Some(Network { latency_us, bits_per_second }) = self.0.options.shape {
            let seconds = (item.length() + RECORD_HEADER) as f64 * 8.0 / bits_per_second as f64;
            queue.free = queue.free.max(item.release) + Duration::from_secs_f64(seconds);
            item.release = queue.free + Duration::from_micros(latency_us);
        }
        queue.items.push_back(item);
        self.0.wake.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tls(&self) -> MutexGuard<'_, Connection> {
        self.0.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The items of the next record, or none if it is time to say that one is alive, and their session; none if all is over.
    fn next(&self, spoken: Instant) -> Option<(Vec<Item>, Id)> {
        let alive = spoken + self.0.options.idle / 3;
        let mut queue = self.queue();
        loop {
            if queue.closed.is_some() || queue.closing && queue.items.is_empty() {
                return None;
            }
            let now = Instant::now();
            if queue.items.front().is_some_and(|item| item.release <= now) {
                let (mut items, mut length): (Vec<Item>, usize) = (Vec::new(), 0);
                while let Some(item) = queue.items.front()
                    && item.release <= now
                    && items.first().is_none_or(|first| (first.kind, first.session) == (item.kind, item.session))
                    && (items.is_empty() || item.kind == Kind::Parcels && length + item.length() <= self.together())
                {
                    length += item.length();
                    items.extend(queue.items.pop_front());
                }
                queue.bytes = queue.bytes.saturating_sub(length as u64);
                drop(queue);
                self.0.wake.notify_all();
                let session = items.first().map_or([0; 16], |item| item.session);
                return Some((items, session));
            }
            if now >= alive {
                // what is put in later comes later
                return Some((Vec::new(), queue.session));
            }
            let until = queue.items.front().map_or(alive, |item| item.release.min(alive));
            queue = self.0.wake.wait_timeout(queue, until - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn together(&self) -> usize {
        // a fault comes before a frame of a certain number
        #[cfg(feature = "seeded")]
        if self.0.options.fault.is_some() {
            return 0;
        }
        usize::try_from(self.0.options.limit).map_or(TOGETHER, |limit| limit.min(TOGETHER))
    }

    fn write_all(&self, mut sequence: u64) {
        let mut cipher = Vec::new();
        let mut spoken = Instant::now();
        while let Some((items, session)) = self.next(spoken) {
            let header = Header {
                kind: items.first().map_or(Kind::Alive, |item| item.kind),
                session,
                sequence,
                length: items.iter().map(|item| item.length() as u64).sum(),
            };
            #[cfg(feature = "seeded")]
            let header = match self.sabotage(header) {
                Some(header) => header,
                None => continue,
            };
            let parcels = header.kind == Kind::Parcels;
            let mut plain = Zeroizing::new(header.bytes().to_vec());
            let mut write = |plain: &[u8]| self.encrypt(plain, &mut cipher);
            let mut all = || {
                for item in &items {
                    if parcels {
                        plain.extend(parcel_header(&item.request, item.bytes.len()));
                    }
                    // small things travel in one TLS record
                    match plain.len() + item.bytes.len() <= CHUNK {
                        true => plain.extend_from_slice(&item.bytes),
                        false => {
                            write(&plain)?;
                            plain.clear();
                            write(&item.bytes)?;
                        }
                    }
                }
                write(&plain)
            };
            if let Err(e) = all() {
                return self.kill(broken(&e));
            }
            sequence = header.sequence + 1;
            spoken = Instant::now();
        }
        {
            cipher.clear();
            let mut tls = self.tls();
            tls.send_close_notify();
            let _ = tls.write_tls(&mut cipher);
        }
        let _ = self.send(&cipher);
        let _ = self.0.tcp.shutdown(Shutdown::Write);
    }

    pub(super) fn encrypt(&self, plain: &[u8], cipher: &mut Vec<u8>) -> io::Result<()> {
        for chunk in plain.chunks(CHUNK) {
            cipher.clear();
            {
                let mut tls = self.tls();
                tls.writer().write_all(chunk)?;
                while tls.wants_write() {
                    tls.write_tls(cipher)?;
                }
            }
            self.send(cipher)?;
            self.0.counted.sent.fetch_add(cipher.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends all. A side that takes nothing for long is lost, unless it says meanwhile that it is alive: it is at work.
    pub(super) fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.0.tcp).write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && self.heard_of() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Whether something came of late.
    fn heard_of(&self) -> bool {
        let heard = Duration::from_millis(self.0.heard.load(Ordering::Relaxed));
        self.0.began.elapsed().saturating_sub(heard) < self.0.options.idle && self.queue().closed.is_none()
    }
}

/// What an error of a socket or of TLS means to people.
pub(super) fn broken(e: &io::Error) -> Error {
    let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Error::Peer(match (tls, e.kind()) {
        (Some(rustls::Error::General(what)), _) => what.clone(),
        (Some(rustls::Error::AlertReceived(alert)), _) => {
            format!(
                "refused the connection (TLS alert {alert:?}): its cluster.toml may pin another certificate for this side, or it has expired"
            )
        }
        (Some(error), _) => format!("does not speak TLS as it should: {error}"),
        (None, ErrorKind::WouldBlock | ErrorKind::TimedOut) => "has stalled: nothing came in time".into(),
        (None, ErrorKind::UnexpectedEof) => "closed the connection".into(),
        (None, _) => format!("the connection broke: {e}"),
    })
}
