//! Writer of a link: the thread that turns what waits in the outbound queue into records, and says that this side is alive when
//! there is nothing else to say.

#[cfg(feature = "seeded")]
use super::fault::Fault;
use super::{
    outbound::{Batch, Item, Outbound},
    socket::{CHUNK, failure},
};
use crate::net::wire::{Header, Kind, RECORD_HEADER, parcel_header};
use std::{io, time::Instant};
use zeroize::Zeroizing;

/// Writes records, of which the first has this sequence number, until the link ends.
pub fn run(outbound: &Outbound, mut sequence: u64) {
    let mut cipher = Vec::new();
    let mut spoken = Instant::now();
    while let Some(Batch { kind, session, items }) = outbound.next(spoken) {
        let length = items.iter().map(|item| item.length() as u64).sum();
        let header = Header { kind, session, sequence, length };
        #[cfg(feature = "seeded")]
        let Some(header) = inject(outbound, header) else { continue };
        if let Err(e) = write_record(outbound, &header, &items, &mut cipher) {
            outbound.kill(failure(&e));
            break;
        }
        sequence = header.sequence + 1;
        spoken = Instant::now();
    }
    outbound.socket.finish();
    outbound.set_written();
}

fn write_record(outbound: &Outbound, header: &Header, items: &[Item], cipher: &mut Vec<u8>) -> io::Result<()> {
    let mut plain = Zeroizing::new(Vec::with_capacity(CHUNK.min(RECORD_HEADER + header.length as usize)));
    plain.extend(header.bytes());
    for item in items {
        if header.kind == Kind::Parcels {
            plain.extend(parcel_header(&item.request, item.bytes.len()));
        }
        // small things travel in one TLS record
        if plain.len() + item.bytes.len() <= CHUNK {
            plain.extend_from_slice(&item.bytes);
        } else {
            outbound.socket.send(&plain, cipher)?;
            plain.clear();
            outbound.socket.send(&item.bytes, cipher)?;
        }
    }
    outbound.socket.send(&plain, cipher)
}

/// Lets a fault that is due happen: header of the record that is written all the same, if one is.
#[cfg(feature = "seeded")]
fn inject(outbound: &Outbound, header: Header) -> Option<Header> {
    use crate::Error;

    let Outbound { socket, options, .. } = outbound;
    let due = options.fault.as_ref().and_then(|plan| plan.due(header.kind == Kind::Parcels));
    let stop = || outbound.kill(Error::Peer("stopped on purpose".into()));
    // a socket that fails is noticed at the next record
    let send = |bytes: &[u8]| drop(socket.send(bytes, &mut Vec::new()));
    match due {
        None => return Some(header),
        Some(Fault::Repeated) => return Some(Header { sequence: header.sequence.saturating_sub(1), ..header }),
        Some(Fault::Replayed) => return Some(Header { session: header.session.map(|byte| !byte), ..header }),
        Some(Fault::Stop) => stop(),
        Some(Fault::Stall) => std::thread::sleep(std::time::Duration::from_millis(50)),
        Some(Fault::Garbage) => send(&[0xa5; 400]),
        Some(Fault::RawGarbage) => drop(socket.send_raw(&[0x16; 400])),
        Some(Fault::Oversized) => send(&Header { length: u64::MAX / 2, ..header }.bytes()),
        Some(Fault::Truncated) => {
            send(&Header { length: header.length + 1000, ..header }.bytes());
            stop();
        }
    }
    None
}
