//! From a graph to a program: what runs together, where values are truncated, and how many fraction bits each has.

use super::{
    draft::{Draft, MOST_BITS, SMALL_WEIGHT, Source, Term, spare_bits},
    graph::{Graph, Node},
    ops::{Addend, Bits, Bound, Combine, Form, Joins, Lowered, MaxPool, Product, Step as Action, runs},
    passes::{late_biases, normalise},
    program::{Program, ProgramParameter, Step, Unchecked},
    value::{Operand, Parameter, ROOM, Tensor, Value, ValueId, encode, encode_addend},
};
use crate::{Error, Result, fixed::Fixed};
use std::{collections::HashMap, sync::Arc};

/// A program, and the numbers of its secret parameters.
#[derive(Debug, Clone)]
pub struct LoweredModel {
    /// The steps, which are public.
    pub program: Program,
    /// The parameters, which are not.
    pub parameters: Parameters,
}

/// The numbers of a program's secret parameters, in its order.
#[derive(Clone)]
pub struct Parameters {
    fixed: Fixed,
    tensors: Vec<Secret>,
}

/// The numbers of one parameter.
#[derive(Clone)]
struct Secret {
    /// A name for errors.
    what: String,
    tensor: Arc<Tensor>,
    fraction_bits: u32,
    /// Nothing is multiplied with it.
    added: bool,
}

impl Parameters {
    /// Each as ring elements, made when it is asked for. [`Error::Range`] if one does not fit.
    pub fn encoded(&self) -> impl Iterator<Item = Result<Parameter>> + '_ {
        (0..self.tensors.len()).map(|at| self.encoded_at(at))
    }

    /// One of them, by its place.
    pub fn encoded_at(&self, at: usize) -> Result<Parameter> {
        let Secret { what, tensor, fraction_bits, added } = &self.tensors[at];
        let words = match added {
            true => encode_addend(what, &tensor.values, *fraction_bits)?,
            false => encode(self.fixed, what, &tensor.values, *fraction_bits)?,
        };
        Ok(Parameter { shape: tensor.shape.clone(), words })
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parameters({} tensors)", self.tensors.len())
    }
}

/// Normalises a graph and lowers it for so many fraction bits.
///
/// [`Error::Model`] names a node that does not fit, [`Error::Range`] public numbers that do not.
pub fn lower(graph: &Graph, fixed: Fixed) -> Result<LoweredModel> {
    graph.shapes(1)?;
    let mut normal = normalise(graph.clone())?;
    late_biases(&mut normal, fixed.limit() as f32)?;
    let mut lowering = Lowering::new(normal, fixed)?;
    while !lowering.graph.nodes.is_empty() {
        lowering.next()?;
    }
    lowering.end()
}

/// A lowering under way.
struct Lowering {
    fixed: Fixed,
    /// The nodes that are left, and all constants.
    graph: Graph,
    operands: Vec<Option<Operand>>,
    steps: Vec<Step>,
    parameters: Vec<ProgramParameter>,
    tensors: Vec<Secret>,
    /// The parameter that a constant has become, by its fraction bits and whether it is only added, which has wider bounds.
    placed: HashMap<(ValueId, u32, bool), (ValueId, Arc<Tensor>)>,
}

impl Lowering {
    fn new(graph: Graph, fixed: Fixed) -> Result<Self> {
        let shapes = graph.shapes(1)?;
        let mut operands = vec![None; graph.values];
        for (value, input) in graph.inputs.iter().enumerate() {
            let fraction_bits = input.kind.fraction_bits(fixed.fraction_bits());
            operands[value] = shapes[value].clone().map(|value| Operand { value, fraction_bits });
        }
        let (steps, parameters, tensors, placed) = Default::default();
        Ok(Self { fixed, graph, operands, steps, parameters, tensors, placed })
    }

