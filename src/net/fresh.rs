//! A connection whose handshake is over, on which each side speaks in turn until both know each other.

use super::{
    Fingerprint,
    config::{Limits, Network},
    control::Control,
    identity::Validity,
    link::broken,
    reading::check,
    room::Room,
    wire::{Header, Kind, RECORD_HEADER, pack, unpack},
};
use crate::{Error, Result};
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection, pki_types::ServerName};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Who pays for what comes in.
#[derive(Clone)]
pub(super) enum Intake {
    /// Nobody counts: the other side was asked for it.
    Free,
    /// A record is read when there is room for it.
    Waits(Arc<Room>),
    /// A record for which there is no room ends the link. Room is taken, and memory with it, as the bytes come.
    Refuses(Arc<Room>),
}

/// How a link behaves.
#[derive(Clone)]
pub(super) struct Options {
    /// Bytes of a record that comes.
    pub(super) limit: u64,
    pub(super) intake: Intake,
    /// Bytes that wait to be sent: with more the link ends.
    pub(super) unread: u64,
    pub(super) connect: Duration,
    /// How long an address that refuses is dialled again: what listens there may be starting.
    pub(super) starting: Duration,
    pub(super) idle: Duration,
    pub(super) shape: Option<Network>,
    #[cfg(feature = "seeded")]
    pub(super) fault: Option<Arc<super::faults::Plan>>,
}

impl Options {
    pub(super) fn new(limits: &Limits, shape: Option<Network>) -> Self {
        Self {
            limit: limits.frame,
            intake: Intake::Free,
            unread: u64::MAX,
            connect: limits.connect(),
            starting: Duration::ZERO,
            idle: limits.idle(),
            shape,
            #[cfg(feature = "seeded")]
            fault: None,
        }
    }
}

/// A connection that has shaken hands and on which each side speaks in turn, until a deadline.
pub(super) struct Fresh {
    pub(super) tcp: TcpStream,
    pub(super) tls: Connection,
    pub(super) options: Options,
    deadline: Instant,
    /// Records sent and received.
    pub(super) sequences: [u64; 2],
}

/// A stream whose every wait ends at one moment.
struct Until<'a>(&'a TcpStream, Instant);

impl Until<'_> {
    fn left(&self) -> io::Result<Duration> {
        match self.1.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl Read for Until<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.0.set_read_timeout(Some(self.left()?))?;
        (&mut &*self.0).read(to)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.0.set_write_timeout(Some(self.left()?))?;
        (&mut &*self.0).write(from)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&mut &*self.0).flush()
    }
}

impl Fresh {
    /// Dials an address.
    pub(super) fn dial(address: &str, config: Arc<ClientConfig>, options: &Options) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| Error::Peer(format!("cannot be reached: {e}"));
        let began = Instant::now();
        let deadline = began + options.connect;
        let mut last = failed(&"the name has no address");
        loop {
            let mut refused = false;
            for socket in address.to_socket_addrs().map_err(|e| failed(&e))? {
                let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                match TcpStream::connect_timeout(&socket, left) {
                    Ok(tcp) => {
                        // certificates are pinned: the name says nothing
                        let name = ServerName::try_from("trishade").map_err(|e| failed(&e))?;
                        let tls = ClientConnection::new(config, name).map_err(|e| failed(&e))?;
                        return Self::shake(tcp, tls.into(), options.clone(), deadline);
                    }
                    Err(e) => {
                        refused |= e.kind() == ErrorKind::ConnectionRefused;
                        last = failed(&e);
                    }
                }
            }
            if !refused || began.elapsed() >= options.starting.min(options.connect) {
                return Err(last);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes a connection that has come in.
    pub(super) fn accept(tcp: TcpStream, config: Arc<ServerConfig>, options: &Options) -> Result<Self> {
        let deadline = Instant::now() + options.connect;
        let tls = ServerConnection::new(config).map_err(|e| Error::Peer(e.to_string()))?;
        Self::shake(tcp, tls.into(), options.clone(), deadline)
    }

    fn shake(tcp: TcpStream, mut tls: Connection, options: Options, deadline: Instant) -> Result<Self> {
        tcp.set_nodelay(true).map_err(|e| broken(&e))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut Until(&tcp, deadline)).map_err(|e| broken(&e))?;
        }
        Ok(Self { tcp, tls, options, deadline, sequences: [0; 2] })
    }

    /// The other side's certificate.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint> {
        let certificate = self.tls.peer_certificates().and_then(|chain| chain.first());
        certificate.map(|certificate| Fingerprint::of(certificate)).ok_or_else(|| Error::Peer("has shown no certificate".into()))
    }

    /// When the other side's certificate is valid.
    pub(super) fn validity(&self) -> Result<Validity> {
        let certificate = self.tls.peer_certificates().and_then(|chain| chain.first());
        certificate.map_or_else(|| Err(Error::Peer("has shown no certificate".into())), |certificate| Validity::of(certificate))
    }

    /// Where the other side is.
    pub(super) fn address(&self) -> String {
        self.tcp.peer_addr().map_or_else(|_| "an unknown address".into(), |address| address.to_string())
    }

    pub(super) fn send(&mut self, control: &Control) -> Result<()> {
        let body = pack(control)?;
        let header = Header { kind: Kind::Control, session: [0; 16], sequence: self.sequences[0], length: body.len() as u64 };
        self.sequences[0] += 1;
        let mut stream = Until(&self.tcp, self.deadline);
        let mut writer = self.tls.writer();
        writer.write_all(&header.bytes()).and_then(|()| writer.write_all(&body)).map_err(|e| broken(&e))?;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut stream).map_err(|e| broken(&e))?;
        }
        Ok(())
    }

    fn read(&mut self, mut to: &mut [u8]) -> Result<()> {
        let mut stream = Until(&self.tcp, self.deadline);
        while !to.is_empty() {
            match self.tls.reader().read(to) {
                Ok(0) => return Err(broken(&ErrorKind::UnexpectedEof.into())),
                Ok(n) => to = &mut to[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let n = self.tls.read_tls(&mut stream).map_err(|e| broken(&e))?;
                    let read = self.tls.process_new_packets();
                    read.map_err(|e| broken(&io::Error::new(ErrorKind::InvalidData, e)))?;
                    if n == 0 {
                        return Err(broken(&ErrorKind::UnexpectedEof.into()));
                    }
                }
                Err(e) => return Err(broken(&e)),
            }
        }
        Ok(())
    }

    pub(super) fn receive(&mut self) -> Result<Control> {
        let header = loop {
            let mut head = [0; RECORD_HEADER];
            self.read(&mut head)?;
            // nothing large comes before the two know each other
            let header = Header::parse(&head, 1 << 16)?;
            if header.kind != Kind::Alive {
                check(&header, Kind::Control, &[0; 16], self.sequences[1])?;
                self.sequences[1] += 1;
                break header;
            }
            check(&header, Kind::Alive, &[0; 16], self.sequences[1])?;
            self.sequences[1] += 1;
        };
        let mut body = Zeroizing::new(vec![0; header.length as usize]);
        self.read(&mut body)?;
        unpack(&body)
    }
}
