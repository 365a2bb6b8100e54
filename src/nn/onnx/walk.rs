//! The walk over a model's nodes: each is read, its outputs get meanings.

use super::{
    array::Array,
    attributes::Attributes,
    batch::{Place, View},
    classical,
    constant::Constant,
    importer::{Importer, Meaning, Outcome},
    makers::{self, describe},
    operators::SUPPORTED,
    schema::{GraphProto, NodeProto, ValueInfoProto},
    tensor,
};
use crate::{
    Error, Result,
    nn::{
        finish::{self, Finish},
        graph::{Graph, GraphOutput, Node},
        ops::Op,
        value::ValueId,
    },
};

impl Importer {
    /// Reads every node; the graph, and whether the size of the batch was looked at.
    pub fn run(mut self, proto: &GraphProto) -> Result<(Graph, bool)> {
        if proto.output.is_empty() {
            return Err(Error::Model("the model has no output".into()));
        }
        makers::check(proto)?;
        for (i, node) in proto.node.iter().enumerate() {
            self.read(node, i).map_err(|e| match e {
                Error::Model(what) | Error::Input(what) => Error::Model(format!("{}: {what}", describe(node, i))),
                Error::Range(what) => Error::Range(format!("{}: {what}", describe(node, i))),
                other => other,
            })?;
        }
        for output in &proto.output {
            let output = self.output(&output.name)?;
            self.graph.outputs.push(output);
        }
        self.drop_idle();
        self.graph.shapes(1)?;
        Ok((self.graph, self.batch_read))
    }

    /// Reads node `i`: its outputs get meanings, or its operations are added.
    pub(super) fn read(&mut self, node: &NodeProto, i: usize) -> Result<()> {
        self.node = (if node.name.is_empty() { format!("{}_{i}", node.op_type) } else { node.name.clone() }, 0);
        self.read_node(node)
    }

    /// An output of the model; a constant is one that each input has.
    fn output(&mut self, name: &str) -> Result<GraphOutput> {
        let (value, finish, view) = match (self.names.get(name).cloned(), self.finished.get(name)) {
            (Some(Meaning::Value(value)), _) => (value, Vec::new(), self.view(value)?),
            (None, Some(finished)) => (finished.value, finished.finish.clone(), finished.view.clone()),
            (Some(Meaning::Constant(constant)), _) => {
                self.node = (format!("output {name}"), 0);
                let value = self.constant_output(&constant.floats())?;
                (value, Vec::new(), self.view(value)?)
            }
            (None, None) => return Err(Error::Model(format!("no node makes the output '{name}'"))),
        };
        match view.place.axis().filter(|_| !view.is_in_order()) {
            None => Ok(GraphOutput { name: name.into(), value, finish: self.shaped(value, finish, view) }),
            Some(at) => Err(Error::Model(format!(
                "the output '{name}' moves elements between the inputs of a batch, which is axis {at} of it: transpose it to the front, or \
                 export the model for a batch of one"
            ))),
        }
    }

    /// The functions of an output and, where they do not tell them, the extents that an item has after them.
    fn shaped(&self, value: ValueId, mut finish: Vec<Finish>, view: View) -> Vec<Finish> {
        let (mut extents, known) = (view.extents, self.shapes.get(&value).map(|value| finish::extents(&finish, value.item())));
        if let Some(at) = view.place.axis() {
            extents.remove(at);
        }
        if !finish.is_empty() && known.is_some_and(|known| known != extents) {
            finish.push(Finish::Shape(extents));
        }
        finish
    }

    /// A constant as each input has it: a row of it where it has one for each.
    fn constant_output(&mut self, constant: &Array<f32>) -> Result<ValueId> {
        if constant.values.is_empty() {
            return Err(Error::Model("an output without elements".into()));
        }
        let rows = constant.extents.first().is_some_and(|&rows| rows > 1 && rows == self.batch.size());
        let of_row = [&[1], constant.extents.get(1..).unwrap_or_default()].concat();
        let row = self.batch.view(of_row, Some(0));
        match rows && self.batch.numbers(constant, &row).is_ok() {
            true => self.of_each_item(constant, &row),
            false => self.of_each_item(constant, &View { extents: constant.extents.clone(), place: Place::Nowhere }),
        }
    }

