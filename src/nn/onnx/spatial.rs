//! Windows over space: convolutions and their transposes, pools, and what is reduced along axes.

use super::{
    array::{Array, place_of},
    attributes::Attributes,
    importer::Importer,
    layout::{Edge, Layout, apart},
    schema::NodeProto,
};
use crate::{
    Error, Result,
    nn::{
        ops::{AveragePool, Conv, MaxPool, Multiply, Op, Reduce, Reduction, Sum, SumPool},
        value::{Tensor, ValueId},
    },
    shape::{Axis, Shape},
};

impl Importer {
    /// (N, C, H, W) of an activation; of one with a single spatial axis that axis is W.
    fn image(&mut self, x: ValueId) -> Result<(ValueId, bool)> {
        match *self.extents(x)? {
            [_, _, _, _] => Ok((x, false)),
            [n, c, l] => Ok((self.moved(x, &Layout::Reshape(vec![n, c, 1, l]))?, true)),
            ref other => Err(Error::Model(format!("an input of shape {other:?}; (N, C, H, W) and (N, C, L) are supported"))),
        }
    }

    fn spatial(&self, x: ValueId) -> Result<[usize; 2]> {
        match self.shape(x)?.extents() {
            &[_, _, h, w] => Ok([h, w]),
            other => Err(Error::Model(format!("an image of shape {other:?}"))),
        }
    }

    /// The image back in the rank that it had.
    fn restored(&mut self, x: ValueId, line: bool) -> Result<ValueId> {
        match (line, &self.extents(x)?[..]) {
            (true, &[n, c, _, l]) => self.moved(x, &Layout::Reshape(vec![n, c, l])),
            _ => Ok(x),
        }
    }

    /// Windows in two axes, the first one of a single row for a line.
    fn windows(attributes: &mut Attributes<'_>, kernel: Option<[usize; 2]>, input: [usize; 2], line: bool) -> Result<[Axis; 2]> {
        match line {
            false => attributes.windows(kernel, input),
            true => Ok([Axis::new(1), attributes.windows(kernel.map(|[_, l]| [l]), [input[1]])?[0]]),
        }
    }

    /// Weights (O, C/groups, KH, KW), whatever their rank.
    fn kernels(&self, node: &NodeProto) -> Result<(Tensor, [usize; 4])> {
        let weights = self.weights(node, 1, "weights")?;
        let extents = match *weights.shape.extents() {
            [o, c, l] => [o, c, 1, l],
            [o, c, h, w] => [o, c, h, w],
            _ => return Err(Error::Model(format!("weights of shape {}; kernels of one or two axes are supported", weights.shape))),
        };
        Ok((Tensor { shape: Shape::new(extents)?, values: weights.values }, extents))
    }

    pub(super) fn conv(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let (x, line) = self.image(x)?;
        let (weights, [o, _, kh, kw]) = self.kernels(node)?;
        let bias = self.constant(node, 2)?.map_or(vec![0.0; o], |bias| bias.values);
        let axes = Self::windows(attributes, Some([kh, kw]), self.spatial(x)?, line)?;
        let groups = usize::try_from(attributes.int("group", 1)).unwrap_or(0);
        let (weights, bias) = (self.parameter(weights), self.list(bias)?);
        let y = self.push(Conv { axes, groups }, &[x, weights, bias])?;
        self.restored(y, line)
    }

    /// An ordinary convolution, its kernel turned round, of the input with `stride - 1` zeros after each element.
    pub(super) fn conv_transpose(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        let (x, line) = self.image(x)?;
        let (weights, [inputs, per_group, kh, kw]) = self.kernels(node)?;
        let groups = usize::try_from(attributes.int("group", 1)).ok().filter(|&g| g > 0 && inputs.is_multiple_of(g));
        let groups = groups.ok_or_else(|| Error::Model("the groups do not fit the weights".into()))?;
        let transposed = Transposed::read(attributes, self.spatial(x)?, [kh, kw], line)?;
        let bias = self.constant(node, 2)?.map_or(vec![0.0; per_group * groups], |bias| bias.values);
        let weights = Tensor {
            shape: Shape::new([per_group * groups, inputs / groups, kh, kw])?,
            values: turned(&weights.values, [inputs, per_group, kh, kw], groups),
        };
        let spread = self.spread(x, &transposed)?;
        let axes = transposed.axes.map(|axis| Axis { dilation: axis.dilation, ..Axis::new(axis.kernel) });
        let (weights, bias) = (self.parameter(weights), self.list(bias)?);
        let y = self.push(Conv { axes, groups }, &[spread, weights, bias])?;
        self.restored(y, line)
    }

