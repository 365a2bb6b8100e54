//! A network ready to run, as all parties know it: steps on values, without the secret parameters.
//!
//! A program that somebody else has sent becomes a [`Program`] only through the checks of [`Program::try_from`].

use super::{
    finish,
    graph::{GraphInput, GraphOutput, InputKind},
    ops::{Bits, Step as Action},
    range::Ranges,
    value::{Operand, Value, ValueId},
};
use crate::{Error, Result, fixed::Fixed, shape::Shape, text::printable};

/// One step.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Step {
    /// Name of the node that it comes from.
    pub name: String,
    /// Its action.
    pub action: Action,
    /// Values read.
    pub inputs: Vec<ValueId>,
    /// Value made.
    pub output: ValueId,
    /// Bits that its comparisons look at.
    pub bits: Bits,
}

/// A secret parameter's place.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct ProgramParameter {
    /// The value.
    pub value: ValueId,
    /// Shape.
    pub shape: Shape,
    /// Fraction bits of its words.
    pub fraction_bits: u32,
}

/// A network ready to run. It holds no secret.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize), serde(try_from = "Unchecked"))]
pub struct Program {
    steps: Vec<Step>,
    inputs: Vec<GraphInput>,
    parameters: Vec<ProgramParameter>,
    outputs: Vec<GraphOutput>,
    values: usize,
    fraction_bits: u32,
    ranges: Option<Ranges>,
}

/// A program that nobody has checked.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Unchecked {
    /// In an order in which they can run.
    pub steps: Vec<Step>,
    /// Inputs; input `i` is value `i`.
    pub inputs: Vec<GraphInput>,
    /// The secret parameters in the order in which their shares are given.
    pub parameters: Vec<ProgramParameter>,
    /// The results; the first is the one that predictions are made from.
    pub outputs: Vec<GraphOutput>,
    /// Numbers of values in use.
    pub values: usize,
    /// Fraction bits of a run.
    pub fraction_bits: u32,
    /// Bounds of the inputs that the model is for.
    pub ranges: Option<Ranges>,
}

/// More steps than any network has: layers are numbered in 16 bits.
const MOST_STEPS: usize = u16::MAX as usize - 1;

/// Numbers of values, some of which no step makes any more; and values that steps read, in all.
const MOST_VALUES: usize = 1 << 20;

/// The most extents of an item of an input or of a parameter.
const MOST_AXES: usize = 16;

/// The most fraction bits of a value: those of a run and of divisors that were free, or twice those of a run.
const MOST_FRACTION_BITS: u32 = 62;

impl TryFrom<Unchecked> for Program {
    type Error = Error;

    /// [`Error::Model`] unless each value is made once and before it is read, and all shapes, fraction bits, bounds and public numbers
    /// fit for one item. Names become [`printable`].
    fn try_from(program: Unchecked) -> Result<Self> {
        let bad = |what: String| Error::Model(format!("architecture: {what}"));
        let Unchecked { mut steps, mut inputs, parameters, mut outputs, values, fraction_bits, ranges } = program;
        Fixed::new(fraction_bits).map_err(|e| bad(e.to_string()))?;
        if steps.len() > MOST_STEPS || values > MOST_VALUES || outputs.is_empty() || inputs.is_empty() || inputs.len() > values {
            let counts = (steps.len(), inputs.len(), outputs.len());
            return Err(bad(format!("{} steps on {values} values, {} inputs, {} outputs", counts.0, counts.1, counts.2)));
        }
        let wide = |extents: &[usize]| extents.len() >= MOST_AXES;
        if inputs.iter().any(|input| wide(&input.extents)) || parameters.iter().any(|parameter| wide(parameter.shape.extents())) {
            return Err(bad("an input or a parameter of too many dimensions".into()));
        }
        if steps.iter().map(|step| step.inputs.len()).sum::<usize>() + outputs.len() + parameters.len() > MOST_VALUES {
            return Err(bad("steps that read too much".into()));
        }
        if let Some(ranges) = &ranges {
            ranges.check(inputs.len()).map_err(bad)?;
        }
        let steps_names = steps.iter_mut().map(|step| &mut step.name);
        let names =
            steps_names.chain(inputs.iter_mut().map(|input| &mut input.name)).chain(outputs.iter_mut().map(|output| &mut output.name));
        names.for_each(|name| *name = printable(name));
        let program = Self { steps, inputs, parameters, outputs, values, fraction_bits, ranges };
        program.operands(1).map_err(|e| bad(e.to_string()))?;
        Ok(program)
    }
}

