//! Watching layers: when each was at work, and when it ended. For progress bars and profiles; public figures only.

use super::{Party, State};
use crate::clock;
use std::sync::Arc;

/// A stretch of time in which a party worked on a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The layer.
    pub layer: u16,
    /// When it began and ended, on the process's clock.
    pub seconds: [f64; 2],
}

/// Is told of each layer that ends.
pub type Ended = Arc<dyn Fn(u16) + Send + Sync>;

/// What a party's caller wants to know.
#[derive(Default)]
pub(super) struct Watch {
    spans: Option<Vec<Span>>,
    ended: Option<Ended>,
}

/// Shorter turns have only found that there is nothing to do.
const SHORTEST: f64 = 2e-6;

impl Party {
    /// Keeps the spans of each layer from now on, or no longer.
    pub fn keep_spans(&self, keep: bool) {
        self.lock().watch.spans = keep.then(Vec::new);
    }

    /// The spans kept so far; keeping goes on. On a GPU they are those of recording work and of waiting for it.
    pub fn take_spans(&self) -> Vec<Span> {
        self.lock().watch.spans.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Calls back whenever this party has ended a layer.
    pub fn on_layer(&self, ended: Option<Ended>) {
        self.lock().watch.ended = ended;
    }

    /// When a turn of a layer begins, if anyone wants to know.
    pub(super) fn turn_begins(&self) -> Option<f64> {
        self.lock().watch.spans.is_some().then(clock::now)
    }

    pub(super) fn turn_ends(&self, layer: u16, began: f64) {
        let ended = clock::now();
        if let State { watch: Watch { spans: Some(spans), .. }, .. } = &mut *self.lock()
            && ended - began >= SHORTEST
        {
            spans.push(Span { layer, seconds: [began, ended] });
        }
    }

    pub(super) fn layer_ends(&self, layer: u16, clocks: (u32, u32)) {
        let ended = {
            let mut state = self.lock();
            state.meter.layers.insert(layer, clocks);
            state.watch.ended.clone()
        };
        if let Some(ended) = ended {
            ended(layer);
        }
    }
}