    /// Zeros between the elements of each spatial axis, and as many around as the kernel reaches beyond what is cut off.
    fn spread(&mut self, x: ValueId, transposed: &Transposed) -> Result<ValueId> {
        let extents = self.extents(x)?;
        let [n, c, h, w] = extents[..] else { return Err(Error::Model("an image is expected".into())) };
        let [sh, sw] = transposed.axes.map(|axis| axis.stride);
        let between = vec![(0, 0), (0, 0), (0, 0), (0, sh as i64 - 1), (0, 0), (0, sw as i64 - 1)];
        let pads = [0, 1].map(|d| transposed.around(d));
        self.moved(
            x,
            &Layout::All(vec![
                Layout::Reshape(vec![n, c, h, 1, w, 1]),
                Layout::Pad(between, Edge::Constant),
                Layout::Reshape(vec![n, c, h * sh, w * sw]),
                Layout::Pad(vec![(0, 0), (0, 0), pads[0], pads[1]], Edge::Constant),
            ]),
        )
    }

    pub(super) fn pool(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.value(node, 0)?;
        if let "GlobalAveragePool" | "GlobalMaxPool" = node.op_type.as_str() {
            let [n, c, inner @ ..] = &self.extents(x)?[..] else {
                return Err(Error::Model("an input (N, C, ...) is expected".into()));
            };
            let (to, count) = ([&[*n, *c][..], &vec![1; inner.len()]].concat(), inner.iter().product());
            let flat = self.moved(x, &Layout::Reshape(vec![*n, *c, count, 1]))?;
            let axes = [Axis::new(count), Axis::new(1)];
            let average = node.op_type == "GlobalAveragePool";
            let y = self.push(if average { Op::from(AveragePool { axes }) } else { MaxPool { axes }.into() }, &[flat])?;
            return self.moved(y, &Layout::Reshape(to));
        }
        let (x, line) = self.image(x)?;
        let frame = self.framed.get(&node.input[0]).map_or([(0, 0); 2], |pads| match pads[2..] {
            [columns] => [(0, 0), columns],
            _ => [pads[2], pads[3]],
        });
        let around = |d: usize| [frame[d].0 as usize, frame[d].1 as usize];
        let own = self.spatial(x)?;
        let input = [0, 1].map(|d| own[d] + around(d)[0] + around(d)[1]);
        let whole = Self::windows(attributes, None, input, line)?;
        let ceiling = attributes.int("ceil_mode", 0) != 0;
        let axes = [0, 1].map(|d| {
            let axis = if ceiling { rounded_up(whole[d], input[d]) } else { whole[d] };
            Axis { pad_begin: axis.pad_begin + around(d)[0], pad_end: axis.pad_end + around(d)[1], ..axis }
        });
        let y = if node.op_type == "MaxPool" {
            attributes.only("storage_order", 0)?;
            self.push(MaxPool { axes }, &[x])?
        } else {
            let padding_counts = attributes.int("count_include_pad", 0) != 0;
            let counts = [0, 1].map(|d| counts(axes[d], whole[d], input[d], padding_counts));
            self.average(x, axes, counts)?
        };
        self.restored(y, line)
    }

    /// The mean of windows whose divisors are the products of `counts`.
    fn average(&mut self, x: ValueId, axes: [Axis; 2], counts: [Result<Vec<usize>>; 2]) -> Result<ValueId> {
        let [rows, columns] = counts;
        let (rows, columns) = (rows?, columns?);
        let full = |counts: &[usize], axis: Axis| counts.iter().all(|&count| count == axis.kernel);
        if full(&rows, axes[0]) && full(&columns, axes[1]) {
            return self.push(AveragePool { axes }, &[x]);
        }
        let sum = self.push(SumPool { axes, halvings: 0 }, &[x])?;
        let shares = rows.iter().flat_map(|r| columns.iter().map(move |c| 1.0 / (r * c).max(1) as f32)).collect();
        self.affine(sum, &Array { extents: vec![rows.len(), columns.len()], values: shares }, &Array::one(0.0))
    }

