//! Broadcasting of values and constants of every pair of ranks: NumPy's rule, or an error where it would move the batch.

use crate::common::*;
use trishade::nn::onnx::schema::{ModelProto, TensorProto};

/// An array of the test's own.
#[derive(Debug, Clone)]
struct Array {
    extents: Vec<usize>,
    values: Vec<f32>,
}

impl Array {
    fn new(extents: &[usize], seed: usize) -> Self {
        let n = extents.iter().product();
        Self { extents: extents.to_vec(), values: (0..n).map(|i| ((i * 7 + seed * 5) % 13) as f32 / 4.0 - 1.5).collect() }
    }

    fn dims(&self) -> Vec<i64> {
        self.extents.iter().map(|&extent| extent as i64).collect()
    }

    /// The element that an index of a result of more axes meets.
    fn at(&self, index: &[usize]) -> f32 {
        let own = &index[index.len() - self.extents.len()..];
        let place = own.iter().zip(&self.extents).fold(0, |place, (&i, &extent)| place * extent + if extent == 1 { 0 } else { i });
        self.values[place]
    }

    fn item(&self, n: usize) -> &[f32] {
        let item = self.values.len() / self.extents[0];
        &self.values[n * item..][..item]
    }
}

/// The extents that arrays broadcast to.
fn joint(all: &[&Array]) -> Option<Vec<usize>> {
    let rank = all.iter().map(|x| x.extents.len()).max()?;
    let mut to = vec![1; rank];
    for x in all {
        for (d, &extent) in x.extents.iter().enumerate() {
            let place = &mut to[rank - x.extents.len() + d];
            match (*place, extent) {
                (a, b) if a == b || b == 1 => {}
                (1, b) => *place = b,
                _ => return None,
            }
        }
    }
    Some(to)
}

fn indices(extents: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    (0..extents.iter().product()).map(|mut e| {
        let mut index = vec![0; extents.len()];
        for d in (0..extents.len()).rev() {
            (index[d], e) = (e % extents[d], e / extents[d]);
        }
        index
    })
}

/// A function element by element of arrays broadcast against each other.
fn expected(all: &[&Array], f: &dyn Fn(&[f32]) -> f32) -> Option<Array> {
    let extents = joint(all)?;
    let values = indices(&extents).map(|index| f(&all.iter().map(|x| x.at(&index)).collect::<Vec<f32>>())).collect();
    Some(Array { extents, values })
}

/// Extents of a rank, the last ones of 2, 3, 2, 3, 3, those in `ones` being 1.
fn extents(rank: usize, ones: usize) -> Vec<usize> {
    let all = &[2, 3, 2, 3, 3][5 - rank..];
    (0..rank).map(|d| if ones >> d & 1 == 1 { 1 } else { all[d] }).collect()
}

/// An operator and its definition, of two values or of a value and a constant, in this order or turned round.
type Operator = (&'static str, fn(f32, f32) -> f32);

const OF_BOTH: [Operator; 7] = [
    ("Add", |a, b| a + b),
    ("Sub", |a, b| a - b),
    ("Mul", |a, b| a * b),
    ("Max", f32::max),
    ("Min", f32::min),
    ("Mean", |a, b| (a + b) / 2.0),
    ("Sum", |a, b| a + b),
];

fn free(mut dims: Vec<i64>) -> Vec<i64> {
    dims[0] = -1;
    dims
}

/// `y = op(a, b)` of the named ones; c is the constant.
fn operation(op: &str, [a, b]: [&str; 2], inputs: &[(&str, &[i64])], constants: Vec<TensorProto>) -> ModelProto {
    model(inputs, &["y"], vec![node(op, &[a, b], "y", vec![])], constants)
}

#[test]
fn two_values_meet_batch_by_batch() {
    for (a, b) in (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b))) {
        for (ones_a, ones_b) in (0..1 << (a - 1)).flat_map(|x| (0..1 << (b - 1)).map(move |y| (2 * x, 2 * y))) {
            let (mut first, mut second) = (extents(a, ones_a), extents(b, ones_b));
            (first[0], second[0]) = (3, 3);
            let (x, z) = (Array::new(&first, 1), Array::new(&second, 2));
            let (op, f) = OF_BOTH[(ones_a / 2 + ones_b + a) % 7];
            let (dims, other) = (free(x.dims()), free(z.dims()));
            let found = import(&operation(op, ["x", "z"], &[("x", &dims), ("z", &other)], vec![]));
            if a != b {
                let error = found.unwrap_err();
                assert!(error.contains("the batch"), "{error}");
                continue;
            }
            let items: Vec<f32> = (0..3).flat_map(|n| [x.item(n), z.item(n)].concat()).collect();
            let wanted = expected(&[&x, &z], &|v| f(v[0], v[1])).unwrap();
            close(&outcome(&found.unwrap(), &items)[0], &wanted.values, 1e-5);
        }
    }
}

