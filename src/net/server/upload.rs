//! Upload of a model by a client: pieces go to the disk by the thread of the client's link, past the engine.

use super::{
    refusal::Refusal,
    state::{Footprint, ServerState},
};
use crate::{
    Error, Result,
    net::{
        config::Client,
        control::{RefusalReason, Upload},
        model_id::check_name,
        store::StoreWriter,
        wire::pack,
    },
    nn::Reveal,
};
use std::time::{Duration, Instant};

/// Place of a connection for the one upload that may be coming in.
#[derive(Default)]
pub struct UploadSlot(Option<ActiveUpload>);

/// Upload that is coming in.
struct ActiveUpload {
    writer: StoreWriter,
    /// Time of its last piece.
    since: Instant,
}

impl UploadSlot {
    /// Begins an upload; an earlier one that was not committed is dropped. The least number that the model can get.
    pub fn begin(&mut self, state: &ServerState, client: &Client, upload: &Upload) -> std::result::Result<u32, Refusal> {
        self.0 = None;
        if !client.upload {
            let text = format!("client '{}' may not upload models: cluster.toml does not say upload = true", client.name);
            return Err(Refusal::new(RefusalReason::Unauthorised, text));
        }
        check(state, upload).map_err(Refusal::of(RefusalReason::BadRequest))?;
        let begun = state.store.begin(upload, client.certificate);
        let reason = |error: &Error| if matches!(error, Error::Input(_)) { RefusalReason::TooMuch } else { RefusalReason::Failed };
        let writer = begun.map_err(|error| Refusal::of(reason(&error))(error))?;
        let version = writer.next_version();
        self.0 = Some(ActiveUpload { writer, since: Instant::now() });
        Ok(version)
    }

    /// Numbers the model; an upload that was refused has none.
    pub fn number(&mut self, version: u32) -> std::result::Result<(), Refusal> {
        let Some(upload) = &mut self.0 else { return Ok(()) };
        upload.since = Instant::now();
        upload.writer.number(version).map_err(|error| {
            self.0 = None;
            Refusal::of(RefusalReason::Failed)(error)
        })
    }

    /// Removes what was stored of an upload that has failed at another party.
    pub fn abandon(&mut self) {
        if let Some(upload) = self.0.take() {
            upload.writer.abandon();
        }
    }

    /// Adds a piece; one of an upload that was refused may still be on its way, and is dropped.
    pub fn add_piece(&mut self, bytes: &[u8]) -> std::result::Result<(), Refusal> {
        let Some(upload) = &mut self.0 else { return Ok(()) };
        upload.since = Instant::now();
        upload.writer.piece(bytes).map_err(|error| {
            self.0 = None;
            Refusal::of(RefusalReason::Failed)(error)
        })
    }

    /// Ends the pieces: the shares are on disk when this returns. False if there is no upload.
    pub fn end(&mut self, digest: &[u8; 32]) -> std::result::Result<bool, Refusal> {
        let Some(mut upload) = self.0.take() else { return Ok(false) };
        upload.writer.finish(digest).map_err(Refusal::of(RefusalReason::Failed))?;
        self.0 = Some(ActiveUpload { since: Instant::now(), ..upload });
        Ok(true)
    }

    /// Keeps the model: its id and number.
    pub fn commit(&mut self) -> std::result::Result<(String, u32), Refusal> {
        let none = || Refusal::new(RefusalReason::BadRequest, "there is no upload to commit");
        let upload = self.0.take().ok_or_else(none)?;
        upload.writer.commit().map_err(Refusal::of(RefusalReason::Failed))
    }

    /// Whether nothing of an upload has come for this long.
    pub fn has_stalled(&self, timeout: Duration) -> bool {
        self.0.as_ref().is_some_and(|upload| upload.since.elapsed() > timeout)
    }
}

/// Checks that the model could run here.
fn check(state: &ServerState, upload: &Upload) -> Result<()> {
    check_name(&upload.name)?;
    let program = upload.meaning.program(&upload.architecture, &state.setup.cluster)?;
    // the same in other bytes would be another model; names that cannot be shown are other bytes
    if *pack(&program)? != upload.architecture {
        return Err(Error::Model("an architecture that is not written as it should be".into()));
    }
    let Footprint { model, request } = state.footprint(&program, 1, Reveal::Logits)?;
    let limit = state.memory.limit();
    match model.saturating_add(request) > limit {
        true => Err(Error::Input(format!("the model holds {model} bytes and a request {request} more: this party has {limit}"))),
        false => Ok(()),
    }
}