    /// Takes away what only moved the batch among the axes that the model sees.
    fn drop_idle(&mut self) {
        let shapes = &self.shapes;
        let idle = |node: &Node| matches!(node.op, Op::Reshape(_)) && shapes.get(&node.inputs[0]) == shapes.get(&node.output);
        while let Some(at) = self.graph.nodes.iter().position(idle) {
            let Node { inputs, output, .. } = self.graph.nodes.remove(at);
            let readers = self.graph.nodes.iter_mut().flat_map(|node| &mut node.inputs);
            let outputs = self.graph.outputs.iter_mut().map(|output| &mut output.value);
            readers.chain(outputs).filter(|value| **value == output).for_each(|value| *value = inputs[0]);
        }
    }

    fn read_node(&mut self, proto: &NodeProto) -> Result<()> {
        let [made, more @ ..] = &proto.output[..] else {
            return Err(Error::Model("the node has no output".into()));
        };
        let mut attributes = Attributes::new(proto);
        if let Some(comparison) = self.comparison(proto)? {
            self.comparisons.insert(made.clone(), comparison);
            return attributes.done();
        }
        self.keep_whole(proto)?;
        let results = match proto.domain.as_str() {
            "" | "ai.onnx" => match self.ended(proto, &mut attributes)? {
                Some(finished) => vec![Outcome::Finished(finished)],
                None => self.results(proto, &mut attributes)?.into_iter().map(Outcome::Known).collect(),
            },
            classical::DOMAIN => self.classical(proto, &mut attributes)?,
            other => return Err(Error::Model(format!("operators of the domain '{other}' are not supported; supported: {SUPPORTED}"))),
        };
        attributes.done()?;
        // an output that nothing reads need not be there
        if let Some(name) = more.iter().skip(results.len() - 1).find(|name| self.readers.contains_key(*name)) {
            return Err(Error::Model(format!("the output '{name}' is not supported; {} of {} are", results.len(), proto.output.len())));
        }
        for (name, outcome) in std::iter::once(made).chain(more).zip(results) {
            match outcome {
                Outcome::Known(meaning) => drop(self.names.insert(name.clone(), meaning)),
                Outcome::Finished(finished) => drop(self.finished.insert(name.clone(), finished)),
            }
        }
        Ok(())
    }

    fn results(&mut self, proto: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Vec<Meaning>> {
        match proto.op_type.as_str() {
            "Split" => self.split(proto, attributes),
            "If" => self.branch(proto, attributes),
            _ => Ok(vec![self.operator(proto, attributes)?]),
        }
    }

    /// The branch of If that a constant condition takes, as if its nodes stood here.
    fn branch(&mut self, proto: &NodeProto, attributes: &mut Attributes<'_>) -> Result<Vec<Meaning>> {
        let condition = match self.meaning(proto, 0)? {
            Meaning::Constant(Constant::Integers(condition)) if condition.values.len() == 1 => condition.values[0] != 0,
            _ => return Err(Error::Model("If with a constant condition is supported".into())),
        };
        let (yes, no) = (attributes.graph("then_branch"), attributes.graph("else_branch"));
        let branch = if condition { yes } else { no }.ok_or_else(|| Error::Model("the branch that it takes is missing".into()))?;
        if branch.output.len() < proto.output.len() {
            return Err(Error::Model(format!("a branch of {} outputs for {}", branch.output.len(), proto.output.len())));
        }
        makers::check(branch)?;
        // names of a branch are its own
        let own = branch.initializer.iter().map(|tensor| &tensor.name).chain(branch.node.iter().flat_map(|node| &node.output));
        let outside: Vec<(String, Option<Meaning>)> = own.map(|name| (name.clone(), self.names.remove(name))).collect();
        for (name, _) in &outside {
            self.finished.remove(name);
            self.whole.remove(name);
            self.framed.remove(name);
        }
        for tensor in &branch.initializer {
            self.names.insert(tensor.name.clone(), Meaning::Constant(tensor::read(tensor, None)?));
        }
        let outer = self.node.clone();
        for (i, node) in branch.node.iter().enumerate() {
            self.node = (format!("{} {}", outer.0, if node.name.is_empty() { &node.op_type } else { &node.name }), 0);
            self.read_node(node).map_err(|e| Error::Model(format!("in its branch, {}: {e}", describe(node, i))))?;
        }
        self.node = outer;
        let made = |output: &ValueInfoProto| {
            let known = self.names.get(&output.name).cloned();
            known.ok_or_else(|| Error::Model(format!("no node of the branch makes '{}'", output.name)))
        };
        let results = branch.output.iter().take(proto.output.len()).map(made).collect();
        for (name, meaning) in outside {
            self.finished.remove(&name);
            self.whole.remove(&name);
            match meaning {
                Some(meaning) => self.names.insert(name, meaning),
                None => self.names.remove(&name),
            };
        }
        results
    }
}