/// Every constant beside every value: batches that are free, that are three, and that are one.
#[test]
fn a_constant_is_broadcast_or_refused() {
    let of_one: [Operator; 2] = [("Div", |a, b| a / b), ("PRelu", |a, b| if a < 0.0 { a * b } else { a })];
    for (rank, of_constant) in (1..=5).flat_map(|a| (0..=5).map(move |b| (a, b))) {
        for (ones, ones_of_constant) in (0..1 << (rank - 1)).flat_map(|x| (0..1 << of_constant).map(move |y| (2 * x, y))) {
            let mut own = extents(rank, ones);
            own[0] = 3;
            let (x, c) = (Array::new(&own, 3), Array::new(&extents(of_constant, ones_of_constant), 4));
            let c = Array { values: c.values.iter().map(|v| v + 0.125).collect(), ..c };
            let which = ones / 2 + ones_of_constant + rank;
            let (op, f, turned) = match which % 9 {
                i @ 0..7 => (OF_BOTH[i].0, OF_BOTH[i].1, which / 9 % 2 == 1),
                i => (of_one[i - 7].0, of_one[i - 7].1, false),
            };
            let names = if turned { ["c", "x"] } else { ["x", "c"] };
            let constant = || vec![floats("c", &c.dims(), &c.values)];
            let read = |dims: Vec<i64>| import(&operation(op, names, &[("x", &dims)], constant()));
            let right = |x: &Array| if turned { expected(&[&c, x], &|v| f(v[0], v[1])) } else { expected(&[x, &c], &|v| f(v[0], v[1])) };

            // the constant's extent where the batch is, and the axes that it adds in front
            let beside = if of_constant >= rank { c.extents[of_constant - rank] } else { 1 };
            let front: usize = c.extents[..of_constant.saturating_sub(rank)].iter().product();
            let context = format!("{op} {:?} {:?}", x.extents, c.extents);
            for dims in [free(x.dims()), x.dims()] {
                match (read(dims), beside == 1 && front == 1) {
                    (Ok(graph), true) => close(&outcome(&graph, &x.values)[0], &right(&x).expect(&context).values, 1e-4),
                    (Err(error), false) => assert!(error.contains("batch") || error.contains("broadcast"), "{context}: {error}"),
                    (found, _) => panic!("{context}: {:?}", found.err()),
                }
            }
            let alone = Array { extents: [&[1], &x.extents[1..]].concat(), values: x.item(1).to_vec() };
            match (read(alone.dims()), right(&alone)) {
                (Ok(graph), Some(right)) => close(&outcome(&graph, &alone.values)[0], &right.values, 1e-4),
                (Err(_), None) => {}
                (found, right) => panic!("{context} alone: {:?} {right:?}", found.err()),
            }
        }
    }
}

