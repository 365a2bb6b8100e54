//! Keys that both holders have contributed to, and what is derived from them.
//!
//! `k_j = HKDF(salt: session, key: a || b, info: component j)`, where `a` and `b` are 32 random bytes of each holder of
//! component `j`, sent over TLS; the session number is fresh. A request has keys of its own, by its number and by a digest of
//! all that is public of it, so that parties that were told different things have nothing in common.

use crate::{Error, Result, party::Keys};
use ring::{digest, hkdf};
use zeroize::Zeroizing;

/// A public number of 128 random bits: of a session, or of a request.
pub type Id = [u8; 16];

/// Random bytes that one party gives to a key that it shares with one other.
pub type Contribution = Zeroizing<[u8; 32]>;

/// Contributions of the two sides of a link to the key that they share.
#[derive(Clone)]
pub struct Contributions {
    /// Drawn by this side.
    pub own: Contribution,
    /// Drawn by the other side.
    pub peers: Contribution,
}

/// Grows the buffer's capacity; where the bytes lay before is wiped.
pub fn reserve(bytes: &mut Zeroizing<Vec<u8>>, capacity: usize) {
    if bytes.capacity() < capacity {
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
}

/// Random bytes of the operating system.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|e| Error::Device(format!("the operating system gives no randomness: {e}")))?;
    Ok(bytes)
}

/// SHA-256 of pieces, each with its length before it unless there is only one.
pub fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for piece in pieces {
        if pieces.len() > 1 {
            context.update(&(piece.len() as u64).to_le_bytes());
        }
        context.update(piece);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// HKDF-SHA-256 to 32 bytes.
pub fn derive(salt: &[u8], key: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    let filled = extracted.expand(&[info], hkdf::HKDF_SHA256).and_then(|made| made.fill(&mut *bytes));
    filled.expect("HKDF-SHA-256 gives up to 8160 bytes");
    bytes
}

/// The two keys that a party holds in a session: of components `i` and `i + 1`.
pub struct SessionKeys {
    session: Id,
    own: Zeroizing<[u8; 32]>,
    next: Zeroizing<[u8; 32]>,
}

impl SessionKeys {
    /// Derives the keys of party `number` from what both sides of each of its two links have contributed.
    pub fn agree(number: usize, session: Id, mut contributions: impl FnMut(usize) -> Contributions) -> Self {
        // component i is held by parties i - 1 and i
        let mut key = |component: usize, peer: usize| {
            let Contributions { own, peers } = contributions(peer);
            let (low, high) = if number < peer { (own, peers) } else { (peers, own) };
            let mut both = Zeroizing::new([0; 64]);
            both[..32].copy_from_slice(&*low);
            both[32..].copy_from_slice(&*high);
            derive(&session, &*both, format!("trishade 1 component {component}").as_bytes())
        };
        let (before, after) = ((number + 2) % 3, (number + 1) % 3);
        Self { session, own: key(number, before), next: key(after, after) }
    }

    /// Derives the keys of one request: `digest` binds all that is public of it.
    pub fn request(&self, id: &Id, digest: &[u8; 32]) -> Keys {
        let salt = sha256(&[&self.session, id, digest]);
        let key = |component: &[u8; 32]| derive(&salt, component, b"trishade 1 request");
        let mut number = [0; 16];
        number.copy_from_slice(&salt[..16]);
        Keys::agreed(&key(&self.own), &key(&self.next), number)
    }
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contributions(own: usize, peer: usize) -> Contributions {
        let contribution = |from: usize, to: usize| Zeroizing::new([(3 * from + to) as u8; 32]);
        Contributions { own: contribution(own, peer), peers: contribution(peer, own) }
    }

    #[test]
    fn the_holders_of_a_component_agree_and_nobody_else_does() {
        let keys: Vec<_> = (0..3).map(|i| SessionKeys::agree(i, [9; 16], |peer| contributions(i, peer))).collect();
        for i in 0..3 {
            assert_eq!(keys[i].next, keys[(i + 1) % 3].own);
            assert_ne!(keys[i].own, keys[i].next);
        }
        let other = SessionKeys::agree(0, [8; 16], |peer| contributions(0, peer));
        assert_ne!(other.own, keys[0].own, "another session has other keys");
    }
}