    /// The next node, and those that join it.
    fn next(&mut self) -> Result<()> {
        if let Some(partner) = self.waits() {
            self.graph.nodes[..partner].rotate_left(1);
            return Ok(());
        }
        let Node { name, op, mut inputs, output } = self.graph.nodes.remove(0);
        match op.lowered() {
            Lowered::Form(form) => {
                let terms = vec![self.term(&name, form, &inputs)];
                let mut draft = Draft { name, terms, residuals: Vec::new(), pool: None, bounds: None, output };
                while self.joined(&mut draft)? {}
                self.product(draft)
            }
            Lowered::Joins => {
                for input in &mut inputs {
                    let source = self.source(*input);
                    *input = self.placed(&source, self.fixed.fraction_bits(), true, || format!("constants of '{name}'"))?;
                }
                let bits = self.fraction_bits(&inputs)?;
                if let (Joins::Sum(&[factor], constant), &[value]) = (op.joins(), &inputs[..])
                    && spare_bits(factor.abs(), 1.0) > Combine::MORE
                {
                    return self.small_factor(name, value, [factor, constant], output);
                }
                let action: Action = match op.joins() {
                    Joins::Sum(factors, constant) => Combine::new(self.fixed, &name, factors, constant, &bits)?.into(),
                    Joins::Bounds(low, high) => Bound::new(self.fixed, &name, low, high, bits[0])?.into(),
                    Joins::Pool(axes) => MaxPool { axes }.into(),
                    Joins::Nothing => return Err(Error::Model(format!("node '{name}' can neither run nor join another"))),
                };
                self.push(name, action, inputs, output)
            }
            Lowered::Step(action) => {
                let inputs = if matches!(action, Action::Concat(_)) { self.aligned(&name, inputs)? } else { inputs };
                self.push(name, action, inputs, output)
            }
            Lowered::Replaced => Err(Error::Model(format!("node '{name}' was not normalised"))),
        }
    }

    /// `factor x + constant` for a small factor, as `factor 2^t (x / 2^t) + constant`: one product would take t more bits of the range.
    fn small_factor(&mut self, name: String, x: ValueId, [factor, constant]: [f32; 2], output: ValueId) -> Result<()> {
        let (f, bits) = (self.fixed.fraction_bits(), self.operand(x)?.fraction_bits);
        // what is left of it is between one and two
        let shift = spare_bits(factor.abs(), 1.0);
        let shifted = self.operands.len();
        self.operands.push(None);
        let halved = Combine::halved(bits.saturating_sub(f) + shift, bits.min(f))?;
        self.push(format!("{name} shift"), halved.into(), vec![x], shifted)?;
        let factor = factor * f32::powi(2.0, shift as i32);
        let scaled = Combine::new(self.fixed, &name, &[factor], constant, &[bits.min(f)])?;
        self.push(name, scaled.into(), vec![shifted], output)
    }

    /// A constant leaves the graph with its last reader, so that it is changed in place.
    fn source(&mut self, value: ValueId) -> Source {
        let last = self.graph.readers(value) == 0;
        let tensor = if last { self.graph.constants.remove(&value) } else { self.graph.constants.get(&value).cloned() };
        tensor.map_or(Source::Value(value), |tensor| Source::Constant(value, tensor))
    }

    fn term(&mut self, name: &str, form: Form, inputs: &[ValueId]) -> Term {
        let factors = [inputs[0], inputs[1]].map(|value| self.source(value));
        Term { name: name.into(), form, factors, bias: inputs.get(2).map(|&value| self.source(value)) }
    }

    /// A later product whose factors are not there yet, if the next node is a product that only a sum of both reads: they become terms
    /// of one.
    fn waits(&self) -> Option<usize> {
        let node = &self.graph.nodes[0];
        let reader = self.graph.only_reader(node.output).filter(|_| matches!(node.op.lowered(), Lowered::Form(_)))?;
        let Joins::Sum(..) = self.graph.nodes[reader].op.joins() else { return None };
        let partners = self.graph.nodes[reader].inputs.iter().filter_map(|&value| self.product_of(value));
        partners.filter(|&partner| partner > 0 && !self.is_ready(partner)).max()
    }