impl Program {
    /// The steps, in an order in which they can run.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The inputs; input `i` is value `i`.
    pub fn inputs(&self) -> &[GraphInput] {
        &self.inputs
    }

    /// The secret parameters in the order in which their shares are given.
    pub fn parameters(&self) -> &[ProgramParameter] {
        &self.parameters
    }

    /// The results; the first is the one that predictions are made from.
    pub fn outputs(&self) -> &[GraphOutput] {
        &self.outputs
    }

    /// Numbers of values in use.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The fraction bits of a run.
    pub fn fixed(&self) -> Fixed {
        Fixed::new(self.fraction_bits).expect("a program's fraction bits have been checked")
    }

    /// Bounds of the inputs that the model is for, if it has any.
    pub fn ranges(&self) -> Option<&Ranges> {
        self.ranges.as_ref()
    }

    /// The same program for inputs within bounds: others are an error. [`Error::Input`] if they are no bounds of its inputs.
    pub fn with_ranges(self, ranges: Ranges) -> Result<Self> {
        ranges.check(self.inputs.len()).map_err(Error::Input)?;
        Ok(Self { ranges: Some(ranges), ..self })
    }

    /// The same program whose comparisons look at so many bits.
    pub(super) fn with_bits(mut self, bits: Vec<Bits>) -> Self {
        self.steps.iter_mut().zip(bits).for_each(|(step, bits)| step.bits = bits);
        self
    }

    /// The most bits that a comparison looks at: 64 unless inputs in a range let it look at fewer.
    pub fn range_bits(&self) -> u32 {
        self.steps.iter().map(|step| step.bits.pool.max(step.bits.relu)).max().unwrap_or(64)
    }

    /// Checks that items, whose numbers lie one after another, are within the bounds of the model; without bounds all are.
    ///
    /// [`Error::Range`] names the input, the item, the place of the number in it, the bounds and the remedy.
    pub fn check_ranges(&self, items: &[f32]) -> Result<()> {
        let (Some(ranges), size) = (&self.ranges, self.input_size()) else { return Ok(()) };
        for (item, numbers) in items.chunks(size.max(1)).enumerate() {
            let mut rest = numbers;
            for (input, bounds) in self.inputs.iter().zip(&ranges.bounds) {
                let own;
                (own, rest) = rest.split_at(input.extents.iter().product::<usize>().min(rest.len()));
                if let Some(element) = own.iter().position(|value| !(bounds[0]..=bounds[1]).contains(value)) {
                    return Err(ranges.outside(&input.name, item, element, *bounds));
                }
            }
        }
        Ok(())
    }

    /// Shape and fraction bits of every value for a batch, each step checked.
    pub fn operands(&self, batch: usize) -> Result<Vec<Option<Operand>>> {
        let mut operands: Vec<Option<Operand>> = vec![None; self.values];
        let make = |operands: &mut Vec<Option<Operand>>, at: ValueId, operand: Operand, name: &str| match operands.get_mut(at) {
            Some(place @ None) if operand.fraction_bits <= MOST_FRACTION_BITS => {
                *place = Some(operand);
                Ok(())
            }
            Some(None) => Err(Error::Model(format!("'{name}' has {} fraction bits", operand.fraction_bits))),
            _ => Err(Error::Model(format!("'{name}' makes a value that has been made, or that is none"))),
        };
        for (at, input) in self.inputs.iter().enumerate() {
            let value = Value::per_item(Shape::new([&[batch], &input.extents[..]].concat())?);
            make(&mut operands, at, Operand { value, fraction_bits: input.kind.fraction_bits(self.fraction_bits) }, &input.name)?;
        }
        for parameter in &self.parameters {
            let operand = Operand { value: Value::whole(parameter.shape.clone()), fraction_bits: parameter.fraction_bits };
            make(&mut operands, parameter.value, operand, "a parameter")?;
        }
        for step in &self.steps {
            let read = |&v: &ValueId| operands.get(v).cloned().flatten();
            let inputs: Option<Vec<Operand>> = step.inputs.iter().map(read).collect();
            let inputs = inputs.filter(|inputs| !inputs.is_empty());
            let inputs = inputs.ok_or_else(|| Error::Model(format!("step '{}' reads a value that has not been made", step.name)))?;
            if !(1..=64).contains(&step.bits.pool) || !(1..=64).contains(&step.bits.relu) {
                return Err(Error::Model(format!("step '{}' compares {:?}", step.name, step.bits)));
            }
            let output = step.action.output(&inputs).map_err(|e| Error::Model(format!("step '{}': {e}", step.name)))?;
            make(&mut operands, step.output, output, &step.name)?;
        }
        for output in &self.outputs {
            match operands.get(output.value).and_then(Option::as_ref) {
                Some(operand) if !operand.value.whole => {
                    finish::length(&output.finish, operand.value.item().iter().product())?;
                }
                _ => return Err(Error::Model(format!("the output '{}' is a value that no step makes", output.name))),
            }
        }
        Ok(operands)
    }

