//! Progress of an inference, layer by layer, and the caller's word on whether it goes on.

use super::program::Program;
use crate::{Error, Result};
use std::{
    future::{Future, poll_fn},
    ops::ControlFlow,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

/// How far an inference has come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The share of the work that is done, 0 to 1.
    pub share: f64,
    /// Inputs that have their answer.
    pub inputs: usize,
    /// Inputs in all.
    pub of_inputs: usize,
    /// Layers that have ended, of the batch under way.
    pub layers: usize,
    /// Layers of a batch.
    pub of_layers: usize,
    /// Bytes that the parties have sent to each other.
    pub bytes: u64,
    /// Seconds since the beginning.
    pub seconds: f64,
    /// Seconds that are left, estimated from the work of the layers that have ended.
    pub seconds_left: f64,
}

/// The answer of a caller to [`Progress`]: whether the inference goes on. Nothing, or [`ControlFlow`]; a break ends the inference with
/// [`Error::Cancelled`].
pub trait Verdict {
    /// Whether it goes on.
    fn goes_on(self) -> bool;
}

impl Verdict for () {
    fn goes_on(self) -> bool {
        true
    }
}

impl Verdict for ControlFlow<()> {
    fn goes_on(self) -> bool {
        self.is_continue()
    }
}

/// A count of layers that have ended.
pub(super) type Ended = Arc<AtomicUsize>;

/// Polls a run, which yields between layers; `tell` hears how many have ended whenever there are more, and false from it ends the
/// run. Dropping a run is all that ends it: the next one begins with a fresh root scope.
pub(super) async fn watched<T>(run: impl Future<Output = Result<T>>, ended: &Ended, mut tell: impl FnMut(usize) -> bool) -> Result<T> {
    let (mut run, mut told) = (pin!(run), 0);
    poll_fn(|context| {
        let polled = run.as_mut().poll(context);
        let now = ended.load(Ordering::Relaxed);
        if now > told && polled.is_pending() {
            told = now;
            if !tell(now) {
                return Poll::Ready(Err(Error::Cancelled));
            }
        }
        polled
    })
    .await
}

/// The share of a program's work that has been done when the first steps have ended, for each number of them.
pub(super) fn shares_of_work(program: &Program) -> Result<Vec<f64>> {
    let operands = program.operands(1)?;
    let mut done = vec![0.0];
    for step in program.steps() {
        let operand = |v: usize| operands[v].as_ref().expect("a program makes each value before it is read");
        let inputs: Vec<_> = step.inputs.iter().map(|&v| operand(v).clone()).collect();
        done.push(done[done.len() - 1] + step.action.work(&inputs, operand(step.output)));
    }
    let all = done[done.len() - 1];
    Ok(done.into_iter().map(|work| if all > 0.0 { work / all } else { 1.0 }).collect())
}
