//! Transport cost: the time that TLS, threads and sockets of this machine take, for estimates.

use super::{
    config::{Limits, LinkFigures},
    identity::Identity,
    link::{Handshake, Incoming, LinkGuard, LinkOptions},
    tls,
    wire::parcels,
};
use crate::{Error, Result, party::Net};
use std::{
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

const ROUNDS: usize = 60;
const PIECE: usize = 1 << 20;
const PIECES: usize = 24;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Time that three parties on this machine take for their messages besides the network's own latency and bandwidth.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    /// Seconds a round: system calls, wake-ups of threads, timers that fire late.
    pub round: f64,
    /// Seconds a byte: encryption and copies at both ends, all three parties' bytes through this machine's cores.
    pub byte: f64,
}

impl Transport {
    /// Measures three links in a ring, on loopback: short messages on links of this shape, and long ones on links of none. It takes
    /// 60 latencies and a fraction of a second.
    pub fn measure(net: Option<Net>) -> Result<Self> {
        let mut rounds = ring(net, 256, ROUNDS, true)?;
        // the first ones wake everything up, and others use these cores now and then
        rounds.sort_by(f64::total_cmp);
        let latency = net.map_or(0.0, |net| net.latency_us as f64 * 1e-6 + 256.0 * 8.0 / net.bits_per_second as f64);
        let round = (rounds[rounds.len() / 2] - latency).max(0.0);
        let long = ring(None, PIECE, PIECES, false)?.into_iter().fold(0.0, f64::max);
        Ok(Self { round, byte: long / (3 * PIECE * PIECES) as f64 })
    }

    /// Seconds of a run that takes so many rounds and bytes, all parties' together.
    pub fn seconds(&self, rounds: u32, bytes: u64) -> f64 {
        self.round * f64::from(rounds) + self.byte * bytes as f64
    }
}

/// Each of three parties sends its successor `count` messages and waits for those of its predecessor: for one after each that it
/// sends if `in_turn`, else for all at the end. The seconds of every wait, from the sending on.
fn ring(net: Option<Net>, size: usize, count: usize, in_turn: bool) -> Result<Vec<f64>> {
    let shape = net.map(|Net { latency_us, bits_per_second }| LinkFigures { latency_us, bits_per_second });
    let options = LinkOptions::new(&Limits::default(), shape);
    let (outs, mut ins): (Vec<_>, Vec<_>) = (0..3).map(|_| pair(&options)).collect::<Result<Vec<_>>>()?.into_iter().unzip();
    ins.rotate_right(1);
    let at_once = if in_turn { 1 } else { count };
    let run = |out: &LinkGuard, inbox: &mut Receiver<()>| -> Result<Vec<f64>> {
        let exchange = |_| {
            let began = Instant::now();
            (0..at_once).for_each(|_| out.parcel([0; 16], Zeroizing::new(vec![0x5a; size])));
            for _ in 0..at_once {
                inbox.recv_timeout(TIMEOUT).map_err(|_| Error::Peer("does not answer on loopback".into()))?;
            }
            Ok(began.elapsed().as_secs_f64())
        };
        (0..count / at_once).map(exchange).collect()
    };
    let join = |party: thread::ScopedJoinHandle<'_, _>| party.join().unwrap_or_else(|_| Err(Error::Misuse("a thread has ended".into())));
    let waits: Vec<Vec<f64>> = thread::scope(|scope| {
        let ends = outs.iter().zip(&mut ins);
        let parties: Vec<_> = ends.map(|(out, (_, inbox))| scope.spawn(move || run(out, inbox))).collect();
        parties.into_iter().map(join).collect::<Result<_>>()
    })?;
    Ok(waits.concat())
}

/// Both ends of a link on loopback, and the messages that come at the second.
fn pair(options: &LinkOptions) -> Result<(LinkGuard, (LinkGuard, Receiver<()>))> {
    let identity = Identity::generate("trishade", 1)?.identity()?;
    let failed = |e: std::io::Error| Error::Device(format!("no loopback connection: {e}"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?.to_string();
    let config = tls::dialler(&identity, identity.fingerprint())?;
    let (dialled, accepted) = thread::scope(|scope| {
        let dialled = scope.spawn(|| Handshake::dial(&address, config, options));
        let accepted = listener.accept().map_err(failed).and_then(|(tcp, _)| {
            let config = tls::listener(&identity, vec![identity.fingerprint()])?;
            Handshake::accept(tcp, config, options)
        });
        (dialled.join().unwrap_or_else(|_| Err(Error::Misuse("a thread has ended".into()))), accepted)
    });
    let (to, inbox) = channel();
    let count = move |incoming, _| {
        if let Incoming::Parcels(body) = incoming {
            for _ in parcels(&body)? {
                // nobody counts any more once the measurement has ended
                let _ = to.send(());
            }
        }
        Ok(())
    };
    let dialled = dialled?.start(|_, _| Ok(()), drop)?;
    let accepted = accepted?.start(count, drop)?;
    Ok((LinkGuard(dialled), (LinkGuard(accepted), inbox)))
}
