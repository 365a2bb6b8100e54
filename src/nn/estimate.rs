//! Costs of an inference, foreseen: the same code on devices that keep sizes and no words.

use super::{answer::Reveal, graph::Graph, ops::Bits, profile, program::Step, session::Session};
use crate::{
    Result,
    fixed::Fixed,
    party::{Net, Transport},
    protocol::{Sign, Signs},
    shape::Shape,
};
use std::ops::RangeInclusive;

/// The cost of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name of the node.
    pub name: String,
    /// Description of its step.
    pub kind: String,
    /// Shape of its output.
    pub shape: Shape,
    /// Rounds from its inputs to its output; layers that do not wait for each other share them.
    pub rounds: u32,
    /// Bits that its comparisons look at.
    pub bits: Bits,
    /// Bytes that each party sends, headers of the messages included, those of the frames not.
    pub bytes_sent: [u64; 3],
}

/// The cost of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In the order of the network.
    pub layers: Vec<Layer>,
    /// Rounds, the one that reveals included.
    pub rounds: u32,
    /// Bytes that each party sends to the other two.
    pub bytes_sent: [u64; 3],
    /// Signs, tensor by tensor.
    pub signs: Signs,
    /// Bytes that the owners share out.
    pub bytes_from_owners: u64,
    /// The most bytes of tensors that each party holds at one time: weights, activations, messages.
    pub memory: [u64; 3],
    /// Bytes that a process holds at most that runs all three on the CPU: their tensors, freed buffers that are kept, the model.
    pub process: u64,
}

/// Runs the network on shape-only devices, as it would run in one process.
pub async fn plan(graph: &Graph, batch: usize, fixed: Fixed, reveal: Reveal) -> Result<Plan> {
    plan_on(&Session::shape_only(fixed)?, graph, None, batch, reveal).await
}

/// The same as a session of shape-only devices would run it, with its signs, leads and pieces; for inputs in a range, if one is
/// promised.
pub async fn plan_on(session: &Session, graph: &Graph, inputs: Option<RangeInclusive<f32>>, batch: usize, reveal: Reveal) -> Result<Plan> {
    let zero = inputs.as_ref().map_or(0.0, |inputs| *inputs.start());
    let model = session.load_for(graph, inputs)?;
    let program = model.program();
    let operands = program.operands(batch)?;
    let answer = session.infer(&model, &vec![zero; batch * program.input_size()], batch, reveal, |_| {}).await?;
    let meters = session.parties().each_ref().map(|p| p.meter());
    let layer = |(number, step): (usize, &Step)| Layer {
        name: step.name.clone(),
        kind: step.action.describe(),
        shape: operands[step.output].as_ref().expect("a program makes the output of each step").value.shape.clone(),
        rounds: profile::rounds(&meters, number),
        bits: step.bits,
        bytes_sent: meters.each_ref().map(|meter| profile::bytes(meter, number)),
    };
    let memory = session.parties().each_ref().map(|p| p.device().memory().unwrap_or_default());
    Ok(Plan {
        layers: program.steps().iter().enumerate().map(layer).collect(),
        rounds: answer.cost.rounds,
        bytes_sent: answer.cost.bytes_sent,
        signs: meters[0].signs(),
        bytes_from_owners: answer.cost.bytes_from_owners,
        memory: memory.map(|m| m.live),
        process: memory[0].held + model_bytes(graph),
    })
}

/// Seconds that a batch spends on a network between three machines whose computing takes no time: the messages of a shape-only run on a
/// shaped link, and the owner's shares and result on links alike.
pub async fn network_seconds(graph: &Graph, batch: usize, fixed: Fixed, sign: Sign, net: Net) -> Result<f64> {
    let session = Session::shape_only(fixed)?.with_sign(sign).with_transport(Transport::Shaped(net));
    plan_on(&session, graph, None, batch, Reveal::Logits).await?;
    let between = session.parties().iter().map(|p| p.meter().seconds).fold(0.0, f64::max);
    // the words of the input reach two parties side by side
    let size = graph.input_size() * batch;
    let there = size as f64 * 64.0 / net.bits_per_second as f64;
    Ok(between + there + 2e-6 * net.latency_us as f64)
}

/// The graph's own numbers.
fn model_bytes(graph: &Graph) -> u64 {
    graph.parameters() as u64 * 4
}