    /// The node of a value that a product makes and one node reads.
    fn product_of(&self, value: ValueId) -> Option<usize> {
        let maker = self.graph.maker(value).filter(|&maker| matches!(self.graph.nodes[maker].op.lowered(), Lowered::Form(_)));
        maker.filter(|_| self.graph.readers(value) == 1)
    }

    /// Whether all that a node reads is there.
    fn is_ready(&self, node: usize) -> bool {
        let there = |value: &ValueId| self.graph.constants.contains_key(value) || self.operand(*value).is_ok();
        self.graph.nodes[node].inputs.iter().all(there)
    }

    fn operand(&self, value: ValueId) -> Result<&Operand> {
        let known = self.operands.get(value).and_then(Option::as_ref);
        known.ok_or_else(|| Error::Model("a step reads a value that no earlier one makes".into()))
    }

    fn fraction_bits(&self, inputs: &[ValueId]) -> Result<Vec<u32>> {
        inputs.iter().map(|&value| Ok(self.operand(value)?.fraction_bits)).collect()
    }

    /// Fraction bits of a factor.
    fn bits_of(&self, source: &Source) -> Result<u32> {
        match source {
            Source::Value(value) => Ok(self.operand(*value)?.fraction_bits),
            Source::Constant(..) => Ok(self.fixed.fraction_bits()),
        }
    }

    /// Fraction bits of a term's sums.
    fn wide(&self, term: &Term) -> Result<u32> {
        Ok(self.bits_of(&term.factors[0])? + self.bits_of(&term.factors[1])?)
    }

    /// Whether the only reader of a product's output joins it before its truncation: sums with values that are there already, a maximum
    /// of windows, and bounds, after which nothing does.
    fn joined(&mut self, draft: &mut Draft) -> Result<bool> {
        let Some(reader) = self.graph.only_reader(draft.output).filter(|_| draft.bounds.is_none()) else { return Ok(false) };
        let node = self.graph.nodes[reader].clone();
        let joined = match node.op.joins() {
            Joins::Sum(factors, constant) if draft.pool.is_none() => self.joined_sum(draft, &node.inputs, factors, constant)?,
            Joins::Pool(axes) if draft.pool.is_none() => {
                draft.pool = Some(MaxPool { axes });
                true
            }
            Joins::Bounds(low, high) => {
                draft.bounds = Some([low, high]);
                true
            }
            _ => false,
        };
        if joined {
            draft.output = node.output;
            self.graph.nodes.retain(|other| other.output != node.output);
        }
        Ok(joined)
    }

    /// A sum whose other values are there, and stand at no more fraction bits than the product's sums, or are products with as many
    /// whose factors are there: those become terms.
    fn joined_sum(&mut self, draft: &mut Draft, inputs: &[ValueId], factors: &[f32], constant: f32) -> Result<bool> {
        let wide = self.wide(&draft.terms[0])?;
        let (mut own, mut residuals, mut terms) = (1.0, Vec::new(), Vec::new());
        for (&value, &factor) in inputs.iter().zip(factors) {
            if value == draft.output {
                own = factor;
            } else if self.joins_before(value, factor, wide) {
                residuals.push((value, factor));
            } else if let Some(partner) = self.product_of(value).filter(|&partner| self.could_be_term(partner, factor, wide)) {
                terms.push((self.graph.nodes[partner].output, factor));
            } else {
                return Ok(false);
            }
        }
        if !draft.scale(own, constant) {
            return Ok(false);
        }
        draft.residuals.extend(residuals);
        for (value, factor) in terms {
            let maker = self.graph.maker(value).expect("a term's node is in the graph");
            let node = self.graph.nodes.remove(maker);
            let Lowered::Form(form) = node.op.lowered() else { unreachable!("a term is a product") };
            let mut term = self.term(&node.name, form, &node.inputs);
            term.scale(factor);
            draft.terms.push(term);
        }
        Ok(true)
    }

