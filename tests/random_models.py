#!/usr/bin/env python3
"""Compares `trishade infer` with onnxruntime on random operators and random networks.

    tests/random_models.py [--program target/release/trishade] [--operators 2000] [--networks 1000] [--seed 1] [--keep FOLDER]

Needs Python with numpy, onnx and onnxruntime. Each case is a small ONNX file with a free batch, run on two or three items at 20
fraction bits on the CPU. A case is made node by node: onnxruntime says the shape and the values of each, so that what it does not
take is not asked for, and values stay far from the ends of the range. Prints, for each kind, how many were equal, refused and
different; `--keep` writes the files of those that differ or are refused. Exit code 1 if one differs, fails otherwise than by a clear refusal, or hangs.

What is not compared, because the specification leaves it open: Resize by `align_corners` to one pixel, and by `nearest` where a
source coordinate is a half that rounding of single precision decides."""
import argparse, collections, concurrent.futures, json, os, subprocess, sys, tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"skipped: {missing}; needed are numpy, onnx and onnxruntime")
    sys.exit(0)

onnxruntime.set_default_logger_severity(4)
OPSETS = [9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 22, 23]
# Values beyond these are not asked for: the error of 20 fraction bits would be no longer small beside them, nor the range far.
LARGEST, ELEMENTS = 200.0, 3000


class Unusable(Exception):
    """Nodes that onnxruntime refuses, or whose values are of no use."""


class Net:
    """A model in the making, with the values of all that is computed so far."""

    def __init__(self, rng, shape, opset):
        self.rng, self.opset = rng, opset
        self.nodes, self.constants, self.values = [], [], {}
        self.x = rng.uniform(-2, 2, [int(rng.integers(2, 4)), *shape]).astype(np.float32)
        self.values["x"] = self.x
        self.last = "x"

    def shape(self, name):
        """Extents of one item."""
        return list(self.values[name].shape[1:])

    def rank(self, name):
        return self.values[name].ndim

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def whole(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def chance(self, part=0.5):
        return bool(self.rng.random() < part)

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def numbers(self, *shape, low=-1.0, high=1.0):
        return self.constant(self.rng.uniform(low, high, shape))

    def integers(self, *values):
        return self.constant(values, np.int64)

    def weights(self, *shape):
        """Numbers that keep the size of a product of so many terms."""
        terms = max(1, int(np.prod(shape[1:])))
        return self.constant(self.rng.normal(0, terms**-0.5, shape))

    def like(self, name):
        """Another value of the same shape, if there is one, or the value itself."""
        same = [other for other, value in self.values.items() if value.shape == self.values[name].shape and value.dtype == np.float32]
        return self.pick(*same)

    def factors(self, name):
        """A constant that broadcasts to a value without changing its shape: of lower rank or with extents of one."""
        extents = [extent if self.chance(0.6) else 1 for extent in self.shape(name)]
        extents = extents[self.whole(0, len(extents)) :] if self.chance() else [1] + extents if self.chance(0.3) else extents
        return extents

    def add(self, operator, inputs, outputs=1, **attributes):
        """Adds a node; the names of its outputs."""
        made = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, made, name=f"n{len(self.nodes)}", **attributes))
        return made if outputs > 1 else made[0]

    def axes(self, operator, x, axes, since, **attributes):
        """A node whose axes are an attribute or, from an operator set on, an input."""
        if self.opset < since:
            return self.add(operator, [x], axes=axes, **attributes)
        return self.add(operator, [x, self.integers(*axes)], **attributes)

    def model(self, outputs):
        given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.x.shape[1:]])]
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT if dtype == np.float32 else TensorProto.INT64, None) for name, dtype in outputs]
        graph = helper.make_graph(self.nodes, "random", given, made, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)

    def run(self, names, dtypes=None):
        """Values that onnxruntime gives."""
        dtypes = dtypes or [np.float32] * len(names)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            bytes = self.model(list(zip(names, dtypes))).SerializeToString()
            return onnxruntime.InferenceSession(bytes, options, providers=["CPUExecutionProvider"]).run(names, {"x": self.x})
        except Exception as error:
            raise Unusable(str(error)) from None

    def step(self, operator):
        """Adds the nodes of an operator on the last value; its name is the last from now on."""
        nodes, constants = len(self.nodes), len(self.constants)
        try:
            made = operator(self, self.last)
            dtypes = [np.int64 if operator is arg_max else np.float32]
            value = self.run([made], dtypes)[0]
            usable = np.isfinite(value).all() and np.abs(value).max(initial=0) < LARGEST and 0 < value.size < ELEMENTS
            if not usable or not 2 <= value.ndim <= 5 or value.shape[0] != len(self.x):
                raise Unusable("not finite, large, or without its batch")
            # every item must be computed from itself alone
            self.values[made], self.last = value, made
        except Unusable:
            del self.nodes[nodes:], self.constants[constants:]
            raise


