//! Link: one end of a TLS connection at work, with a thread that reads and one that writes, so that both directions go on at the
//! same time whatever the sizes.

#[cfg(feature = "seeded")]
mod fault;
#[cfg(feature = "internals")]
mod fuzz;
mod handshake;
mod options;
mod outbound;
mod reader;
mod records;
mod socket;
mod writer;

#[cfg(feature = "seeded")]
pub use fault::{Fault, FaultPlan};
#[cfg(feature = "internals")]
pub(super) use fuzz::read_records;
pub(super) use handshake::Handshake;
pub(super) use options::{InboundPolicy, LinkOptions};
pub(super) use reader::Incoming;
#[cfg(feature = "seeded")]
pub(super) use socket::failure;

use super::{
    budget::Permit,
    control::{Control, RefusalReason},
    secrets::Id,
    wire::{Kind, pack},
};
use crate::{Error, Result, text::printable};
use outbound::Outbound;
use records::RecordAssembler;
use socket::Socket;
use std::{ops::Deref, sync::Arc, thread, time::Instant};
use zeroize::Zeroizing;

/// Bytes of unread replies beyond which requests of the other side wait.
const DRAINED: u64 = 8 << 20;

/// Pieces of an upload that may wait to be sent.
const PIECES: usize = 8;

/// One end of a connection; clones are the same end.
#[derive(Clone)]
pub(super) struct Link(Arc<Outbound>);

/// Owner of a link, which is closed when this is dropped.
pub(super) struct LinkGuard(pub(super) Link);

/// Link whose threads have not been started: what is sent on it waits, and nothing is received yet.
pub(super) struct UnstartedLink {
    link: Link,
    sequence: u64,
    records: RecordAssembler,
}

impl Handshake {
    /// Turns the connection into a link.
    pub(super) fn into_link(self) -> Result<UnstartedLink> {
        let Self { tcp, tls, options, sent, received, .. } = self;
        let records = RecordAssembler::new(received.sequence(), options.record_limit, options.inbound.clone());
        let socket = Socket::new(tcp, tls, options.idle)?;
        Ok(UnstartedLink { link: Link(Arc::new(Outbound::new(socket, options))), sequence: sent, records })
    }

    /// Turns the connection into a link and starts it; see [`UnstartedLink::start`].
    pub(super) fn start(
        self,
        handler: impl FnMut(Incoming, Option<Permit>) -> Result<()> + Send + 'static,
        ended: impl FnOnce(Error) + Send + 'static,
    ) -> Result<Link> {
        let unstarted = self.into_link()?;
        let link = unstarted.link();
        unstarted.start(handler, ended)?;
        Ok(link)
    }
}

impl UnstartedLink {
    /// The link.
    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Starts both threads. `handler` takes each inbound record; `ended` is told once why the link ended.
    pub(super) fn start(
        self,
        mut handler: impl FnMut(Incoming, Option<Permit>) -> Result<()> + Send + 'static,
        ended: impl FnOnce(Error) + Send + 'static,
    ) -> Result<()> {
        let Self { link, sequence, records } = self;
        let (reading, writing) = (link.0.clone(), link.0.clone());
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.into()).spawn(run).map(drop).map_err(|e| Error::Device(format!("no thread: {e}")))
        };
        spawn("trishade writer", Box::new(move || writer::run(&writing, sequence)))?;
        let read = move || {
            let error = reader::run(&reading.socket, records, &mut handler);
            let error = reading.closed().unwrap_or(error);
            reading.kill(error.clone());
            ended(error);
        };
        // the writer ends with the link
        spawn("trishade reader", Box::new(read)).inspect_err(|error| link.kill(error.clone()))
    }
}

impl Link {
    /// Sends a control message.
    pub(super) fn control(&self, control: &Control) {
        match pack(control) {
            Ok(bytes) => self.0.put(Kind::Control, [0; 16], bytes),
            Err(error) => self.kill(error),
        }
    }

    /// Sends a parcel of a request.
    pub(super) fn parcel(&self, request: Id, bytes: Zeroizing<Vec<u8>>) {
        self.0.put(Kind::Parcels, request, bytes);
    }

    /// Sends a piece of an upload, once few wait before it.
    pub(super) fn piece(&self, bytes: Zeroizing<Vec<u8>>) -> Result<()> {
        self.0.wait_below(PIECES, u64::MAX)?;
        self.0.put(Kind::Piece, [0; 16], bytes);
        Ok(())
    }

    /// Sends a refusal.
    pub(super) fn refuse(&self, request: Option<Id>, reason: RefusalReason, text: &str) {
        self.control(&Control::refused(request, reason, text));
    }

    /// Begins a session: what is sent from now on carries its number, after a message that says so.
    pub(super) fn begin_session(&self, session: Id) {
        self.control(&Control::BeginSession { session });
        self.0.begin_session(session);
    }

    /// Sends what waits, says why the connection ends, and ends it.
    pub(super) fn close(&self, text: &str) {
        self.control(&Control::Goodbye { text: printable(text) });
        self.0.close();
    }

    /// Waits until a closed link has sent what waited, or until the deadline.
    pub(super) fn flush(&self, deadline: Instant) {
        self.0.wait_written(deadline);
    }

    /// Ends the connection at once.
    pub(super) fn kill(&self, error: Error) {
        self.0.kill(error);
    }

    /// Back-pressure: waits while much that the other side does not read waits to be sent.
    pub(super) fn wait_drained(&self) {
        // a link that has ended is noticed by its reader
        let _ = self.0.wait_below(usize::MAX, DRAINED);
    }

    /// Whether nothing waits to be sent.
    pub(super) fn sent_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes sent on the socket.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.0.socket.sent()
    }
}

impl Deref for LinkGuard {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        self.0.close("the other side has done");
    }
}
