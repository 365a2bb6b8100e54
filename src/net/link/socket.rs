//! Socket with TLS: plaintext is encrypted and sent, ciphertext is received and decrypted, by two threads at the same time.

use crate::{Error, Result};
use rustls::Connection;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Plaintext bytes that are encrypted under one lock.
pub const CHUNK: usize = 1 << 16;

/// TCP stream with an established TLS connection.
pub struct Socket {
    tcp: TcpStream,
    tls: Mutex<Connection>,
    idle: Duration,
    began: Instant,
    /// Milliseconds from `began` to the last time when something came.
    heard: AtomicU64,
    /// Bytes that went out.
    sent: AtomicU64,
    shut: AtomicBool,
}

impl Socket {
    /// Socket whose reads and writes fail after `idle` without progress.
    pub fn new(tcp: TcpStream, mut tls: Connection, idle: Duration) -> Result<Self> {
        tcp.set_read_timeout(Some(idle)).and_then(|()| tcp.set_write_timeout(Some(idle))).map_err(|e| failure(&e))?;
        tls.set_buffer_limit(None);
        Ok(Self {
            tcp,
            tls: Mutex::new(tls),
            idle,
            began: Instant::now(),
            heard: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            shut: AtomicBool::new(false),
        })
    }

    /// Encrypts and sends plaintext; `cipher` is a buffer for use again.
    pub fn send(&self, plain: &[u8], cipher: &mut Vec<u8>) -> io::Result<()> {
        for chunk in plain.chunks(CHUNK) {
            cipher.clear();
            {
                let mut tls = self.tls();
                tls.writer().write_all(chunk)?;
                while tls.wants_write() {
                    tls.write_tls(cipher)?;
                }
            }
            self.send_raw(cipher)?;
            self.sent.fetch_add(cipher.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Sends bytes as they are. A side that takes nothing for `idle` is lost, unless it says meanwhile that it is alive.
    pub fn send_raw(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match (&self.tcp).write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && self.is_alive() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Waits for ciphertext; 0 bytes at the end of the stream.
    pub fn receive(&self, cipher: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.tcp).read(cipher) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(n) => {
                    self.heard.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
                    return Ok(n);
                }
                failed => return failed,
            }
        }
    }

    /// Decrypts the beginning of `cipher` and takes it away. False after the end of TLS, where nothing is taken.
    pub fn decrypt(&self, cipher: &mut &[u8]) -> Result<bool> {
        let mut tls = self.tls();
        let taken = tls.read_tls(cipher).map_err(|e| failure(&e))?;
        if taken > 0 {
            tls.process_new_packets().map_err(|e| failure(&io::Error::new(ErrorKind::InvalidData, e)))?;
        }
        Ok(taken > 0)
    }

    /// Reads decrypted bytes: their number, 0 at the end of TLS, or none until more is decrypted.
    pub fn plain(&self, to: &mut [u8]) -> Result<Option<usize>> {
        match self.tls().reader().read(to) {
            Ok(n) => Ok(Some(n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(failure(&e)),
        }
    }

    /// Tells the other side that nothing more is sent.
    pub fn finish(&self) {
        let mut cipher = Vec::new();
        {
            let mut tls = self.tls();
            tls.send_close_notify();
            // a Vec takes all
            let _ = tls.write_tls(&mut cipher);
        }
        // the other side may be gone
        let _ = self.send_raw(&cipher);
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Ends both directions at once; waiting reads and writes return.
    pub fn shut(&self) {
        self.shut.store(true, Ordering::Relaxed);
        // it may be down already
        let _ = self.tcp.shutdown(Shutdown::Both);
    }

    /// Bytes that went out.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether something came within `idle`.
    fn is_alive(&self) -> bool {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(heard) < self.idle && !self.shut.load(Ordering::Relaxed)
    }

    fn tls(&self) -> MutexGuard<'_, Connection> {
        self.tls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Error of a link for an error of its socket or of TLS.
pub fn failure(e: &io::Error) -> Error {
    let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    Error::Peer(match (tls, e.kind()) {
        (Some(rustls::Error::General(text)), _) => text.clone(),
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
