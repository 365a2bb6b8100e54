//! A program on shares: one party's run.

use super::{
    ops::Own,
    program::{Program, Step},
};
use crate::{
    kernels::gather::Table,
    party::{Cell, Party, Tag, join_all, tagged},
    share::Arith,
};

/// A party's part of a model: its shares of the parameters, and tables of indices on its device.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    /// By value: the parameters.
    pub parameters: Vec<Option<Arith>>,
    /// By step: tables of indices.
    pub tables: Vec<Option<Table>>,
}

/// All steps at once, each waiting for its inputs, so that independent ones share rounds; the values of the outputs.
pub(super) async fn execute(p: &Party, program: &Program, holdings: &Holdings, inputs: Vec<Arith>) -> Vec<Arith> {
    let cells: Vec<Cell<Arith>> = program.readers().into_iter().map(Cell::new).collect();
    for (cell, input) in cells.iter().zip(inputs) {
        cell.set(p, input);
    }
    let task = |(number, step): (usize, &Step)| {
        let (cells, step) = (&cells, step.clone());
        async move {
            let mut inputs = Vec::new();
            for &value in &step.inputs {
                inputs.push(match &holdings.parameters[value] {
                    Some(parameter) => parameter.clone(),
                    None => cells[value].get(p).await,
                });
            }
            let layer = Tag { layer: Some(number as u16), ..Tag::default() };
            let own = Own { bits: step.bits, table: holdings.tables[number].as_ref() };
            let output = tagged(p, layer, step.action.run(p, own, inputs)).await;
            cells[step.output].set(p, output);
        }
    };
    join_all(p, program.steps().iter().enumerate().map(task).collect()).await;
    let mut results = Vec::new();
    for output in program.outputs() {
        results.push(cells[output.value].get(p).await);
    }
    results
}
