//! Where the time, the rounds and the bytes of an inference go, layer by layer.

use super::program::{Program, Step};
use crate::party::{Meter, Party, Span};
use std::collections::BTreeMap;

/// One layer over all batches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LayerCost {
    /// Name of the node.
    pub name: String,
    /// Description of its step.
    pub kind: String,
    /// Seconds of computing, all three parties together.
    pub seconds: f64,
    /// Rounds from its inputs to its output, of one batch; layers that do not wait for each other share them.
    pub rounds: u32,
    /// Bytes sent by all parties, headers of the messages included.
    pub bytes: u64,
}

/// Costs by layer, and when each party worked on what.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// In the order of the network.
    pub layers: Vec<LayerCost>,
    /// Each party's, in the order of time. On a GPU: when work was recorded, not when it was done.
    pub spans: [Vec<Span>; 3],
}

impl Profile {
    pub(super) fn of(program: &Program) -> Self {
        let layer = |step: &Step| LayerCost { name: step.name.clone(), kind: step.action.describe(), ..LayerCost::default() };
        Self { layers: program.steps().iter().map(layer).collect(), spans: Default::default() }
    }

    /// Adds what the parties have spent since their meters were reset.
    pub(super) fn add(&mut self, parties: &[Party; 3]) {
        let meters: Vec<Meter> = parties.iter().map(|p| p.meter()).collect();
        for (number, layer) in self.layers.iter_mut().enumerate() {
            layer.rounds = rounds(&meters, number);
            layer.bytes += meters.iter().map(|meter| bytes(meter, number)).sum::<u64>();
        }
        for (party, kept) in parties.iter().zip(&mut self.spans) {
            for span in party.take_spans() {
                if let Some(layer) = self.layers.get_mut(usize::from(span.layer)) {
                    layer.seconds += span.seconds[1] - span.seconds[0];
                }
                kept.push(span);
            }
        }
    }

    /// The spans in the trace event format of Chrome's `about:tracing` and of Perfetto: one row a party, microseconds.
    #[cfg(feature = "cli")]
    pub fn trace(&self) -> String {
        let name = |layer: u16| self.layers.get(usize::from(layer)).map_or("", |layer| layer.name.as_str());
        let kind = |layer: u16| self.layers.get(usize::from(layer)).map_or("", |layer| layer.kind.as_str());
        let began = self.spans.iter().flatten().map(|span| span.seconds[0]).fold(f64::INFINITY, f64::min);
        let event = |(party, span): (usize, &Span)| {
            let [from, to] = span.seconds.map(|s| (s - began) * 1e6);
            serde_json::json!({"name": name(span.layer), "cat": kind(span.layer), "ph": "X", "ts": from, "dur": to - from, "pid": 0, "tid": party})
        };
        let title = |party: usize| {
            let label = format!("party {party}");
            serde_json::json!({"name": "thread_name", "ph": "M", "pid": 0, "tid": party, "args": {"name": label}})
        };
        let spans = self.spans.iter().enumerate().flat_map(|(party, spans)| spans.iter().map(move |span| (party, span)));
        let events: Vec<serde_json::Value> = (0..3).map(title).chain(spans.map(event)).collect();
        serde_json::json!({"traceEvents": events, "displayTimeUnit": "ms"}).to_string()
    }
}

/// Rounds of a layer, the most of any party's: the lead waits for nobody.
pub(super) fn rounds(meters: &[Meter], number: usize) -> u32 {
    let clocks = meters.iter().filter_map(|m| m.layers.get(&(number as u16)));
    clocks.map(|&(began, ended)| ended.saturating_sub(began)).max().unwrap_or(0)
}

/// Bytes that a party has sent for a layer.
pub(super) fn bytes(meter: &Meter, number: usize) -> u64 {
    let labels: &BTreeMap<_, _> = &meter.by_label;
    labels.iter().filter(|((layer, _), _)| usize::from(*layer) == number).map(|(_, cost)| cost.bytes).sum()
}
