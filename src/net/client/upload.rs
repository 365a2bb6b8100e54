//! Upload of a model: its weights are shared among the three parties, which keep them.

use super::connection::Connection;
use crate::{
    Error, Result,
    net::{
        control::{Control, Upload},
        hello::clock,
        link::Link,
        model_id::check_name,
        secrets::random,
        wire::{PIECE, pack},
    },
    nn::{Graph, Program, bounds::bounds, lower},
    protocol as mpc,
};
use ring::digest::{Context, SHA256};
use std::{io, ops::RangeInclusive};
use zeroize::Zeroizing;

impl Connection {
    /// Shares a model's weights among the parties, which keep them under the id that is returned. `progress` is told the fraction
    /// that is done.
    ///
    /// [`Error::Input`] if the parties refuse: the client may not upload, the name belongs to another client, the store is full.
    pub fn upload(&self, name: &str, graph: &Graph, progress: impl Fn(f64)) -> Result<String> {
        self.upload_for(name, graph, None, progress)
    }

    /// The same for inputs in a range: comparisons look only at as many bits as the values can have. These and the range become
    /// public; clients refuse inputs outside it.
    pub fn upload_for(&self, name: &str, graph: &Graph, range: Option<RangeInclusive<f32>>, progress: impl Fn(f64)) -> Result<String> {
        check_name(name)?;
        let lowered = lower(graph, self.fixed)?;
        let program = range.map_or_else(|| Ok(lowered.program.clone()), |range| bounds(&lowered, range))?;
        let words: u64 = program.parameters().iter().map(|parameter| parameter.shape.elements() as u64).sum();
        let id = self.begin_upload(name, &program, words)?;
        let mut digests = [(); 3].map(|()| Context::new(&SHA256));
        let mut done = 0;
        for parameter in lowered.parameters.encoded() {
            let parameter = parameter?;
            let parameter_words = Zeroizing::new(parameter.words);
            let shares = mpc::share(&parameter.shape, &parameter_words)?;
            for (party, share) in shares.iter().enumerate() {
                let mut pieces = Pieces { link: &self.links[party], digest: &mut digests[party], piece: Zeroizing::new(Vec::new()) };
                share.write(&mut pieces).and_then(|()| pieces.end()).map_err(|_| self.link_error(party))?;
            }
            done += parameter_words.len() as u64;
            progress(done as f64 / words as f64);
        }
        for (link, digest) in self.links.iter().zip(digests) {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest.finish().as_ref());
            link.control(&Control::EndUpload { digest: bytes });
        }
        self.replies(|control| matches!(control, Control::Stored).then_some(()))?;
        self.query(&Control::Commit, |control| matches!(control, Control::Committed).then_some(()))?;
        Ok(id)
    }

    /// Announces an upload to each party: the id of the model.
    fn begin_upload(&self, name: &str, program: &Program, words: u64) -> Result<String> {
        let tensors = program.parameters().len() as u64;
        // two seeds, or one and the words themselves
        let (seeds, shares) = (tensors * 66, tensors * 34 + words * 8);
        let upload = Upload {
            name: name.into(),
            architecture: pack(program)?.to_vec(),
            uploaded: clock() / 1000,
            number: *random::<16>()?,
            bytes: seeds,
        };
        for (party, link) in self.links.iter().enumerate() {
            let bytes = if party == 0 { seeds } else { shares };
            link.control(&Control::Upload(Upload { bytes, ..upload.clone() }));
        }
        Ok(upload.id())
    }

    /// Error with which a party's link has ended.
    fn link_error(&self, party: usize) -> Error {
        while let Ok((from, incoming)) = self.inbox.recv_timeout(self.options.connect) {
            if let Err(error) = incoming {
                return self.named(from, error);
            }
        }
        self.named(party, Error::Peer("takes nothing more".into()))
    }
}

/// Writer that cuts shares into pieces of an upload.
struct Pieces<'a> {
    link: &'a Link,
    digest: &'a mut Context,
    piece: Zeroizing<Vec<u8>>,
}

impl Pieces<'_> {
    fn end(&mut self) -> io::Result<()> {
        self.digest.update(&self.piece);
        self.link.piece(std::mem::take(&mut self.piece)).map_err(io::Error::other)
    }
}

impl io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.end()?;
        }
        let n = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
