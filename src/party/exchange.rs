//! Frames from party to party within one process.

use super::{
    message::{Frame, decode, encode},
    party::Party,
};
use crate::{Error, Result};
use std::{future::Future, pin::Pin};
use zeroize::Zeroizing;

/// One party's task: under way, or its output.
pub(super) enum Task<F: Future> {
    Runs(Pin<Box<F>>),
    Done(F::Output),
}

/// Moves every frame; true if there was one.
pub(super) async fn exchange(parties: &[Party; 3], as_bytes: bool) -> Result<bool> {
    let mut moved = false;
    for (from, to) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let (sender, receiver) = (&parties[from], &parties[to]);
        let frame = sender.frame(to);
        if frame.is_empty() {
            continue;
        }
        moved = true;
        let frame = pass(sender, receiver, frame, as_bytes).await?;
        receiver.lock().windows[from].credit(frame.credit);
        for message in frame.messages {
            receiver.deliver(from, message)?;
        }
    }
    Ok(moved)
}

/// A frame as it reaches the receiver: the very same buffers, or bytes that were parsed again where the devices differ or `as_bytes`.
pub(super) async fn pass(sender: &Party, receiver: &Party, frame: Frame, as_bytes: bool) -> Result<Frame> {
    if !as_bytes && sender.device.same(&receiver.device) {
        return Ok(frame);
    }
    let mut whole = Zeroizing::default();
    encode(&frame, &sender.device, usize::MAX, &mut |bytes| whole = bytes).await?;
    let (credit, parsed) = decode(&whole)?;
    let messages = parsed.into_iter().filter_map(|message| receiver.place(sender.number, message).transpose());
    Ok(Frame { credit, messages: messages.collect::<Result<_>>()? })
}

/// The error of a run in which no party can go on.
pub(super) fn stuck(parties: &[Party; 3]) -> Error {
    let waits: Vec<String> = parties
        .iter()
        .flat_map(|p| {
            p.lock().waits.iter().filter(|w| !w.is_empty()).take(2).map(|w| format!("party {}: {w}", p.number)).collect::<Vec<_>>()
        })
        .collect();
    Error::OutOfStep(format!("no party can go on; {}", waits.join("; ")))
}
