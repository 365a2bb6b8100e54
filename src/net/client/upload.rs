//! Upload of a model: its weights are shared among the three parties, which keep them.

use super::connection::Connection;
use crate::{
    Error, Result,
    net::{
        control::{Control, ModelFacts, Upload},
        hello::clock,
        link::Link,
        meaning::Meaning,
        model_id::check_name,
        secrets::random,
        wire::{PIECE, pack},
    },
    nn::{Graph, LoweredModel, Program, Ranges, calibrate::ranged, lower},
    protocol as mpc,
};
use ring::digest::{Context, SHA256};
use std::{io, ops::RangeInclusive};
use zeroize::Zeroizing;

/// Options of an upload.
#[derive(Debug, Clone, Default)]
pub struct UploadOptions<'a> {
    /// Range of all inputs, for which comparisons look only at as many bits as the values can have. These bits become public.
    pub range_bits: Option<RangeInclusive<f32>>,
    /// Sample inputs, one after another, each with the numbers of all inputs of the model: they are walked in the clear, and the model
    /// carries [bounds](crate::nn::calibrate) of its inputs from then on, which are public.
    pub calibration: &'a [f32],
    /// Bounds of the inputs that the owner knows, if there are no samples.
    pub ranges: Option<Ranges>,
}

/// Stage of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadStage {
    /// Samples are walked in the clear, and ranges proven.
    Calibrating,
    /// Weights are shared, and shares sent.
    Sharing,
    /// The parties write what is on its way, and say that they have it.
    Storing,
}

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
        let options = UploadOptions { range_bits: range, ..UploadOptions::default() };
        let sharing = |stage, done| {
            if stage == UploadStage::Sharing {
                progress(done)
            }
        };
        self.upload_with(name, graph, options, sharing).map(|facts| facts.id)
    }

    /// The same with all options. The parties number the models of a name; one that another party has not stored is not used.
    /// `progress` is told the stage and the fraction of it that is done.
    ///
    /// [`Error::Range`] names the step that a value of a sample overflows, the bits that it needs and the remedy.
    pub fn upload_with(
        &self,
        name: &str,
        graph: &Graph,
        options: UploadOptions<'_>,
        mut progress: impl FnMut(UploadStage, f64),
    ) -> Result<ModelFacts> {
        check_name(name)?;
        let lowered = lower(graph, self.cluster.fixed()?)?;
        let UploadOptions { range_bits, calibration, ranges } = options;
        let mut program = ranged(&lowered, range_bits, calibration, |done| progress(UploadStage::Calibrating, done))?;
        if let Some(ranges) = ranges {
            program = program.with_ranges(ranges)?;
        }
        let words: u64 = program.parameters().iter().map(|parameter| parameter.shape.elements() as u64).sum();
        let upload = self.announcement(name, &program)?;
        let stored = self.begin_upload(&upload, &program, words).and_then(|version| {
            self.send_shares(&lowered, words, &mut progress)?;
            self.replies(|control| matches!(control, Control::Stored).then_some(version))
        });
        // what one party does not have is of no use to the others
        let [version, ..] = stored.inspect_err(|_| self.links.iter().for_each(|link| link.control(&Control::Abandon)))?;
        self.query(&Control::Commit, |control| matches!(control, Control::Committed).then_some(()))?;
        Ok(ModelFacts { id: upload.id(), version, committed: true, uploaded: upload.uploaded, bytes: upload.bytes })
    }

    fn announcement(&self, name: &str, program: &Program) -> Result<Upload> {
        Ok(Upload {
            name: name.into(),
            meaning: Meaning::of(program, &self.cluster),
            architecture: pack(program)?.to_vec(),
            uploaded: clock() / 1000,
            number: *random::<16>()?,
            // two seeds
            bytes: 66 * program.parameters().len() as u64,
        })
    }

    /// Announces an upload to each party in turn, so that of two at one time one begins everywhere, and numbers the model.
    fn begin_upload(&self, upload: &Upload, program: &Program, words: u64) -> Result<u32> {
        let mut version = 0;
        for party in 0..3 {
            // a seed, and the words themselves
            let bytes = if party == 0 { upload.bytes } else { 34 * program.parameters().len() as u64 + 8 * words };
            let begun = self.query_one(party, &Control::Upload(Upload { bytes, ..upload.clone() }), |control| match control {
                Control::Begun { version } => Some(version),
                _ => None,
            })?;
            version = begun.max(version);
        }
        self.links.iter().for_each(|link| link.control(&Control::Number { version }));
        Ok(version)
    }

    /// Shares the weights among the parties.
    fn send_shares(&self, lowered: &LoweredModel, words: u64, progress: &mut impl FnMut(UploadStage, f64)) -> Result<()> {
        let mut digests = [(); 3].map(|()| Context::new(&SHA256));
        let mut done = 0;
        for parameter in lowered.parameters.encoded() {
            let parameter = parameter?;
            let parameter_words = Zeroizing::new(parameter.words);
            let shares = mpc::share(&parameter.shape, &parameter_words)?;
            for (party, share) in shares.iter().enumerate() {
                let (link, digest) = (&self.links[party], &mut digests[party]);
                let (from, part) = (done, parameter_words.len() as f64 / 3.0);
                let whole = share.bytes() as f64;
                let sent = |bytes: u64| {
                    let of_parties = party as f64 + bytes as f64 / whole.max(1.0);
                    progress(UploadStage::Sharing, (from as f64 + part * of_parties) / words as f64);
                };
                let mut pieces = Pieces { link, digest, piece: Zeroizing::new(Vec::new()), bytes: 0, sent };
                share.write(&mut pieces).and_then(|()| pieces.end()).map_err(|_| self.link_error(party))?;
            }
            done += parameter_words.len() as u64;
            progress(UploadStage::Sharing, done as f64 / words as f64);
        }
        progress(UploadStage::Storing, 0.0);
        for (link, digest) in self.links.iter().zip(digests) {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(digest.finish().as_ref());
            link.control(&Control::EndUpload { digest: bytes });
        }
        Ok(())
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
struct Pieces<'a, F> {
    link: &'a Link,
    digest: &'a mut Context,
    piece: Zeroizing<Vec<u8>>,
    /// Bytes of the pieces that were sent, of which `sent` is told.
    bytes: u64,
    sent: F,
}

impl<F: FnMut(u64)> Pieces<'_, F> {
    fn end(&mut self) -> io::Result<()> {
        self.digest.update(&self.piece);
        self.bytes += self.piece.len() as u64;
        (self.sent)(self.bytes);
        self.link.piece(std::mem::take(&mut self.piece)).map_err(io::Error::other)
    }
}

impl<F: FnMut(u64)> io::Write for Pieces<'_, F> {
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
