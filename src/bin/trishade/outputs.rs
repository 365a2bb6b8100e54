//! Outputs of a model as named values with a shape: known before a run, filled after it, saved in a file.

use crate::{
    args::{Form, ResultFile},
    failure::Failure,
    files::Place,
    npy, npz,
};
use serde_json::json;
use std::io::{self, Write};
use trishade::{
    Error, Result,
    nn::{
        Answer, Graph,
        finish::{self, Finish},
        graph::{GraphInput, GraphOutput},
    },
};

/// An output before there are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline {
    /// Name in the model.
    pub name: String,
    /// Extents of an item.
    pub extents: Vec<usize>,
    /// Extents of an item of what is revealed, before functions in the clear.
    revealed: Vec<usize>,
    /// The functions.
    finish: Vec<Finish>,
}

/// An output of all items.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name in the model.
    pub name: String,
    /// Extents, the number of items first.
    pub extents: Vec<usize>,
    /// The numbers.
    pub values: Vec<f32>,
    /// Integers.
    pub whole: bool,
}

impl Outline {
    /// Those of a graph.
    pub fn of_graph(graph: &Graph) -> Result<Vec<Self>> {
        let shapes = graph.shapes(1)?;
        let unmade = |output: &GraphOutput| Error::Model(format!("no node makes the output '{}'", output.name));
        let outline = |output: &GraphOutput| match shapes.get(output.value).and_then(Option::as_ref) {
            Some(value) => Ok(Self::new(output, value.item())),
            None => Err(unmade(output)),
        };
        graph.outputs.iter().map(outline).collect()
    }

    /// Those of a program.
    #[cfg(feature = "net")]
    pub fn of_program(program: &trishade::nn::Program) -> Result<Vec<Self>> {
        let results = program.results(1)?;
        Ok(program.outputs().iter().zip(&results).map(|(output, result)| Self::new(output, result.value.item())).collect())
    }

    fn new(output: &GraphOutput, item: &[usize]) -> Self {
        let extents = finish::extents(&output.finish, item);
        Self { name: output.name.clone(), extents, revealed: item.to_vec(), finish: output.finish.clone() }
    }

    /// An output without functions.
    #[cfg(test)]
    pub fn of(name: &str, extents: &[usize]) -> Self {
        Self { name: name.into(), extents: extents.to_vec(), revealed: extents.to_vec(), finish: Vec::new() }
    }

    /// Numbers of an item.
    pub fn numbers(&self) -> usize {
        self.extents.iter().product()
    }

    /// Scores of an item: as many classes there are.
    pub fn classes(&self) -> usize {
        if self.gives_index() { self.revealed.iter().product() } else { self.numbers() }
    }

    /// Whether an item is one row of at least two scores, or the index of the largest of such a row.
    pub fn is_row(&self) -> bool {
        is_row(&self.extents) || (self.gives_index() && self.numbers() == 1 && is_row(&self.revealed))
    }

    /// Whether what is revealed of an item is such a row.
    pub fn reveals_row(&self) -> bool {
        is_row(&self.revealed)
    }

    /// Whether a row is one of classes though nobody says so: it ends with probabilities that add up to one or an index, or has
    /// not as many numbers as the input, which it may be a copy of.
    pub fn is_of_classes(&self, inputs: &[GraphInput]) -> bool {
        let same = |input: &GraphInput| input.extents.iter().product::<usize>() == self.numbers();
        self.is_row()
            && (self.gives_index() || matches!(self.last(), Some(Finish::Softmax(_) | Finish::LogSoftmax(_))) || !inputs.iter().any(same))
    }

    /// The number above which a lone score says yes: one half of a probability, else zero.
    pub fn threshold(&self) -> f32 {
        if self.gives_probability() { 0.5 } else { 0.0 }
    }

    /// Whether a lone number is a probability.
    pub fn gives_probability(&self) -> bool {
        matches!(self.last(), Some(Finish::Sigmoid))
    }

    /// Whether the numbers are indices.
    pub fn gives_index(&self) -> bool {
        matches!(self.last(), Some(Finish::ArgMax { .. }))
    }

    /// Whether elements have moved after the last function, or without one.
    pub fn has_moved(&self) -> bool {
        self.finish.iter().any(|finish| matches!(finish, Finish::Move(_)))
    }

