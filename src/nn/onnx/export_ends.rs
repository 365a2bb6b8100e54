//! Functions at the end of an output as ONNX nodes, each on extents in which its axis is one of its own.

use crate::{
    Error, Result,
    nn::{
        clear::{Each, Labels, Pairing, Reduction},
        finish::{self, Along, Finish},
        ops::{Attribute, Writer},
    },
};

/// Writes all functions of a value of so many numbers an item; the name of the last result and its numbers.
pub fn write(writer: &mut dyn Writer, value: &str, row: usize, all: &[Finish]) -> Result<(String, usize)> {
    // each result as (batch, numbers)
    let flat = writer.fresh();
    writer.reshape(value, &[row], &flat);
    let mut results = vec![(flat, row)];
    for (i, finish) in all.iter().enumerate() {
        let after = one(writer, &results, finish)?;
        results.push((after, finish::length(&all[..=i], row)?));
    }
    Ok(results.pop().unwrap_or_default())
}

fn one(writer: &mut dyn Writer, results: &[(String, usize)], finish: &Finish) -> Result<String> {
    let (from, row) = results.last().cloned().unwrap_or_default();
    Ok(match finish {
        Finish::Softmax(along) => grouped(writer, &from, row, *along, |w, x| w.made("Softmax", &[x], vec![Attribute::Int("axis", 2)])),
        Finish::LogSoftmax(along) => {
            grouped(writer, &from, row, *along, |w, x| w.made("LogSoftmax", &[x], vec![Attribute::Int("axis", 2)]))
        }
        Finish::ArgMax { along, last } => grouped(writer, &from, row, *along, |w, x| {
            let attributes = [("axis", 2), ("select_last_index", i64::from(*last))];
            let index = w.made("ArgMax", &[x], attributes.map(|(name, i)| Attribute::Int(name, i)).into());
            w.made("Cast", &[index], vec![Attribute::Int("to", FLOAT)])
        }),
        Finish::Normalize(along, kind @ (Reduction::L1 | Reduction::L2)) => grouped(writer, &from, row, *along, |w, x| {
            let p = if *kind == Reduction::L1 { 1 } else { 2 };
            w.made("LpNormalization", &[x], vec![Attribute::Int("axis", 2), Attribute::Int("p", p)])
        }),
        Finish::Reduce(along, kind) => {
            let axes = (*kind == Reduction::Sum).then(|| writer.integers(&[2]));
            grouped(writer, &from, row, *along, |w, x| match axes {
                Some(axes) => w.made("ReduceSum", &[x, axes], Vec::new()),
                None => w.made(reduction(*kind), &[x], vec![Attribute::Ints("axes", vec![2])]),
            })
        }
        Finish::Sigmoid => writer.made("Sigmoid", &[from], Vec::new()),
        Finish::Move(indices) => taken(writer, &from, &indices.iter().map(|&at| at.into()).collect::<Vec<i64>>()),
        Finish::Each(each) => of_each(writer, from, *each)?,
        Finish::Results(numbers) => {
            let parts: Vec<String> = numbers.iter().map(|&number| results[number as usize].0.clone()).collect();
            writer.made("Concat", &parts, vec![Attribute::Int("axis", 1)])
        }
        Finish::Pairs(pairing) => {
            let half = row as i64 / 2;
            let (a, b) =
                (taken(writer, &from, &(0..half).collect::<Vec<_>>()), taken(writer, &from, &(half..2 * half).collect::<Vec<_>>()));
            writer.made(operator(*pairing), &[a, b], Vec::new())
        }
        Finish::Labels(Labels::Integers(labels)) => {
            let labels = writer.integers(labels);
            let index = writer.made("Cast", &[from], vec![Attribute::Int("to", INT64)]);
            let label = writer.made("Gather", &[labels, index], vec![Attribute::Int("axis", 0)]);
            writer.made("Cast", &[label], vec![Attribute::Int("to", FLOAT)])
        }
        // the numbers are the same, and every result is a row
        Finish::Named(_) | Finish::Shape(_) => from,
        Finish::Labels(Labels::Strings(_)) | Finish::Normalize(..) => {
            return Err(Error::Model("an output that ends with texts, or with groups over their largest number, cannot be written".into()));
        }
    })
}

const FLOAT: i64 = 1;
const INT64: i64 = 7;
const BOOL: i64 = 9;

/// A function along the middle of three axes, turned to be the last; its result in the order of the groups.
fn grouped(writer: &mut dyn Writer, from: &str, row: usize, along: Along, f: impl FnOnce(&mut dyn Writer, String) -> String) -> String {
    let (cube, flat) = (writer.fresh(), writer.fresh());
    writer.reshape(from, &[row / (along.len * along.inner).max(1), along.len, along.inner], &cube);
    let made = f(writer, cube);
    let to = writer.integers(&[0, -1]);
    writer.push("Reshape", &[made, to], &flat, Vec::new());
    flat
}

fn taken(writer: &mut dyn Writer, from: &str, indices: &[i64]) -> String {
    let indices = writer.integers(indices);
    writer.made("Gather", &[from.to_owned(), indices], vec![Attribute::Int("axis", 1)])
}

fn of_each(writer: &mut dyn Writer, x: String, each: Each) -> Result<String> {
    let name = match each {
        Each::Exp => "Exp",
        Each::Log => "Log",
        Each::Sqrt => "Sqrt",
        Each::Tanh => "Tanh",
        Each::Reciprocal => "Reciprocal",
        Each::Softplus => "Softplus",
        Each::Abs => "Abs",
        Each::Sign => "Sign",
        Each::Truncate | Each::IsNonzero | Each::IsPositive => {
            let x = if each == Each::IsPositive { writer.made("Relu", &[x], Vec::new()) } else { x };
            let whole = writer.made("Cast", &[x], vec![Attribute::Int("to", if each == Each::Truncate { INT64 } else { BOOL })]);
            return Ok(writer.made("Cast", &[whole], vec![Attribute::Int("to", FLOAT)]));
        }
        Each::Scale(c) | Each::Shift(c) | Each::Power(c) => {
            let c = writer.floats(&[1], &[c]);
            let operator = match each {
                Each::Scale(_) => "Mul",
                Each::Shift(_) => "Add",
                _ => "Pow",
            };
            return Ok(writer.made(operator, &[x, c], Vec::new()));
        }
        Each::Clip(low, high) => {
            let bounds = [low, high].map(|bound| if bound.is_finite() { writer.floats(&[], &[bound]) } else { String::new() });
            let [low, high] = bounds;
            return Ok(writer.made("Clip", &[x, low, high], Vec::new()));
        }
        Each::Probit => return Err(Error::Model("an output that ends with probits cannot be written".into())),
    };
    Ok(writer.made(name, &[x], Vec::new()))
}

fn reduction(kind: Reduction) -> &'static str {
    match kind {
        Reduction::Sum => "ReduceSum",
        Reduction::Mean => "ReduceMean",
        Reduction::Max => "ReduceMax",
        Reduction::Min => "ReduceMin",
        Reduction::L1 => "ReduceL1",
        Reduction::L2 => "ReduceL2",
        Reduction::LogSumExp => "ReduceLogSumExp",
    }
}

fn operator(pairing: Pairing) -> &'static str {
    match pairing {
        Pairing::Add => "Add",
        Pairing::Sub => "Sub",
        Pairing::Mul => "Mul",
        Pairing::Div => "Div",
        Pairing::Max => "Max",
        Pairing::Min => "Min",
    }
}
