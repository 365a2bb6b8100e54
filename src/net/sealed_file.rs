//! Encrypted files: a head (magic, format of the content, party, salt) and chunks of at most a mebibyte, each under ChaCha20-Poly1305 with its number as
//! nonce and a mark on the last, so that a file cut short is noticed.

use super::secrets::{derive, random};
use crate::{Error, Result};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::io::{self, Read, Write};
use zeroize::Zeroizing;

const MAGIC: &[u8; 7] = b"TSSHARE";
const HEAD: usize = 8 + 1 + 32;
const TAG: usize = 16;

/// Bytes of a chunk.
pub const CHUNK: usize = 1 << 20;

/// Writer that encrypts.
pub struct Encrypter<W: Write> {
    to: W,
    cipher: LessSafeKey,
    head: [u8; HEAD],
    plain: Zeroizing<Vec<u8>>,
    chunk: u64,
}

impl<W: Write> Encrypter<W> {
    /// Begins a file whose content has this format: writes its head.
    pub fn new(mut to: W, format: u8, key: &[u8], party: u8) -> Result<Self> {
        let salt = random::<32>()?;
        let mut head = [0; HEAD];
        head[..7].copy_from_slice(MAGIC);
        head[7] = format;
        head[8] = party;
        head[9..].copy_from_slice(&*salt);
        to.write_all(&head).map_err(|e| Error::File(e.to_string()))?;
        Ok(Self { to, cipher: cipher(key, &*salt), head, plain: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)), chunk: 0 })
    }

    fn end_chunk(&mut self, last: bool) -> io::Result<()> {
        let tag =
            self.cipher.seal_in_place_separate_tag(nonce(self.chunk, last), Aad::from(&self.head), &mut self.plain).map_err(|_| lost())?;
        self.to.write_all(&self.plain)?;
        self.to.write_all(tag.as_ref())?;
        self.plain.clear();
        self.chunk += 1;
        Ok(())
    }

    /// Ends the file: writes its last chunk.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_chunk(true)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Encrypter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // the last chunk is known only at the end
        if self.plain.len() == CHUNK {
            self.end_chunk(false)?;
        }
        let n = bytes.len().min(CHUNK - self.plain.len());
        self.plain.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reader that decrypts.
pub struct Decrypter<R: Read> {
    from: R,
    cipher: LessSafeKey,
    head: [u8; HEAD],
    plain: Zeroizing<Vec<u8>>,
    at: usize,
    chunk: u64,
    /// First bytes of the next chunk: whether there is one.
    following: Vec<u8>,
    ended: bool,
}

impl<R: Read> Decrypter<R> {
    /// Opens a file: reads and checks its head.
    pub fn new(mut from: R, key: &[u8], party: u8) -> io::Result<Self> {
        let mut head = [0; HEAD];
        from.read_exact(&mut head)?;
        if head[..7] != *MAGIC || head[8] != party {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no shares of party {party}")));
        }
        let cipher = cipher(key, &head[9..]);
        Ok(Self { from, cipher, head, plain: Zeroizing::new(Vec::new()), at: 0, chunk: 0, following: Vec::new(), ended: false })
    }

    /// Format of the content.
    pub fn format(&self) -> u8 {
        self.head[7]
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut plain = Zeroizing::new(std::mem::take(&mut self.following));
        let missing = (CHUNK + TAG + 1 - plain.len()) as u64;
        (&mut self.from).take(missing).read_to_end(&mut plain)?;
        let last = plain.len() <= CHUNK + TAG;
        let end = plain.len().min(CHUNK + TAG);
        self.following = plain.split_off(end);
        let length = self.cipher.open_in_place(nonce(self.chunk, last), Aad::from(&self.head), &mut plain).map_err(|_| lost())?.len();
        plain.truncate(length);
        (self.plain, self.at, self.ended) = (plain, 0, last);
        self.chunk += 1;
        Ok(())
    }
}

impl<R: Read> Read for Decrypter<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let n = to.len().min(self.plain.len() - self.at);
        to[..n].copy_from_slice(&self.plain[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

fn cipher(key: &[u8], salt: &[u8]) -> LessSafeKey {
    let key = derive(salt, key, b"trishade 1 store");
    // 32 bytes are the key length of the cipher
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &*key).expect("32 bytes are the key length of the cipher"))
}

fn nonce(chunk: u64, last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&chunk.to_le_bytes());
    bytes[8] = last.into();
    Nonce::assume_unique_for_key(bytes)
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it was changed, cut short, or encrypted under another key")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(bytes: &[u8]) -> Vec<u8> {
        let mut to = Encrypter::new(Vec::new(), b'2', &[7; 32], 1).unwrap();
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    fn opened(file: &[u8], key: u8, party: u8) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Decrypter::new(file, &[key; 32], party)?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn what_was_encrypted_opens_whole_or_not_at_all() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5] {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let file = closed(&bytes);
            assert!(opened(&file, 7, 1).unwrap() == bytes, "{length}");
            assert_eq!(Decrypter::new(&file[..], &[7; 32], 1).unwrap().format(), b'2');
            assert!(opened(&file, 8, 1).is_err(), "another key");
            assert!(opened(&file, 7, 2).is_err(), "another party");
            for cut in [file.len() - 1, HEAD + TAG, HEAD + CHUNK + TAG] {
                assert!(cut >= file.len() || opened(&file[..cut], 7, 1).is_err(), "{length} cut to {cut}");
            }
            let mut changed = file.clone();
            changed[HEAD] ^= 1;
            assert!(opened(&changed, 7, 1).is_err());
            changed.copy_from_slice(&file);
            changed[7] = b'1';
            assert!(opened(&changed, 7, 1).is_err(), "another format");
        }
    }
}
