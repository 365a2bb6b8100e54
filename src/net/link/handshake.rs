//! Handshake: a connection on which each side speaks in turn, until a deadline, before both know each other.

use super::{
    options::{InboundPolicy, LinkOptions},
    records::RecordAssembler,
    socket::failure,
};
use crate::{
    Error, Result,
    net::{
        control::Control,
        identity::{Fingerprint, Validity},
        wire::{Header, Kind, pack},
    },
};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection, pki_types::ServerName};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Bytes of a record before both sides know each other.
const RECORD_LIMIT: u64 = 1 << 16;

/// Time between two dials of an address that refuses.
const REDIAL: Duration = Duration::from_millis(50);

/// Connection with TLS, on which control messages are exchanged in turn until a deadline.
pub struct Handshake {
    /// The connection's stream.
    pub tcp: TcpStream,
    /// The connection's TLS.
    pub tls: Connection,
    /// Options of the link to come.
    pub options: LinkOptions,
    deadline: Instant,
    /// Records sent so far.
    pub sent: u64,
    /// Inbound records.
    pub received: RecordAssembler,
}

impl Handshake {
    /// Dials an address.
    pub fn dial(address: &str, config: Arc<ClientConfig>, options: &LinkOptions) -> Result<Self> {
        let deadline = Instant::now() + options.connect;
        let tcp = dial_until(address, deadline, options.retry.min(options.connect))?;
        // certificates are pinned: the name says nothing
        let name = ServerName::try_from("trishade").map_err(|e| unreachable_address(&e))?;
        let tls = ClientConnection::new(config, name).map_err(|e| unreachable_address(&e))?;
        Self::complete(tcp, tls.into(), options.clone(), deadline)
    }

    /// Takes a connection that has come in.
    pub fn accept(tcp: TcpStream, config: Arc<ServerConfig>, options: &LinkOptions) -> Result<Self> {
        let deadline = Instant::now() + options.connect;
        let tls = ServerConnection::new(config).map_err(|e| Error::Peer(e.to_string()))?;
        Self::complete(tcp, tls.into(), options.clone(), deadline)
    }

    /// Completes the handshake of TLS.
    fn complete(tcp: TcpStream, mut tls: Connection, options: LinkOptions, deadline: Instant) -> Result<Self> {
        tcp.set_nodelay(true).map_err(|e| failure(&e))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut DeadlineStream { tcp: &tcp, deadline }).map_err(|e| failure(&e))?;
        }
        let received = RecordAssembler::new(0, RECORD_LIMIT, InboundPolicy::Unmetered);
        Ok(Self { tcp, tls, options, deadline, sent: 0, received })
    }

    /// Fingerprint of the other side's certificate.
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        self.certificate().map(Fingerprint::of)
    }

    /// Time in which the other side's certificate is valid.
    pub fn validity(&self) -> Result<Validity> {
        Validity::of(self.certificate()?)
    }

    /// Address of the other side, for logs.
    pub fn address(&self) -> String {
        self.tcp.peer_addr().map_or_else(|_| "an unknown address".into(), |address| address.to_string())
    }

    /// Sends a control message.
    pub fn send(&mut self, control: &Control) -> Result<()> {
        let body = pack(control)?;
        let header = Header { kind: Kind::Control, session: [0; 16], sequence: self.sent, length: body.len() as u64 };
        self.sent += 1;
        let mut stream = DeadlineStream { tcp: &self.tcp, deadline: self.deadline };
        let mut writer = self.tls.writer();
        writer.write_all(&header.bytes()).and_then(|()| writer.write_all(&body)).map_err(|e| failure(&e))?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut stream).map_err(|e| failure(&e))?;
        }
        Ok(())
    }

    /// Waits for the next control message.
    pub fn receive(&mut self) -> Result<Control> {
        loop {
            let mut stream = DeadlineStream { tcp: &self.tcp, deadline: self.deadline };
            let n = read_plain(&mut self.tls, &mut stream, self.received.buffer())?;
            if n == 0 {
                return Err(self.received.closed());
            }
            if let Some(record) = self.received.advance(n)? {
                match record.kind {
                    Kind::Control => return Control::read(&record.body),
                    Kind::Alive => {}
                    kind => return Err(Error::Peer(format!("sent {kind:?} before the two knew each other"))),
                }
            }
        }
    }

    fn certificate(&self) -> Result<&[u8]> {
        let certificate = self.tls.peer_certificates().and_then(|chain| chain.first());
        certificate.map(|certificate| &**certificate).ok_or_else(|| Error::Peer("has shown no certificate".into()))
    }
}

/// Stream whose waits end at one deadline.
struct DeadlineStream<'a> {
    tcp: &'a TcpStream,
    deadline: Instant,
}

impl DeadlineStream<'_> {
    fn left(&self) -> io::Result<Duration> {
        match self.deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl Read for DeadlineStream<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(Some(self.left()?))?;
        (&mut &*self.tcp).read(to)
    }
}

impl Write for DeadlineStream<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.left()?))?;
        (&mut &*self.tcp).write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&mut &*self.tcp).flush()
    }
}

/// Connects to one of the addresses of a name; one that refuses is dialled again within `retry`.
fn dial_until(address: &str, deadline: Instant, retry: Duration) -> Result<TcpStream> {
    let began = Instant::now();
    let mut last = unreachable_address(&"the name has no address");
    loop {
        let mut refused = false;
        for socket in address.to_socket_addrs().map_err(|e| unreachable_address(&e))? {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&socket, left) {
                Ok(tcp) => return Ok(tcp),
                Err(e) => {
                    refused |= e.kind() == ErrorKind::ConnectionRefused;
                    last = unreachable_address(&e);
                }
            }
        }
        if !refused || began.elapsed() >= retry {
            return Err(last);
        }
        thread::sleep(REDIAL);
    }
}

fn unreachable_address(e: &dyn std::fmt::Display) -> Error {
    Error::Peer(format!("cannot be reached: {e}"))
}

/// Reads some decrypted bytes, waiting for ciphertext if there are none; 0 at the end of TLS or of the stream.
fn read_plain(tls: &mut Connection, stream: &mut DeadlineStream<'_>, to: &mut [u8]) -> Result<usize> {
    loop {
        match tls.reader().read(to) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if tls.read_tls(stream).map_err(|e| failure(&e))? == 0 {
                    return Ok(0);
                }
                tls.process_new_packets().map_err(|e| failure(&io::Error::new(ErrorKind::InvalidData, e)))?;
            }
            read => return read.map_err(|e| failure(&e)),
        }
    }
}
