//! Outbound queue of a link: what waits to be sent, and the link's end.

use super::{options::LinkOptions, socket::Socket};
use crate::{
    Error,
    net::{
        config::LinkFigures,
        secrets::Id,
        wire::{Kind, PARCEL_HEADER, RECORD_HEADER},
    },
};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Bytes of parcels that share a record, unless one alone is larger.
const TOGETHER: usize = 1 << 20;

/// Queue of what waits to be sent on a link.
pub struct Outbound {
    /// Socket to which the writer sends.
    pub socket: Socket,
    /// Options of the link.
    pub options: LinkOptions,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    items: VecDeque<Item>,
    /// Bytes in the items.
    bytes: u64,
    /// Session of the items that are put in from now on.
    session: Id,
    /// Time when a shaped link has sent what is in the queue.
    free: Instant,
    /// Nothing more is put in; what is in the queue still goes out.
    closing: bool,
    /// The writer has ended: nothing more goes out.
    written: bool,
    closed: Option<Error>,
}

/// Control message, parcel or piece that waits.
pub struct Item {
    release: Instant,
    session: Id,
    kind: Kind,
    /// Request of a parcel.
    pub request: Id,
    /// The content.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl Item {
    /// Bytes in a record's body.
    pub fn length(&self) -> usize {
        self.bytes.len() + if self.kind == Kind::Parcels { PARCEL_HEADER } else { 0 }
    }
}

/// Items of the next record; none if it only says that this side is alive.
pub struct Batch {
    /// Kind of the record.
    pub kind: Kind,
    /// Session of the record.
    pub session: Id,
    /// The items.
    pub items: Vec<Item>,
}

impl Outbound {
    /// Empty queue.
    pub fn new(socket: Socket, options: LinkOptions) -> Self {
        let state = State {
            items: VecDeque::new(),
            bytes: 0,
            session: [0; 16],
            free: Instant::now(),
            closing: false,
            written: false,
            closed: None,
        };
        Self { socket, options, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Puts something in the queue. Too much that the other side does not read ends the link.
    pub fn put(&self, kind: Kind, request: Id, bytes: Zeroizing<Vec<u8>>) {
        let mut state = self.state();
        if state.closed.is_some() || state.closing {
            return;
        }
        let mut item = Item { release: Instant::now(), session: state.session, kind, request, bytes };
        state.bytes += item.length() as u64;
        if state.bytes > self.options.outbound_limit {
            drop(state);
            return self.kill(Error::Peer("does not read the replies to its requests".into()));
        }
        if let Some(LinkFigures { latency_us, bits_per_second }) = self.options.shape {
            let seconds = (item.length() + RECORD_HEADER) as f64 * 8.0 / bits_per_second as f64;
            state.free = state.free.max(item.release) + Duration::from_secs_f64(seconds);
            item.release = state.free + Duration::from_micros(latency_us);
        }
        state.items.push_back(item);
        self.changed.notify_all();
    }

    /// Sets the session of what is put in from now on.
    pub fn begin_session(&self, session: Id) {
        self.state().session = session;
    }

    /// Takes nothing more; the writer ends when the queue is empty.
    pub fn close(&self) {
        self.state().closing = true;
        self.changed.notify_all();
    }

    /// Ends the link at once; the first error is kept.
    pub fn kill(&self, error: Error) {
        let mut state = self.state();
        state.items.clear();
        state.bytes = 0;
        state.closed.get_or_insert(error);
        self.socket.shut();
        self.changed.notify_all();
    }

    /// Error with which the link was ended.
    pub fn closed(&self) -> Option<Error> {
        self.state().closed.clone()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.state().items.is_empty()
    }

    /// Waits while more than so many items or bytes wait to be sent; the link's error if it has ended.
    pub fn wait_below(&self, items: usize, bytes: u64) -> Result<(), Error> {
        let mut state = self.state();
        while (state.items.len() > items || state.bytes > bytes) && state.closed.is_none() {
            state = self.wait(state, self.options.idle);
        }
        state.closed.clone().map_or(Ok(()), Err)
    }

    /// Waits until the writer has ended, or until the deadline.
    pub fn wait_written(&self, deadline: Instant) {
        let mut state = self.state();
        while !state.written && state.closed.is_none() && Instant::now() < deadline {
            state = self.wait(state, deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// Notes that the writer has ended.
    pub fn set_written(&self) {
        self.state().written = true;
        self.changed.notify_all();
    }

    /// Waits for the items of the next record; after a third of the idle time since `spoken` there are none. None when the link
    /// has ended, or is closing and the queue is empty.
    pub fn next(&self, spoken: Instant) -> Option<Batch> {
        let alive = spoken + self.options.idle / 3;
        let mut state = self.state();
        loop {
            if state.closed.is_some() || state.closing && state.items.is_empty() {
                return None;
            }
            let now = Instant::now();
            if let Some(batch) = self.due(&mut state, now) {
                drop(state);
                self.changed.notify_all();
                return Some(batch);
            }
            if now >= alive {
                // what is put in later comes later
                return Some(Batch { kind: Kind::Alive, session: state.session, items: Vec::new() });
            }
            let until = state.items.front().map_or(alive, |item| item.release.min(alive));
            state = self.wait(state, until - now);
        }
    }

    /// Takes the items of the next record out of the queue, if the first may leave now: parcels of one session share it.
    fn due(&self, state: &mut State, now: Instant) -> Option<Batch> {
        let first = state.items.front().filter(|item| item.release <= now)?;
        let (kind, session) = (first.kind, first.session);
        let (mut items, mut length) = (Vec::new(), 0);
        while let Some(item) = state.items.front()
            && item.release <= now
            && (item.kind, item.session) == (kind, session)
            && (items.is_empty() || kind == Kind::Parcels && length + item.length() <= self.together())
        {
            length += item.length();
            items.extend(state.items.pop_front());
        }
        state.bytes = state.bytes.saturating_sub(length as u64);
        Some(Batch { kind, session, items })
    }

    fn together(&self) -> usize {
        // a fault comes before a frame of a certain number
        #[cfg(feature = "seeded")]
        if self.options.fault.is_some() {
            return 0;
        }
        usize::try_from(self.options.record_limit).map_or(TOGETHER, |limit| limit.min(TOGETHER))
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, at_most: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