    /// Reductions along any axes but the batch's.
    pub(super) fn reduce(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        match node.op_type.as_str() {
            "ReduceMean" => self.reduced(x, Reduction::Mean, node, attributes),
            "ReduceMax" => self.reduced(x, Reduction::Max, node, attributes),
            // the smallest is the negative of the largest negative
            "ReduceMin" => {
                let turned = self.push(Sum::scaled(-1.0), &[x])?;
                let largest = self.reduced(turned, Reduction::Max, node, attributes)?;
                self.push(Sum::scaled(-1.0), &[largest])
            }
            "ReduceL1" => {
                let x = self.absolute(x)?;
                self.reduced(x, Reduction::Sum, node, attributes)
            }
            "ReduceSumSquare" => {
                let x = self.push(Multiply, &[x, x])?;
                self.reduced(x, Reduction::Sum, node, attributes)
            }
            _ => self.reduced(x, Reduction::Sum, node, attributes),
        }
    }

    fn reduced(&mut self, x: ValueId, reduction: Reduction, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let view = self.view(x)?;
        let rank = view.extents.len();
        let keeps = attributes.int("keepdims", 1) != 0;
        let nothing = attributes.int("noop_with_empty_axes", 0) != 0;
        let axes = self.integers(node, 1)?.map(|axes| axes.values).or_else(|| attributes.ints("axes")).unwrap_or_default();
        let gone: Vec<usize> = match axes.is_empty() {
            true if nothing => return Ok(x),
            true => (0..rank).collect(),
            false => axes.iter().map(|&axis| place_of(axis, rank)).collect::<Result<_>>()?,
        };
        if self.batch.kept(&view).is_some_and(|at| gone.contains(&at)) {
            return Err(apart());
        }
        let axes = (0..rank).filter(|d| gone.contains(d)).filter_map(|d| view.place.of_item(d)).collect();
        let y = self.push(Reduce { axes, reduction }, &[x])?;
        let extent = |d: usize| if gone.contains(&d) { keeps.then_some(1) } else { Some(view.extents[d]) };
        let at = view.place.axis().map(|at| (0..at).filter(|&d| extent(d).is_some()).count());
        let made = self.batch.view((0..rank).filter_map(extent).collect(), at);
        let item = made.item();
        match item == self.shape(y)?.extents()[1..] {
            true => {
                self.batch_axes.insert(y, made.place);
                Ok(y)
            }
            false => self.push_at(Op::reshape(item), &[y], made.place),
        }
    }
}

impl Importer {
    /// A product along one axis of few elements.
    pub(super) fn reduced_product(&mut self, node: &NodeProto, attributes: &mut Attributes<'_>) -> Result<ValueId> {
        let x = self.activation(node, 0)?;
        let view = self.view(x)?;
        let keeps = attributes.int("keepdims", 1) != 0;
        attributes.ignore(&["noop_with_empty_axes"]);
        let axes = self.integers(node, 1)?.map(|axes| axes.values).or_else(|| attributes.ints("axes")).unwrap_or_default();
        let [axis] = axes[..] else { return Err(Error::Model("a product along one axis is supported".into())) };
        let axis = self.item_axis(axis, &view)?;
        let factors = view.extents[axis];
        if factors > MOST_FACTORS {
            return Err(Error::Model(format!("a product of {factors} numbers; {MOST_FACTORS} are the most")));
        }
        let mut product = self.moved(x, &Layout::Take(axis, vec![0]))?;
        for factor in 1..factors {
            let factor = self.moved(x, &Layout::Take(axis, vec![factor]))?;
            product = self.push(Multiply, &[product, factor])?;
        }
        if keeps {
            return Ok(product);
        }
        let mut extents = self.extents(x)?;
        extents.remove(axis);
        self.moved(product, &Layout::Reshape(extents))
    }
}

/// Factors of a product along an axis.
const MOST_FACTORS: usize = 8;

/// The same windows with a last one that begins inside and reaches beyond the end.
fn rounded_up(axis: Axis, input: usize) -> Axis {
    let reach = (axis.kernel - 1) * axis.dilation + 1;
    let padded = input + axis.pad_begin + axis.pad_end;
    let Some(moves) = padded.checked_sub(reach).map(|rest| rest.div_ceil(axis.stride)) else { return axis };
    let moves = if moves * axis.stride >= input + axis.pad_begin { moves.saturating_sub(1) } else { moves };
    let needed = moves * axis.stride + reach;
    Axis { pad_end: axis.pad_end + needed.saturating_sub(padded), ..axis }
}

/// Divisors of the sums of the windows of `axis`: its real taps, or those within the padding that `whole` asks for.
fn counts(axis: Axis, whole: Axis, input: usize, padding_counts: bool) -> Result<Vec<usize>> {
    let inside = match padding_counts {
        true => 0..axis.pad_begin + input + whole.pad_end,
        false => axis.pad_begin..axis.pad_begin + input,
    };
    let count = |o: usize| (0..axis.kernel).filter(|k| inside.contains(&(o * axis.stride + k * axis.dilation))).count();
    Ok((0..axis.outputs(input)?).map(count).collect())
}