OPERATORS = {}
ENDS = {}


def operator(*ranks, end=False, opsets=(0, 99)):
    """Registers a maker of nodes for values of these ranks, the batch counted."""

    def register(make):
        (ENDS if end else OPERATORS)[make.__name__] = (make, ranks or (2, 3, 4, 5), opsets)
        return make

    return register


def image(net, x, kernel):
    """Attributes of a window."""
    n = len(kernel)
    attributes = {"kernel_shape": kernel, "strides": [net.whole(1, 2) for _ in range(n)]}
    way = net.pick("pads", "pads", "none", "SAME_UPPER", "SAME_LOWER", "VALID")
    if way == "pads":
        attributes["pads"] = [net.whole(0, k - 1) for k in kernel * 2]
    elif way != "none":
        attributes["auto_pad"] = way
    return attributes


@operator(3, 4)
def conv(net, x):
    channels, *extents = net.shape(x)
    group = net.pick(*[g for g in range(1, channels + 1) if channels % g == 0])
    made = group * net.whole(1, 3)
    kernel = [net.whole(1, min(3, extent)) for extent in extents]
    attributes = image(net, x, kernel)
    if "auto_pad" not in attributes and net.chance(0.3):
        attributes["dilations"] = [net.whole(1, 2) for _ in kernel]
    bias = [net.numbers(made)] if net.chance() else []
    return net.add("Conv", [x, net.weights(made, channels // group, *kernel), *bias], group=group, **attributes)


@operator(4)
def conv_transpose(net, x):
    channels, *extents = net.shape(x)
    kernel = [net.whole(1, 3) for _ in extents]
    strides = [net.whole(1, 2) for _ in extents]
    group = net.pick(*[g for g in range(1, channels + 1) if channels % g == 0])
    attributes = {"kernel_shape": kernel, "strides": strides, "group": group}
    if net.chance():
        attributes["pads"] = [net.whole(0, (k - 1) // 2) for k in kernel * 2]
    if net.chance(0.3):
        attributes["output_padding"] = [net.whole(0, s - 1) for s in strides]
    if net.chance(0.3):
        attributes["dilations"] = [net.whole(1, 2) for _ in kernel]
    made = net.whole(1, 3)
    bias = [net.numbers(made * group)] if net.chance() else []
    return net.add("ConvTranspose", [x, net.weights(channels, made, *kernel), *bias], **attributes)


def pool_attributes(net, x, dilated):
    kernel = [net.whole(1, min(3, extent)) for extent in net.shape(x)[1:]]
    attributes = image(net, x, kernel)
    if "auto_pad" not in attributes and net.opset >= 10 and net.chance():
        attributes["ceil_mode"] = net.whole(0, 1)
        if dilated and net.chance():
            attributes["dilations"] = [net.whole(1, 2) for _ in kernel]
    return attributes


@operator(3, 4)
def max_pool(net, x):
    return net.add("MaxPool", [x], **pool_attributes(net, x, True))


@operator(3, 4)
def average_pool(net, x):
    return net.add("AveragePool", [x], count_include_pad=net.whole(0, 1), **pool_attributes(net, x, False))


@operator(3, 4, 5)
def global_average_pool(net, x):
    return net.add("GlobalAveragePool", [x])


@operator(3, 4, 5)
def global_max_pool(net, x):
    return net.add("GlobalMaxPool", [x])


@operator(2)
def gemm(net, x):
    features, made, turned = net.shape(x)[0], net.whole(1, 8), net.whole(0, 1)
    shape = (made, features) if turned else (features, made)
    bias = [net.numbers(*net.pick((made,), (1, made), (1,)))] if net.chance(0.7) or net.opset < 11 else []
    factors = {"alpha": net.pick(1.0, 0.5), "beta": net.pick(1.0, 2.0)}
    return net.add("Gemm", [x, net.weights(*shape), *bias], transB=turned, **factors)


@operator(2, 3, 4)
def matmul_right(net, x):
    inner = net.shape(x)[-1]
    return net.add("MatMul", [x, net.constant(net.rng.normal(0, inner**-0.5, net.pick((inner, net.whole(1, 5)), (inner, net.whole(1, 5)), (inner,)) if net.rank(x) > 2 else (inner, net.whole(1, 5))))])


@operator(3, 4)
def matmul_left(net, x):
    inner = net.shape(x)[-2]
    return net.add("MatMul", [net.constant(net.rng.normal(0, inner**-0.5, (net.whole(1, 5), inner))), x])


@operator(3, 4)
def matmul_values(net, x):
    axes = list(range(net.rank(x)))
    turned = net.add("Transpose", [net.like(x)], perm=[*axes[:-2], axes[-1], axes[-2]])
    product = net.add("MatMul", [x, turned])
    return net.add("Mul", [product, net.constant(net.shape(x)[-1] ** -0.5 / 2)])


def binary(name, low=-1.0, high=1.0, values=True):
    def make(net, x):
        if values and net.chance(0.4):
            inputs = [x, net.like(x)]
        else:
            inputs = [x, net.numbers(*net.factors(x), low=low, high=high)]
        if net.chance() and (values or name in ("Sub", "Add", "Mul")):
            inputs.reverse()
        return net.add(name, inputs)

    make.__name__ = name.lower()
    return make


for name in ("Add", "Sub", "Mul"):
    operator()(binary(name))
operator(opsets=(8, 99))(binary("Max"))
operator(opsets=(8, 99))(binary("Min"))


@operator()
def div(net, x):
    return net.add("Div", [x, net.numbers(*net.factors(x), low=0.5, high=3.0)])


@operator()
def several(net, x):
    return net.add(net.pick("Sum", "Mean", "Max", "Min"), [x, net.like(x), net.numbers(*net.factors(x))])


def unary(name, **ranges):
    def make(net, x):
        return net.add(name, [x], **{key: net.rng.uniform(*ends) for key, ends in ranges.items()})

    make.__name__ = name.lower()
    return make


operator()(unary("Relu"))
operator()(unary("Abs"))
operator()(unary("Neg"))
operator()(unary("Identity"))
operator()(unary("LeakyRelu", alpha=(0.01, 0.9)))
operator()(unary("HardSigmoid", alpha=(0.1, 0.5), beta=(0.2, 0.8)))
operator(opsets=(14, 99))(unary("HardSwish"))


@operator()
def clip(net, x):
    ends = sorted(net.rng.uniform(-1.5, 1.5, 2))
    if net.opset < 11:
        return net.add("Clip", [x], min=ends[0], max=ends[1])
    inputs = [x, net.constant(ends[0]) if net.chance(0.8) else "", net.constant(ends[1]) if net.chance(0.8) else ""]
    return net.add("Clip", inputs)


@operator(3, 4)
def prelu(net, x):
    channels = net.shape(x)[0]
    return net.add("PRelu", [x, net.numbers(*net.pick((channels, *[1] * (net.rank(x) - 2)), (1,)))])


@operator()
def power(net, x):
    return net.add("Pow", [x, net.constant(net.pick(1.0, 2.0, 3.0))])


@operator(2, 3, 4)
def batch_normalization(net, x):
    channels = net.shape(x)[0]
    scale, shift, mean = (net.numbers(channels) for _ in range(3))
    return net.add("BatchNormalization", [x, scale, shift, mean, net.numbers(channels, low=0.1, high=2.0)], epsilon=1e-3)


@operator()
def reshape(net, x):
    total, extents = int(np.prod(net.shape(x))), []
    while total > 1 and len(extents) < 3:
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        extents.append(net.pick(*divisors))
        total //= extents[-1]
    extents.append(total)
    if net.chance():
        extents[net.whole(0, len(extents) - 1)] = -1
        return net.add("Reshape", [x, net.integers(0, *extents)])
    return net.add("Reshape", [x, net.integers(net.pick(0, -1), *extents)])


@operator()
def flatten(net, x):
    return net.add("Flatten", [x], axis=1)


@operator(3, 4, 5)
def transpose(net, x):
    return net.add("Transpose", [x], perm=[0, *(1 + net.rng.permutation(net.rank(x) - 1)).tolist()])


@operator()
def squeeze(net, x):
    wide = net.axes("Unsqueeze", x, [net.whole(1, net.rank(x))], 13)
    if net.chance():
        return wide
    return net.axes("Squeeze", net.add("Relu", [wide]), [int(np.argmax(np.array([0, *net.shape(x)]) == 1))], 13) if 1 in net.shape(x) else wide


@operator()
def concat(net, x):
    axis = net.whole(1, net.rank(x) - 1)
    others = [net.like(x) for _ in range(net.whole(1, 2))]
    return net.add("Concat", [x, *others], axis=net.pick(axis, axis - net.rank(x)))


@operator()
def split(net, x):
    axis = net.whole(1, net.rank(x) - 1)
    extent = net.shape(x)[axis - 1]
    if extent < 2:
        raise Unusable("one element")
    first = net.whole(1, extent - 1)
    if net.opset < 13:
        parts = net.add("Split", [x], 2, axis=axis, split=[first, extent - first])
    else:
        parts = net.add("Split", [x, net.integers(first, extent - first)], 2, axis=axis)
    return net.add("Concat", [parts[1], parts[0]], axis=axis)


@operator()
def slice(net, x):
    axis = net.whole(1, net.rank(x) - 1)
    extent = net.shape(x)[axis - 1]
    start, step = net.whole(-extent, extent - 1), 1 if net.opset < 10 else net.pick(1, 1, 2, -1, -2)
    end = net.pick(extent, 2**31, start + 1) if step > 0 else net.pick(-(2**31), -extent - 1)
    if net.opset < 10:
        return net.add("Slice", [x], axes=[axis], starts=[start], ends=[end])
    return net.add("Slice", [x, net.integers(start), net.integers(end), net.integers(net.pick(axis, axis - net.rank(x))), net.integers(step)])


@operator()
def gather(net, x):
    axis = net.whole(1, net.rank(x) - 1)
    extent = net.shape(x)[axis - 1]
    count = net.whole(1, 4)
    places = net.rng.integers(-extent, extent, net.pick((count,), (count,), (2, count)))
    return net.add("Gather", [x, net.constant(places if net.opset >= 11 else places % extent, np.int64)], axis=axis)


@operator(3, 4)
def pad(net, x):
    mode = net.pick("constant", "constant", "reflect", "edge")
    ends = [0, *[net.whole(0, min(2, extent - 1)) for extent in net.shape(x)]]
    starts = [0, *[net.whole(0, min(2, extent - 1)) for extent in net.shape(x)]]
    value = net.pick(0.0, 0.0, 0.5, -1.0)
    if net.opset < 11:
        return net.add("Pad", [x], mode=mode, pads=starts + ends, **({"value": value} if mode == "constant" else {}))
    return net.add("Pad", [x, net.integers(*starts, *ends), *([net.constant(value)] if mode == "constant" else [])], mode=mode)


@operator(4, opsets=(11, 99))
def resize(net, x):
    height, width = net.shape(x)[1:]
    mode = net.pick("nearest", "linear")
    attributes = {"coordinate_transformation_mode": net.pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")}
    if mode == "nearest":
        attributes["nearest_mode"] = net.pick("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    sizes = [net.whole(2, 2 * height + 1), net.whole(2, 2 * width + 1)]
    if net.chance():
        return net.add("Resize", [x, "", net.constant([1, 1, sizes[0] / height, sizes[1] / width])], mode=mode, **attributes)
    if net.opset < 13:
        raise Unusable("sizes want the batch before set 18")
    if net.opset >= 18:
        return net.add("Resize", [x, "", "", net.integers(*sizes)], mode=mode, axes=[2, 3], **attributes)
    raise Unusable("sizes want the batch before set 18")


@operator(4, opsets=(9, 9))
def upsample(net, x):
    return net.add("Upsample", [x, net.constant([1, 1, net.whole(1, 3), net.whole(1, 3)])], mode=net.pick("nearest", "linear"))


@operator()
def tile(net, x):
    return net.add("Tile", [x, net.integers(1, *[net.whole(1, 2) for _ in net.shape(x)])])


@operator()
def expand(net, x):
    extents = [net.pick(1, net.whole(1, 3)) if extent == 1 else net.pick(1, extent) for extent in net.shape(x)]
    return net.add("Expand", [x, net.integers(1, *extents)])


@operator(4)
def depth_to_space(net, x):
    block = 2
    if net.shape(x)[0] % 4:
        return net.add("SpaceToDepth", [x], blocksize=block)
    modes = {"mode": net.pick("DCR", "CRD")} if net.opset >= 11 else {}
    return net.add("DepthToSpace", [x], blocksize=block, **modes)


@operator()
def reduce(net, x):
    name = net.pick("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")
    axes = [axis if net.chance() else axis - net.rank(x) for axis in range(1, net.rank(x)) if net.chance()] or [1]
    return net.axes(name, x, axes, 13 if name == "ReduceSum" else 18, keepdims=net.whole(0, 1))


@operator()
def reduce_squares(net, x):
    name = net.pick("ReduceSumSquare", "ReduceL1")
    return net.axes(name, x, [net.whole(1, net.rank(x) - 1)], 18, keepdims=net.whole(0, 1))


@operator()
def where(net, x):
    mask = net.constant(net.rng.random(net.shape(x)) < 0.5, bool)
    return net.add("Where", [mask, x, net.numbers(*net.pick([1], net.shape(x)))])


@operator()
def casts(net, x):
    return net.add("Cast", [net.add("Cast", [x], to=TensorProto.DOUBLE)], to=TensorProto.FLOAT)


@operator()
def folded(net, x):
    """A constant that is computed from constants."""
    shape = net.factors(x)
    c = net.numbers(*shape, low=0.2, high=2.0)
    for _ in range(net.whole(1, 3)):
        name = net.pick("Sqrt", "Exp", "Log", "Sin", "Tanh", "Reciprocal", "Floor", "Ceil", "Sign", "Erf", "Sigmoid", "Round", "Pow", "Mod", "Softplus", "Div")
        if name in ("Pow", "Div"):
            c = net.add(name, [net.add("Abs", [c]), net.numbers(low=0.5, high=2.0)])
        elif name == "Mod":
            c = net.add(name, [c, net.numbers(low=0.3, high=1.5)], fmod=1) if net.opset >= 10 else c
        elif name in ("Round", "Erf") and net.opset < 13:
            c = net.add("Neg", [c])
        else:
            c = net.add(name, [c])
    return net.add(net.pick("Add", "Mul"), [x, c])


@operator(end=True)
def softmax(net, x):
    return net.add(net.pick("Softmax", "LogSoftmax"), [x], axis=net.whole(1, net.rank(x) - 1) if net.opset >= 13 else 1)


@operator(end=True)
def sigmoid(net, x):
    return net.add("Sigmoid", [x])


@operator(end=True)
def arg_max(net, x):
    return net.add("ArgMax", [x], axis=net.whole(1, net.rank(x) - 1), keepdims=net.whole(0, 1))


@operator(end=True)
def nothing(net, x):
    return net.add("Identity", [x])


SHAPES = [(5,), (12,), (1,), (4, 6), (6, 1), (3, 7), (3, 8, 8), (4, 6, 5), (1, 9, 7), (2, 5, 1), (8, 4, 4), (2, 2, 3, 4), (4, 3, 2, 2)]


def fresh(rng, rank=None):
    shapes = [shape for shape in SHAPES if rank is None or len(shape) + 1 == rank]
    return Net(rng, shapes[int(rng.integers(len(shapes)))], OPSETS[int(rng.integers(len(OPSETS)))])


def fits(net, entry):
    _, ranks, (first, last) = entry
    return net.rank(net.last) in ranks and first <= net.opset <= last


def one_operator(seed):
    """A net of one operator, and its name."""
    rng = np.random.default_rng(seed)
    names = sorted(OPERATORS) + sorted(ENDS)
    name = names[seed[1] % len(names)]
    entry = OPERATORS.get(name) or ENDS[name]
    for _ in range(100):
        net = fresh(rng, entry[1][int(rng.integers(len(entry[1])))])
        if fits(net, entry):
            try:
                net.step(entry[0])
                return name, net
            except Unusable:
                pass
    return name, None


def one_network(seed):
    """A net of several operators, with an output of its own at times."""
    rng = np.random.default_rng(seed)
    net, wanted = fresh(rng), int(rng.integers(3, 13))
    for _ in range(200):
        choices = [entry for _, entry in sorted(OPERATORS.items()) if fits(net, entry)]
        try:
            net.step(choices[int(rng.integers(len(choices)))][0])
        except Unusable:
            continue
        if len(net.nodes) >= wanted:
            break
    entries = [entry for _, entry in sorted(ENDS.items())]
    try:
        net.step(entries[int(rng.integers(len(entries)))][0])
    except Unusable:
        pass
    return "network", net


def outputs(answer, count):
    """The values of an answer, output by output."""
    first = answer.get("probabilities") or answer.get("logits")
    rows = [first] + [answer["others"][name] for name in answer["others"]]
    return [np.array([value for row in rows[i] for value in np.ravel(row)], float) for i in range(count)]


def reason(said):
    """The operator and the beginning of a refusal, without the names of the case."""
    operator, _, why = said.partition(".onnx: ")[2].partition(" '")
    return f"{operator}: {why.partition(': ')[2].partition('. Supported')[0][:100]}"


def nearly_even(scores, axis):
    """Whether the largest score along an axis is hardly larger than the next."""
    ordered = np.sort(scores, axis)
    return scores.shape[axis] > 1 and (np.diff(ordered.take([-2, -1], axis), axis=axis) < 1e-3).any()


def judge(program, net, scratch, label):
    """The verdict on a case, and what there is to say."""
    made = [net.last] + ([sorted(net.values)[-1]] if len(net.values) % 3 == 0 else [])
    made = [name for i, name in enumerate(made) if name not in made[:i] and name != "x"]
    wanted = [net.values[name] for name in made]
    dtypes = [np.int64 if value.dtype == np.int64 else np.float32 for value in wanted]
    last = net.nodes[-1]
    if last.op_type == "ArgMax" and nearly_even(net.values[last.input[0]], last.attribute[0].i):
        return "even", "two scores are nearly the same"
    model, x = os.path.join(scratch, f"{label}.onnx"), os.path.join(scratch, f"{label}.npy")
    onnx.save(net.model(list(zip(made, dtypes))), model)
    np.save(x, net.x)
    command = [program, "infer", "--model", model, "--input", x, "--device", "cpu", "--threads", "1", "--json"]
    try:
        run = subprocess.run(command, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "HANGS", ""
    said = run.stderr.decode("utf8", "replace").strip().replace("\n", " ")
    said = said[said.find("error:") :]
    if run.returncode not in (0, 1, 5) or "panicked" in said:
        return "FAILS", said[:300]
    if run.returncode:
        return "refused", said
    got = outputs(json.loads(run.stdout), len(made))
    for name, values, right in zip(made, got, wanted):
        if values.size != right.size:
            return "DIFFERS", f"{name}: {values.size} values instead of {right.size}"
        off, most = np.abs(values - right.ravel()).max(), np.abs(right).max()
        if not off <= 3e-4 + 3e-4 * most:
            return "DIFFERS", f"{name}: by {off:.3g} of {most:.3g}"
    return "equal", ""


def main():
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "target", "release", "trishade")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=here)
    parser.add_argument("--operators", type=int, default=2000)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", metavar="FOLDER", help="write the files of cases that differ or are refused")
    options = parser.parse_args()
    print(f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}; seed {options.seed}, {options.operators} operators, {options.networks} networks, operator sets {OPSETS[0]} to {OPSETS[-1]}")
    jobs = [("o", (options.seed, i, 0)) for i in range(options.operators)] + [("n", (options.seed, i, 1)) for i in range(options.networks)]
    counts, reasons = collections.defaultdict(collections.Counter), collections.Counter()

    def one(job):
        kind, seed = job
        name, net = one_operator(seed) if kind == "o" else one_network(seed)
        if net is None or not net.nodes:
            return job, name, "unmade", ""
        with tempfile.TemporaryDirectory() as scratch:
            verdict, why = judge(os.path.abspath(options.program), net, scratch, f"{kind}{seed[1]}")
            if options.keep and verdict not in ("equal", "even"):
                os.makedirs(options.keep, exist_ok=True)
                for file in os.listdir(scratch):
                    os.replace(os.path.join(scratch, file), os.path.join(options.keep, file))
        return job, name, verdict, why

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (kind, seed), name, verdict, why in pool.map(one, jobs):
            counts[name][verdict] += 1
            if verdict == "refused":
                reasons[reason(why)] += 1
            elif verdict not in ("equal", "even", "unmade"):
                print(f"{verdict} {kind}{seed[1]} {name}: {why}", flush=True)
    total = collections.Counter()
    for name, verdicts in sorted(counts.items()):
        total.update(verdicts)
        print(f"  {name:22} " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(verdicts.items())))
    for why, n in reasons.most_common(30):
        print(f"  refused {n:4} times: {why}")
    print(", ".join(f"{n} {verdict}" for verdict, n in sorted(total.items())))
    sys.exit(1 if total.keys() - {"equal", "even", "unmade", "refused"} else 0)


main()
