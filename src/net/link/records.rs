//! Records of a link: bytes in, records out.
//!
//! Magic, session, sequence and length are checked before a body is received; a permit is acquired before memory is.

use super::options::InboundPolicy;
use crate::{
    Error, Result,
    net::{
        budget::Permit,
        secrets::{Id, reserve},
        wire::{Header, Kind, RECORD_HEADER},
    },
};
use zeroize::Zeroizing;

/// Bytes of a body that are allocated at once under [`InboundPolicy::Reject`].
const FIRST_PART: u64 = 1 << 20;

/// Bytes that a record takes besides its body.
const OVERHEAD: u64 = 256;

/// Record that has come in full.
pub struct Record {
    /// Kind of the body.
    pub kind: Kind,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
    /// Permit for the memory that it takes, unless that is unmetered.
    pub permit: Option<Permit>,
}

/// Assembler of records from the bytes of one direction of a link.
pub struct RecordAssembler {
    limit: u64,
    inbound: InboundPolicy,
    session: Id,
    sequence: u64,
    head: [u8; RECORD_HEADER],
    /// Bytes of the head that are there, or of the body's part.
    filled: usize,
    body: Option<Body>,
}

impl RecordAssembler {
    /// Assembler for records of at most `limit` bytes, of which the first has this sequence number.
    pub fn new(sequence: u64, limit: u64, inbound: InboundPolicy) -> Self {
        Self { limit, inbound, session: [0; 16], sequence, head: [0; RECORD_HEADER], filled: 0, body: None }
    }

    /// Sequence number of the next record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Sets the session of which records are accepted from now on.
    pub fn begin_session(&mut self, session: Id) {
        self.session = session;
    }

    /// Buffer for the next bytes; never empty, and never longer than the current record.
    pub fn buffer(&mut self) -> &mut [u8] {
        match &mut self.body {
            None => &mut self.head[self.filled..],
            Some(body) => &mut body.bytes[self.filled..],
        }
    }

    /// Accounts for `n` bytes that were written to the buffer; the record that they complete, if they do.
    pub fn advance(&mut self, n: usize) -> Result<Option<Record>> {
        self.filled += n;
        if self.body.is_none() && self.filled == RECORD_HEADER {
            let header = Header::parse(&self.head, self.limit)?;
            self.check(&header)?;
            self.sequence += 1;
            self.filled = 0;
            self.body = Some(Body::new(header, &self.inbound)?);
        }
        let Some(body) = self.body.as_mut().filter(|body| body.bytes.len() == self.filled) else { return Ok(None) };
        if !body.is_whole() {
            return body.grow().map(|()| None);
        }
        self.filled = 0;
        let whole = self.body.take();
        Ok(whole.map(|Body { header, bytes, permit }| Record { kind: header.kind, body: bytes, permit }))
    }

    /// Error for an end of the stream here.
    pub fn closed(&self) -> Error {
        let within = if self.filled > 0 || self.body.is_some() { " within a record" } else { "" };
        Error::Peer(format!("closed the connection{within}"))
    }

    fn check(&self, header: &Header) -> Result<()> {
        let expected = self.sequence;
        if header.sequence != expected {
            let fault = if header.sequence < expected { "repeated" } else { "left out" };
            return Err(Error::Peer(format!("{fault} a record: number {} came where {expected} was due", header.sequence)));
        }
        match header.session == self.session {
            true => Ok(()),
            false => Err(Error::Peer("sent a record of another session".into())),
        }
    }
}

/// Body that is coming in: the bytes for which there is a permit, as many as have come or a part that comes next.
struct Body {
    header: Header,
    bytes: Zeroizing<Vec<u8>>,
    permit: Option<Permit>,
}

impl Body {
    fn new(header: Header, inbound: &InboundPolicy) -> Result<Self> {
        let (first, permit) = match inbound {
            InboundPolicy::Unmetered => (header.length, None),
            InboundPolicy::Block(budget) => (header.length, Some(budget.acquire(header.length + OVERHEAD))),
            InboundPolicy::Reject(budget) => {
                let first = header.length.min(FIRST_PART);
                (first, Some(budget.try_acquire(first + OVERHEAD).ok_or_else(|| rejected(budget.limit()))?))
            }
        };
        Ok(Self { header, bytes: Zeroizing::new(vec![0; first as usize]), permit })
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.header.length
    }

    /// Allocates a part as large as all before it.
    fn grow(&mut self) -> Result<()> {
        let more = (self.header.length - self.bytes.len() as u64).min(self.bytes.len() as u64);
        if let Some(permit) = &mut self.permit
            && !permit.try_grow(more)
        {
            return Err(rejected(self.header.length));
        }
        let length = self.bytes.len() + more as usize;
        reserve(&mut self.bytes, length);
        self.bytes.resize(length, 0);
        Ok(())
    }
}

fn rejected(bytes: u64) -> Error {
    Error::Peer(format!("has more under way than it may: there is no budget for {bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::budget::Budget;

    fn record(sequence: u64, body: &[u8]) -> Vec<u8> {
        let header = Header { kind: Kind::Parcels, session: [0; 16], sequence, length: body.len() as u64 };
        [&header.bytes()[..], body].concat()
    }

    /// Feeds bytes in parts of at most `part`, and gives the bodies that come out.
    fn assemble(assembler: &mut RecordAssembler, mut bytes: &[u8], part: usize) -> Result<Vec<Vec<u8>>> {
        let mut bodies = Vec::new();
        while !bytes.is_empty() {
            let buffer = assembler.buffer();
            let n = buffer.len().min(part).min(bytes.len());
            buffer[..n].copy_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            bodies.extend(assembler.advance(n)?.map(|record| record.body.to_vec()));
        }
        Ok(bodies)
    }

    #[test]
    fn records_come_out_however_their_bytes_come() {
        let bodies = [vec![1; 100], Vec::new(), vec![2; 3_000_000], vec![3; 1 << 20]];
        let bytes: Vec<u8> = bodies.iter().enumerate().flat_map(|(i, body)| record(5 + i as u64, body)).collect();
        for part in [7, 40, 4096, usize::MAX] {
            let budget = Budget::new(4 << 20);
            for inbound in [InboundPolicy::Unmetered, InboundPolicy::Block(budget.clone()), InboundPolicy::Reject(budget.clone())] {
                let mut assembler = RecordAssembler::new(5, 1 << 30, inbound);
                assert!(assemble(&mut assembler, &bytes, part).unwrap() == bodies, "in parts of {part}");
                assert_eq!((assembler.sequence(), budget.used()), (9, 0));
            }
        }
    }

    #[test]
    fn records_that_must_not_come_are_errors() {
        let rejecting = || RecordAssembler::new(0, 1 << 30, InboundPolicy::Reject(Budget::new(2 << 20)));
        let error = |bytes: &[u8]| assemble(&mut rejecting(), bytes, 1000).unwrap_err().to_string();
        assert!(error(&record(1, &[])).contains("left out"));
        assert!(error(&[record(0, &[]), record(0, &[])].concat()).contains("repeated"));
        assert!(error(&record(0, &vec![0; 3 << 20])).contains("no budget"));
        let mut assembler = rejecting();
        assembler.begin_session([1; 16]);
        assert!(assemble(&mut assembler, &record(0, &[]), 40).unwrap_err().to_string().contains("another session"));
    }
}