    fn last(&self) -> Option<&Finish> {
        self.finish.iter().rev().find(|finish| !matches!(finish, Finish::Move(_) | Finish::Shape(_)))
    }
}

/// All extents but one are 1, and that one is more.
fn is_row(extents: &[usize]) -> bool {
    extents.iter().filter(|&&extent| extent != 1).count() == 1
}

/// The outputs of an answer; of one that is an index alone, this index.
pub fn of(answer: &Answer, outlines: &[Outline]) -> Vec<Output> {
    let count = answer.predictions.len();
    let Some(first) = outlines.first() else { return Vec::new() };
    if answer.logits.is_empty() {
        let values = answer.predictions.iter().map(|&class| class as f32).collect();
        return vec![Output { name: format!("{}_argmax", first.name), extents: vec![count], values, whole: true }];
    }
    let rows = std::iter::once(answer.outputs()).chain(answer.others.iter().map(|other| other.values.clone()));
    let output = |(outline, rows): (&Outline, Vec<Vec<f32>>)| Output {
        name: outline.name.clone(),
        extents: [&[count], &outline.extents[..]].concat(),
        values: rows.concat(),
        whole: outline.gives_index(),
    };
    outlines.iter().zip(rows).map(output).collect()
}

impl Output {
    /// Numbers of an item.
    fn row(&self) -> usize {
        self.extents[1..].iter().product()
    }

    /// Name of each number of an item: the output's, with the index of each axis that has several.
    fn columns(&self) -> Vec<String> {
        let axes: Vec<usize> = self.extents[1..].iter().copied().filter(|&extent| extent != 1).collect();
        let name = |mut at: usize| {
            let mut indices = Vec::new();
            for extent in axes.iter().rev() {
                indices.push(format!("_{}", at % extent));
                at /= extent;
            }
            indices.push(self.name.clone());
            indices.into_iter().rev().collect::<String>()
        };
        (0..self.row()).map(name).collect()
    }
}

/// A file that results will be written to.
#[derive(Debug)]
pub struct Destination {
    place: Place,
    form: Form,
}

impl Destination {
    /// Checks, before a run, that a file for so many outputs can be written.
    pub fn new(file: Option<&ResultFile>, outputs: usize) -> std::result::Result<Option<Self>, Failure> {
        let Some(ResultFile { path, form }) = file else { return Ok(None) };
        if *form == Form::Npy && outputs > 1 {
            let name = path.display();
            return Err(Failure::Usage(format!("--output {name}: the model has {outputs} outputs and a .npy file holds one; use .npz")));
        }
        Ok(Some(Self { place: Place::new(path)?, form: *form }))
    }

    /// Writes the outputs of items, which may have names.
    pub fn write(&self, outputs: &[Output], items: &[String]) -> Result<()> {
        self.place.write(|to| match (self.form, outputs) {
            (Form::Npy, [one, ..]) => npy::write(to, &one.extents, &one.values, one.whole),
            (Form::Npy, []) => Ok(()),
            (Form::Npz, _) => npz::write(to, &members(outputs)),
            (Form::Csv, _) => table(to, outputs, items),
            (Form::Json, _) => object(to, outputs, items),
        })
    }
}

fn members(outputs: &[Output]) -> Vec<npz::Member<'_>> {
    outputs
        .iter()
        .map(|output| npz::Member { name: &output.name, extents: &output.extents, values: &output.values, whole: output.whole })
        .collect()
}

fn table(to: &mut impl Write, outputs: &[Output], items: &[String]) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(to);
    let file = if items.is_empty() { Vec::new() } else { vec!["file".to_string()] };
    table.write_record(file.into_iter().chain(outputs.iter().flat_map(Output::columns)))?;
    for item in 0..outputs.first().map_or(0, |output| output.extents[0]) {
        let numbers = outputs.iter().flat_map(|output| &output.values[item * output.row()..][..output.row()]);
        table.write_record(items.get(item).cloned().into_iter().chain(numbers.map(f32::to_string)))?;
    }
    table.flush()
}