/// A transposed convolution: its axes, and the extents of its input and output.
struct Transposed {
    axes: [Axis; 2],
    input: [usize; 2],
    output: [usize; 2],
}

impl Transposed {
    fn read(attributes: &mut Attributes<'_>, input: [usize; 2], kernel: [usize; 2], line: bool) -> Result<Self> {
        let pair = |numbers: Option<Vec<usize>>, absent: usize| match numbers {
            None => [absent; 2],
            Some(numbers) if line => [absent, numbers[0]],
            Some(numbers) => [numbers[0], numbers[1]],
        };
        let count = if line { 1 } else { 2 };
        let mut small = |name: &str| -> Result<Option<Vec<usize>>> {
            let Some(ints) = attributes.ints(name) else { return Ok(None) };
            let numbers: Option<Vec<usize>> = ints.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 20)).collect();
            let numbers = numbers.filter(|numbers| numbers.len() >= count).map(|n| n[n.len() - count..].to_vec());
            numbers.map(Some).ok_or_else(|| Error::Model(format!("{name} = {ints:?} is not supported")))
        };
        if let Some(given) = small("kernel_shape")?
            && pair(Some(given.clone()), 1) != kernel
        {
            return Err(Error::Model(format!("kernel_shape {given:?} does not fit weights with {kernel:?}")));
        }
        let (strides, dilations) = (pair(small("strides")?, 1), pair(small("dilations")?, 1));
        let more = pair(small("output_padding")?, 0);
        let wanted = small("output_shape")?;
        let pads = match line {
            true => attributes.pads::<1>()?.map(|[l]| [[0, 0], l]),
            false => attributes.pads::<2>()?,
        };
        let auto = attributes.text("auto_pad").unwrap_or_default();
        let mut axes: [Axis; 2] = std::array::from_fn(|d| {
            let [pad_begin, pad_end] = pads.map_or([0, 0], |pads| pads[d]);
            Axis { kernel: kernel[d], stride: strides[d], dilation: dilations[d], pad_begin, pad_end }
        });
        if axes.iter().any(|axis| axis.stride == 0 || axis.dilation == 0) {
            return Err(Error::Model("strides and dilations must be at least 1".into()));
        }
        let mut output = [0; 2];
        for (d, axis) in axes.iter_mut().enumerate() {
            let full = axis.stride * (input[d] - 1) + more[d] + (axis.kernel - 1) * axis.dilation + 1;
            let same = auto.starts_with("SAME").then_some(input[d] * axis.stride);
            let asked = wanted.clone().map(|wanted| pair(Some(wanted), 1)[d]).or(same);
            if let Some(asked) = asked {
                let pads = full.saturating_sub(asked);
                let first = if auto == "SAME_UPPER" { pads / 2 } else { pads - pads / 2 };
                (axis.pad_begin, axis.pad_end) = (first, pads - first);
            }
            let left = asked.or_else(|| full.checked_sub(axis.pad_begin + axis.pad_end)).filter(|&left| left > 0);
            output[d] = left.ok_or_else(|| Error::Model("the pads leave nothing of the output".into()))?;
        }
        Ok(Self { axes, input, output })
    }

    /// Zeros before and after the spread input, or elements less: the convolution then gives the output.
    fn around(&self, d: usize) -> (i64, i64) {
        let axis = self.axes[d];
        let reach = ((axis.kernel - 1) * axis.dilation) as i64;
        let before = reach - axis.pad_begin as i64;
        let spread = (self.input[d] * axis.stride) as i64;
        (before, self.output[d] as i64 + reach - spread - before)
    }
}

/// Weights (C, O/groups, KH, KW) of a transposed convolution as those of an ordinary one, each kernel turned round.
fn turned(values: &[f32], [inputs, per_group, kh, kw]: [usize; 4], groups: usize) -> Vec<f32> {
    let (taps, ins) = (kh * kw, inputs / groups);
    let mut out = Vec::with_capacity(values.len());
    for o in 0..per_group * groups {
        let (group, o) = (o / per_group, o % per_group);
        for i in 0..ins {
            let kernel = &values[((group * ins + i) * per_group + o) * taps..][..taps];
            out.extend(kernel.iter().rev());
        }
    }
    out
}