    /// Number of steps that read each value, the results counted.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.values];
        let results = self.outputs.iter().map(|output| output.value);
        self.steps.iter().flat_map(|step| &step.inputs).copied().chain(results).for_each(|value| readers[value] += 1);
        readers
    }

    /// Shapes of so many items of each input.
    pub fn input_shapes(&self, count: usize) -> Result<Vec<Shape>> {
        self.inputs.iter().map(|input| Shape::new([&[count], &input.extents[..]].concat())).collect()
    }

    /// Extents of an item of the first input.
    pub fn input_extents(&self) -> &[usize] {
        self.inputs.first().map_or(&[], |input| &input.extents)
    }

    /// Numbers of an item: of all inputs together, one after another.
    pub fn input_size(&self) -> usize {
        self.inputs.iter().map(|input| input.extents.iter().product::<usize>()).sum()
    }

    /// Shape and fraction bits of each output for so many items.
    pub fn results(&self, count: usize) -> Result<Vec<Operand>> {
        let operands = self.operands(count)?;
        Ok(self.outputs.iter().filter_map(|output| operands[output.value].clone()).collect())
    }

    /// The words of one input of some items, whose numbers lie one after another, each item's inputs in order.
    ///
    /// [`Error::Range`] names an element that does not fit, or that is outside the model's bounds.
    pub fn encode(&self, input: usize, items: &[f32]) -> Result<Vec<u64>> {
        let sizes: Vec<usize> = self.inputs.iter().map(|input| input.extents.iter().product()).collect();
        let first: usize = sizes[..input].iter().sum();
        let picked;
        let values = match self.inputs.len() {
            1 => items,
            _ => {
                picked = items.chunks(self.input_size()).flat_map(|item| &item[first..first + sizes[input]]).copied().collect::<Vec<f32>>();
                &picked
            }
        };
        let name = &self.inputs[input].name;
        if let Some(ranges) = &self.ranges {
            let [low, high] = ranges.bounds[input];
            if let Some(i) = values.iter().position(|value| !(low..=high).contains(value)) {
                return Err(ranges.outside(name, i / sizes[input], i % sizes[input], [low, high]));
            }
        }
        match self.inputs[input].kind {
            InputKind::Floats => self.fixed().encode("input", values),
            InputKind::Integers => whole_numbers(name, values),
        }
    }
}

impl InputKind {
    /// Fraction bits of its words in a run of so many.
    pub fn fraction_bits(self, fraction_bits: u32) -> u32 {
        match self {
            Self::Floats => fraction_bits,
            Self::Integers => 0,
        }
    }
}

/// Integers that a float holds exactly.
fn whole_numbers(name: &str, values: &[f32]) -> Result<Vec<u64>> {
    let word = |(i, &v): (usize, &f32)| match v.fract() == 0.0 && v.abs() <= 16_777_216.0 {
        true => Ok(v as i64 as u64),
        false => Err(Error::Range(format!("input '{name}': element {i} is no whole number of at most 2^24"))),
    };
    values.iter().enumerate().map(word).collect()
}