    /// Whether a value or a constant can be added to sums with so many fraction bits.
    fn joins_before(&self, value: ValueId, factor: f32, wide: u32) -> bool {
        match self.graph.constants.get(&value) {
            Some(tensor) => tensor.largest() * factor.abs() < f32::powi(2.0, ROOM as i32 - 1 - wide as i32),
            None => self.operand(value).is_ok_and(|operand| operand.fraction_bits <= wide),
        }
    }

    /// Whether a node that makes a product can be a term of sums with so many fraction bits, times a factor.
    fn could_be_term(&self, node: usize, factor: f32, wide: u32) -> bool {
        let inputs = &self.graph.nodes[node].inputs;
        let constant = |value: &ValueId| self.graph.constants.contains_key(value);
        let bits = |value: &ValueId| match constant(value) {
            true => self.fixed.fraction_bits(),
            false => self.operand(*value).map_or(0, |operand| operand.fraction_bits),
        };
        let scalable = factor == 1.0 || inputs[1..].iter().all(constant);
        scalable && self.is_ready(node) && bits(&inputs[0]) + bits(&inputs[1]) == wide
    }

    /// A product and what has joined it.
    fn product(&mut self, draft: Draft) -> Result<()> {
        let Draft { name, terms, residuals, pool, bounds, output } = draft;
        let f = self.fixed.fraction_bits();
        let residuals: Vec<(Source, f32)> = residuals.into_iter().map(|(value, factor)| (self.source(value), factor)).collect();
        let more = self.more_bits(&terms, &residuals, bounds);
        let mut factors = Vec::new();
        for term in &terms {
            for (source, bits) in term.factors.iter().zip([f, f + more]) {
                factors.push(self.placed(source, bits, false, || format!("weights of '{}'", term.name))?);
            }
        }
        let [x, y] = [self.operand(factors[0])?.clone(), self.operand(factors[1])?.clone()];
        let wide = x.fraction_bits + y.fraction_bits;
        let sums = terms[0].form.shape(&x.value, &y.value)?;
        let (mut inputs, mut addends) = (factors, Vec::new());
        for term in &terms {
            if let Some(bias) = &term.bias {
                inputs.push(self.placed(bias, wide, true, || format!("bias of '{}'", term.name))?);
                addends.push(Addend { factor: 1, inner: term.form.inner(&sums) });
            }
        }
        for (source, factor) in residuals {
            let (factor, inner, source) = match source {
                Source::Value(value) => {
                    let bits = wide - self.operand(value)?.fraction_bits;
                    (encode(self.fixed, &format!("factors of '{name}'"), &[factor], bits)?[0], 0, Source::Value(value))
                }
                Source::Constant(value, mut tensor) => {
                    if factor != 1.0 {
                        Arc::make_mut(&mut tensor).values.iter_mut().for_each(|v| *v *= factor);
                    }
                    let inner = runs(&sums, &Value::whole(tensor.shape.clone())).unwrap_or(1);
                    (1, inner, Source::Constant(value, tensor))
                }
            };
            addends.push(Addend { factor, inner });
            inputs.push(self.placed(&source, wide, true, || format!("constants of '{name}'"))?);
        }
        let truncation = wide.saturating_sub(f);
        let bound = bounds.map(|[low, high]| Bound::new(self.fixed, &name, low, high, wide - truncation)).transpose()?;
        let terms = terms.into_iter().map(|term| term.form).collect();
        self.push(name, Product { terms, addends, pool, truncation, bound }.into(), inputs, output)
    }