fn object(to: &mut impl Write, outputs: &[Output], items: &[String]) -> io::Result<()> {
    write!(to, "{{\"outputs\":[")?;
    for (i, output) in outputs.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(to, "{comma}{{\"name\":{},\"shape\":{},\"values\":", json!(output.name), json!(output.extents))?;
        let rows: Vec<&[f32]> = output.values.chunks(output.row().max(1)).collect();
        // as f32: in f64 a tenth would be 0.10000000149
        serde_json::to_writer(&mut *to, &rows)?;
        write!(to, "}}")?;
    }
    let files = if items.is_empty() { String::new() } else { format!(",\"files\":{}", json!(items)) };
    writeln!(to, "]{files}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use trishade::{
        data::Numbers,
        nn::{finish::Along, graph::InputKind},
    };

    fn input(extents: &[usize]) -> [GraphInput; 1] {
        [GraphInput { name: "x".into(), extents: extents.to_vec(), kind: InputKind::Floats }]
    }

    fn with(extents: &[usize], finish: &[Finish]) -> Outline {
        Outline::new(&GraphOutput { name: "y".into(), value: 0, finish: finish.to_vec() }, extents)
    }

    #[test]
    fn classes_are_rows_of_scores() {
        let along = Along { len: 10, inner: 1 };
        for (outline, inputs, row, of_classes) in [
            (with(&[10], &[]), input(&[1, 28, 28]), true, true),
            (with(&[10, 1, 1], &[]), input(&[3, 8, 8]), true, true),
            (with(&[10], &[]), input(&[10]), true, false),
            (with(&[10], &[Finish::Softmax(along)]), input(&[10]), true, true),
            (with(&[10], &[Finish::ArgMax { along, last: false }]), input(&[10]), true, true),
            (with(&[1], &[]), input(&[4]), false, false),
            (with(&[], &[]), input(&[4]), false, false),
            (with(&[1, 28, 28], &[]), input(&[1, 28, 28]), false, false),
            (with(&[10, 4, 4], &[Finish::Softmax(Along { len: 10, inner: 16 })]), input(&[3, 4, 4]), false, false),
            (with(&[10, 4, 4], &[Finish::ArgMax { along: Along { len: 10, inner: 16 }, last: false }]), input(&[3, 4, 4]), false, false),
        ] {
            assert_eq!((outline.is_row(), outline.is_of_classes(&inputs)), (row, of_classes), "{outline:?}");
        }
    }

    fn outputs() -> Vec<Output> {
        let output = |name: &str, extents: &[usize], values: &[f32], whole| Output {
            name: name.into(),
            extents: extents.into(),
            values: values.into(),
            whole,
        };
        vec![output("a \"b\"", &[2, 2, 1], &[0.1, 2.0, -3.0, 4e-9], false), output("label", &[2], &[1.0, 0.0], true)]
    }

    #[test]
    fn tables_and_objects_have_names_and_all_numbers() {
        let mut text = Vec::new();
        table(&mut text, &outputs(), &["x,1.png".into(), "y.png".into()]).unwrap();
        let expected = "file,\"a \"\"b\"\"_0\",\"a \"\"b\"\"_1\",label\n\"x,1.png\",0.1,2,1\ny.png,-3,0.000000004,0\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let wide = Output { name: "m".into(), extents: vec![1, 2, 1, 3], values: vec![0.0; 6], whole: false };
        assert_eq!(wide.columns(), ["m_0_0", "m_0_1", "m_0_2", "m_1_0", "m_1_1", "m_1_2"]);
        let mut text = Vec::new();
        object(&mut text, &outputs(), &[]).unwrap();
        let expected = "{\"outputs\":[{\"name\":\"a \\\"b\\\"\",\"shape\":[2,2,1],\"values\":[[0.1,2.0],[-3.0,4e-9]]},{\"name\":\"label\",\"shape\":[2],\"values\":[[1.0],[0.0]]}]}\n";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn arrays_have_their_shapes() {
        let mut bytes = io::Cursor::new(Vec::new());
        npz::write(&mut bytes, &members(&outputs())).unwrap();
        let mut archive = npz::Archive::new(bytes.into_inner(), "x").unwrap();
        let Numbers { extents, values, .. } = archive.array("a \"b\"").unwrap();
        assert_eq!((extents, values), (vec![2, 2, 1], vec![0.1, 2.0, -3.0, 4e-9]));
        assert_eq!(archive.array("label").unwrap().kind, trishade::data::Kind::Integers);
    }
}
