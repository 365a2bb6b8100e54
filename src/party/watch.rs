//! Watching layers: when each was at work, and when it ended. For progress bars and profiles; public figures only.

use std::sync::Arc;

/// A stretch of time in which a party worked on a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The layer.
    pub layer: u16,
    /// When it began and ended, on the process's clock.
    pub seconds: [f64; 2],
}

/// Callback that is told of each layer that ends.
pub type Ended = Arc<dyn Fn(u16) + Send + Sync>;

/// Spans and a callback, where the party's caller wants them.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) spans: Option<Vec<Span>>,
    pub(super) ended: Option<Ended>,
}

/// Shorter turns have only found that there is nothing to do.
const SHORTEST: f64 = 2e-6;

impl Watch {
    /// Notes a turn of a layer that began and ended at these seconds.
    pub(super) fn note(&mut self, layer: u16, seconds: [f64; 2]) {
        if let Some(spans) = &mut self.spans
            && seconds[1] - seconds[0] >= SHORTEST
        {
            spans.push(Span { layer, seconds });
        }
    }
}