#[test]
fn masks_powers_and_several_operands() {
    let x = Array::new(&[3, 2, 3], 5);
    let (mask, other) = (Array { extents: vec![2, 1], values: vec![1.0, 0.0] }, Array::new(&[3], 6));
    let of_mask = TensorProto { dims: vec![2, 1], data_type: 9, int32_data: vec![1, 0], name: "m".into(), ..Default::default() };
    let read = |nodes, constants| import(&model(&[("x", &[-1, 2, 3])], &["y"], nodes, constants)).unwrap();
    for inputs in [["m", "x", "c"], ["m", "c", "x"]] {
        let graph = read(vec![node("Where", &inputs, "y", vec![])], vec![of_mask.clone(), floats("c", &[3], &other.values)]);
        let [yes, no] = if inputs[1] == "x" { [&x, &other] } else { [&other, &x] };
        let wanted = expected(&[&mask, yes, no], &|v| if v[0] != 0.0 { v[1] } else { v[2] }).unwrap();
        close(&private(&graph, &x.values)[0], &wanted.values, 1e-4);
    }
    let graph = read(vec![node("Pow", &["x", "e"], "y", vec![])], vec![floats("e", &[1, 1, 1], &[2.0])]);
    close(&outcome(&graph, &x.values)[0], &x.values.iter().map(|v| v * v).collect::<Vec<f32>>(), 1e-4);
    // constants in front, in the middle and at the end
    let (c, d) = (Array::new(&[2, 1], 7), Array::new(&[3], 8));
    let constants = || vec![floats("c", &[2, 1], &c.values), floats("d", &[3], &d.values)];
    type Several = (&'static str, fn(&[f32]) -> f32);
    let all: [Several; 4] = [
        ("Sum", |v| v.iter().sum()),
        ("Mean", |v| v.iter().sum::<f32>() / 4.0),
        ("Max", |v| v.iter().copied().fold(f32::MIN, f32::max)),
        ("Min", |v| v.iter().copied().fold(f32::MAX, f32::min)),
    ];
    for (op, f) in all {
        let graph = read(vec![node(op, &["c", "x", "d", "x"], "y", vec![])], constants());
        close(&outcome(&graph, &x.values)[0], &expected(&[&c, &x, &d, &x], &|v| f(v)).unwrap().values, 1e-4);
    }
}

/// `a b` of matrices, or of a vector and matrices, as NumPy multiplies.
fn product(a: &Array, b: &Array) -> Option<Array> {
    let (vector_a, vector_b) = (a.extents.len() == 1, b.extents.len() == 1);
    let a = if vector_a { Array { extents: vec![1, a.extents[0]], ..a.clone() } } else { a.clone() };
    let b = if vector_b { Array { extents: vec![b.extents[0], 1], ..b.clone() } } else { b.clone() };
    let (front_a, front_b) = (a.extents.len() - 2, b.extents.len() - 2);
    let (m, k, n) = (a.extents[front_a], a.extents[front_a + 1], b.extents[front_b + 1]);
    let front = |x: &Array, front: usize| Array { extents: x.extents[..front].to_vec(), values: Vec::new() };
    let outer = joint(&[&front(&a, front_a), &front(&b, front_b)]).filter(|_| k == b.extents[front_b])?;
    let extents = [&outer[..], &[m, n]].concat();
    let one = |index: Vec<usize>| {
        let (outer, i, j) = (&index[..outer.len()], index[outer.len()], index[outer.len() + 1]);
        (0..k).map(|d| a.at(&[outer, &[i, d]].concat()) * b.at(&[outer, &[d, j]].concat())).sum()
    };
    let values = indices(&extents).map(one).collect();
    let without = |d: usize, vector: bool| (!vector).then_some(extents[extents.len() - d]);
    let extents = [outer, [without(2, vector_a), without(1, vector_b)].into_iter().flatten().collect()].concat();
    Some(Array { extents, values })
}

#[test]
fn products_of_every_pair_of_ranks() {
    // (.., 3, 3) on both sides, so that all fit
    let matrices = |rank: usize, ones: usize| -> Vec<usize> {
        [&extents(rank.max(2), ones << 1)[..rank - rank.min(2)], &vec![3; rank.min(2)]].concat()
    };
    for (rank, of_constant) in (2..=5).flat_map(|a| (1..=5).map(move |b| (a, b))) {
        for (ones, ones_of_constant) in (0..4).flat_map(|x| (0..4).map(move |y| (x, y))) {
            let mut own = matrices(rank, ones);
            own[0] = 3;
            let (x, c) = (Array::new(&own, 1), Array::new(&matrices(of_constant, ones_of_constant), 2));
            for turned in [false, true] {
                let names = if turned { ["c", "x"] } else { ["x", "c"] };
                let read = |dims: Vec<i64>| import(&operation("MatMul", names, &[("x", &dims)], vec![floats("c", &c.dims(), &c.values)]));
                let right = |x: &Array| if turned { product(&c, x) } else { product(x, &c) };
                let context = format!("{names:?} {:?} {:?}", x.extents, c.extents);
                if let Ok(graph) = read(free(x.dims())) {
                    close(&outcome(&graph, &x.values)[0], &right(&x).expect(&context).values, 1e-4);
                } else {
                    // rows of the batch would be multiplied with each other, or the batch is beside an axis of the constant
                    let beside = if of_constant >= rank { c.extents[of_constant - rank] } else { 1 };
                    let front: usize = c.extents[..of_constant.saturating_sub(rank)].iter().product();
                    assert!((rank == 2 && (turned || of_constant > 2)) || beside > 1 || front > 1, "{context}");
                }
                let alone = Array { extents: [&[1], &x.extents[1..]].concat(), values: x.item(1).to_vec() };
                match (read(alone.dims()), right(&alone)) {
                    (Ok(graph), Some(right)) => close(&outcome(&graph, &alone.values)[0], &right.values, 1e-4),
                    (Err(_), None) => {}
                    (found, right) => panic!("{context} alone: {:?} {right:?}", found.err()),
                }
            }
        }
    }
}