    /// Fraction bits that the weights of all terms get besides a run's, so that small ones are as precise as large ones. Their sums then
    /// are no larger as words than those of usual weights, and the truncation takes the bits off again.
    fn more_bits(&self, terms: &[Term], residuals: &[(Source, f32)], bounds: Option<[f32; 2]>) -> u32 {
        if residuals.iter().any(|(source, _)| matches!(source, Source::Value(_))) {
            return 0;
        }
        let bits = |source: &Source| match source {
            Source::Constant(_, tensor) => spare_bits(tensor.largest(), SMALL_WEIGHT).saturating_sub(1),
            Source::Value(_) => 0,
        };
        let weights = terms.iter().map(|term| bits(&term.factors[1])).min().unwrap_or(0);
        // a bias and bounds stand at the bits of the sums; bounds outside the range are none
        let added = terms.iter().filter_map(|term| term.bias.as_ref()).chain(residuals.iter().map(|(source, _)| source));
        let biases = added.map(|bias| match bias {
            Source::Constant(_, tensor) => tensor.largest(),
            Source::Value(_) => f32::INFINITY,
        });
        let bounds = bounds.into_iter().flatten().map(f32::abs).filter(|&bound| f64::from(bound) < self.fixed.limit());
        let bits = self.wide(&terms[0]).unwrap_or(ROOM);
        let left = ROOM as f32 - 1.0 - bits as f32 - biases.chain(bounds).fold(1.0, f32::max).log2().ceil();
        weights.min(MOST_BITS).min(left.max(0.0) as u32)
    }

    /// A constant as a parameter of so many fraction bits; a value that is computed as it is.
    fn placed(&mut self, source: &Source, fraction_bits: u32, added: bool, what: impl Fn() -> String) -> Result<ValueId> {
        let (constant, tensor) = match source {
            Source::Value(value) => return Ok(*value),
            Source::Constant(constant, tensor) => (*constant, tensor),
        };
        // a constant that others read as well is shared once, unless one of them has changed it
        if let Some((place, placed)) = self.placed.get(&(constant, fraction_bits, added))
            && Arc::ptr_eq(placed, tensor)
        {
            return Ok(*place);
        }
        let value = self.operands.len();
        self.operands.push(Some(Operand { value: Value::whole(tensor.shape.clone()), fraction_bits }));
        self.parameters.push(ProgramParameter { value, shape: tensor.shape.clone(), fraction_bits });
        self.tensors.push(Secret { what: what(), tensor: tensor.clone(), fraction_bits, added });
        self.placed.insert((constant, fraction_bits, added), (value, tensor.clone()));
        Ok(value)
    }

    /// Values of one number of fraction bits: those with fewer are shifted.
    fn aligned(&mut self, name: &str, mut inputs: Vec<ValueId>) -> Result<Vec<ValueId>> {
        let bits = self.fraction_bits(&inputs)?;
        let most = bits.iter().copied().max().unwrap_or_default();
        for (input, bits) in inputs.iter_mut().zip(bits).filter(|(_, bits)| *bits < most) {
            let shifted = self.operands.len();
            self.operands.push(None);
            self.push(format!("{name} shift"), Combine::shifted(bits, most).into(), vec![*input], shifted)?;
            *input = shifted;
        }
        Ok(inputs)
    }

    fn push(&mut self, name: String, action: Action, inputs: Vec<ValueId>, output: ValueId) -> Result<()> {
        let operands = inputs.iter().map(|&value| self.operand(value).cloned()).collect::<Result<Vec<_>>>()?;
        let made = action.output(&operands).map_err(|e| Error::Model(format!("node '{name}': {e}")))?;
        self.operands[output] = Some(made);
        self.steps.push(Step { name, action, inputs, output, bits: Bits::default() });
        Ok(())
    }

    fn end(self) -> Result<LoweredModel> {
        let program = Unchecked {
            steps: self.steps,
            inputs: self.graph.inputs,
            parameters: self.parameters,
            outputs: self.graph.outputs,
            values: self.operands.len(),
            fraction_bits: self.fixed.fraction_bits(),
            ranges: None,
        };
        Ok(LoweredModel { program: program.try_into()?, parameters: Parameters { fixed: self.fixed, tensors: self.tensors } })
    }
}
