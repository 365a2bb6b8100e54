//! Constants beside what is computed: put together with values, given as outputs, added for free, and larger than a product has room for.

use crate::common::*;
use prost::Message;
use trishade::nn::{
    Graph, lower,
    onnx::{
        self,
        schema::{NodeProto, TensorProto},
    },
    plan,
};

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % 13) as f32 / 4.0 - 1.5).collect()
}

fn read(dims: &[i64], outputs: &[&str], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> Graph {
    import(&model(&[("x", dims)], outputs, nodes, constants)).unwrap()
}

/// Rounds besides the one that reveals.
fn rounds(graph: &Graph) -> u32 {
    pollster::block_on(plan(graph, 2, Default::default(), Default::default())).unwrap().rounds - 1
}

#[test]
fn constants_stand_anywhere_among_values() {
    let x = numbers(2 * 2 * 3);
    for axis in [1, 2, -1] {
        for order in [["x", "c", "x"], ["c", "x", "c"], ["x", "x", "c"], ["c", "c", "x"]] {
            for (batch, leading) in [(-1, 1), (2, 1), (2, 2)] {
                let along = if axis == 1 { 1 } else { 2 };
                let own: [usize; 2] = if along == 1 { [1, 3] } else { [2, 2] };
                let one = numbers(own[0] * own[1]);
                let dims = [leading, own[0] as i64, own[1] as i64];
                let graph = read(
                    &[batch, 2, 3],
                    &["y"],
                    vec![node("Concat", &order, "y", vec![int("axis", axis)])],
                    vec![floats("c", &dims, &one.repeat(leading as usize))],
                );
                let part = |name: &str, n: usize, r: usize| match (name, along) {
                    ("x", 1) => x[n * 6..][..6].to_vec(),
                    ("x", _) => x[n * 6 + r * 3..][..3].to_vec(),
                    (_, 1) => one.clone(),
                    _ => one[r * 2..][..2].to_vec(),
                };
                let outer = if along == 1 { 1 } else { 2 };
                let all = (0..2).flat_map(|n| (0..outer).flat_map(move |r| order.map(|name| (name, n, r))));
                let wanted: Vec<f32> = all.flat_map(|(name, n, r)| part(name, n, r)).collect();
                close(&outcome(&graph, &x)[0], &wanted, 1e-5);
                close(&private(&graph, &x)[0], &wanted, 1e-3);
                assert_eq!(rounds(&graph), 0, "constants take no rounds");
            }
        }
    }
    let different = vec![floats("c", &[2, 1, 3], &numbers(6))];
    let nodes = || vec![node("Concat", &["x", "c"], "y", vec![int("axis", 1)])];
    let error = import(&model(&[("x", &[2, 2, 3])], &["y"], nodes(), different)).unwrap_err();
    assert!(error.contains("the Concat") && error.contains("differs between the inputs of a batch"), "{error}");
    let error = import(&model(&[("x", &[2, 2, 3])], &["y"], nodes(), vec![floats("c", &[1, 1, 4], &[0.0; 4])])).unwrap_err();
    assert!(error.contains("do not fit along axis 1"), "{error}");
}

/// A class token, expanded to as many as there are inputs, as exporters write it.
#[test]
fn a_constant_is_expanded_over_the_batch() {
    let nodes = vec![
        node("Shape", &["x"], "s", vec![]),
        node("Gather", &["s", "zero"], "n", vec![int("axis", 0)]),
        node("Concat", &["n", "rest"], "to", vec![int("axis", 0)]),
        node("Expand", &["token", "to"], "tokens", vec![]),
        node("Concat", &["tokens", "x"], "h", vec![int("axis", 1)]),
        node("Add", &["h", "positions"], "y", vec![]),
    ];
    let (token, positions, x) = (numbers(2), numbers(6), numbers(3 * 4));
    let constants = vec![
        integers("zero", &[0]),
        integers("rest", &[1, 2]),
        floats("token", &[1, 1, 2], &token),
        floats("positions", &[1, 3, 2], &positions),
    ];
    let graph = read(&[-1, 2, 2], &["y", "tokens"], nodes, constants);
    let wanted = x.chunks(4).flat_map(|x| [&token[..], x].concat()).zip(positions.iter().cycle()).map(|(a, b)| a + b);
    let found = private(&graph, &x);
    close(&found[0], &wanted.collect::<Vec<f32>>(), 1e-3);
    close(&found[1], &token.repeat(3), 1e-3);
    assert_eq!(rounds(&graph), 0);
}

#[test]
fn an_output_may_be_a_constant() {
    let (k, x) = ([0.25, -3.0, 7.5], numbers(8));
    let constant = || vec![floats("k", &[3], &k)];
    let graph = read(&[-1, 4], &["y", "k"], vec![node("Relu", &["x"], "y", vec![])], constant());
    let found = private(&graph, &x);
    close(&found[0], &x.iter().map(|v| v.max(0.0)).collect::<Vec<f32>>(), 1e-3);
    close(&found[1], &k.repeat(2), 1e-3);
    let only = read(&[-1, 4], &["k"], vec![], constant());
    close(&private(&only, &x)[0], &k.repeat(2), 1e-3);
    // the file that a graph is written to reads the same
    let again = onnx::import(&onnx::export(&graph, "constant").unwrap()).unwrap();
    assert_eq!(outcome(&graph, &x), outcome(&again, &x));
    // integers too, of an input of integers
    let mut whole = model(&[("x", &[-1, 4])], &["k"], vec![], vec![integers("k", &[3, -5])]);
    whole.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = 7;
    let whole = onnx::import(&whole.encode_to_vec()).unwrap();
    close(&private(&whole, &[1.0, 2.0, 3.0, 4.0])[0], &[3.0, -5.0], 1e-3);
}

/// Masked classes and positions: what is added is beyond the range of products.
#[test]
fn huge_constants_are_added_after_the_truncation() {
    let (w, x) = (numbers(12), numbers(8));
    let product = |n: usize, j: usize| (0..4).map(|d| x[n * 4 + d] * w[d * 3 + j]).sum::<f32>();
    let biases = [-1e9, 0.5, 3e8];
    let gemm = || node("Gemm", &["x", "w", "b"], "g", vec![]);
    let constants = || vec![floats("w", &[4, 3], &w), floats("b", &[3], &biases)];
    let sums = |f: &dyn Fn(f32) -> f32| (0..6).map(|e| f(product(e / 3, e % 3) + biases[e % 3])).collect::<Vec<f32>>();
    let graph = read(&[-1, 4], &["g"], vec![gemm()], constants());
    close(&outcome(&graph, &x)[0], &sums(&|v| v), 1e-5);
    close(&private(&graph, &x)[0], &sums(&|v| v), 1e-5);
    let graph = read(&[-1, 4], &["y"], vec![gemm(), node("Relu", &["g"], "y", vec![])], constants());
    close(&private(&graph, &x)[0], &sums(&|v| v.max(0.0)), 1e-5);
    let graph = read(&[-1, 4], &["y"], vec![gemm(), node("Softmax", &["g"], "y", vec![])], constants());
    close(&private(&graph, &x)[0], &[0.0, 0.0, 1.0].repeat(2), 1e-5);
    // a bias of channels, and a mask of elements, before a maximum
    let image = numbers(2 * 16);
    let nodes = vec![
        node("Conv", &["x", "w", "b"], "c", vec![]),
        node("Add", &["c", "mask"], "m", vec![]),
        node("MaxPool", &["m"], "y", vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
    ];
    let mask: Vec<f32> = (0..16).map(|e| if e % 3 == 0 { -1e9 } else { 0.0 }).collect();
    let constants = vec![floats("w", &[2, 1, 1, 1], &[1.0, -2.0]), floats("b", &[2], &[-1e9, 0.5]), floats("mask", &[4, 4], &mask)];
    let graph = read(&[-1, 1, 4, 4], &["y"], nodes, constants);
    let element = |n: usize, o: usize, e: usize| image[n * 16 + e] * [1.0, -2.0][o] + [-1e9, 0.5][o] + mask[e];
    let window = |n, o, w: usize| [0, 1, 4, 5].map(|d| element(n, o, w / 2 * 8 + w % 2 * 2 + d)).into_iter().fold(f32::MIN, f32::max);
    let wanted = (0..16).map(|e| window(e / 8, e / 4 % 2, e % 4)).collect::<Vec<f32>>();
    close(&private(&graph, &image)[0], &wanted, 1e-5);
    // what no word holds is an error that names the node
    let graph = read(&[-1, 4], &["y"], vec![node("Add", &["x", "k"], "y", vec![])], vec![floats("k", &[4], &[-1e30, 0.0, 0.0, 0.0])]);
    let error = lower(&graph, Default::default()).unwrap().parameters.encoded().find_map(Result::err).unwrap().to_string();
    assert!(error.contains("the Add") && error.contains("element 0 is too large"), "{error}");
}

/// Constants of elements join a product before its truncation, and cost nothing by themselves.
#[test]
fn constants_that_are_added_cost_nothing() {
    let added = |nodes: Vec<NodeProto>| {
        let constants =
            vec![floats("w", &[2, 2, 1, 1], &numbers(4)), floats("k", &[2, 3, 3], &numbers(18)), floats("c", &[2, 1, 1], &[1.0, -2.0])];
        let graph = read(&[-1, 2, 3, 3], &["y"], nodes, constants);
        let (x, lowered) = (numbers(36), lower(&graph, Default::default()).unwrap());
        close(&private(&graph, &x)[0], &outcome(&graph, &x)[0], 1e-3);
        (lowered.program.steps().len(), rounds(&graph))
    };
    let conv = || node("Conv", &["x", "w"], "h", vec![]);
    assert_eq!(added(vec![node("Add", &["x", "k"], "y", vec![])]), (1, 0));
    assert_eq!(added(vec![node("Sub", &["c", "x"], "y", vec![])]).1, 0);
    let bare = added(vec![conv(), node("Relu", &["h"], "y", vec![])]);
    assert_eq!(added(vec![conv(), node("Add", &["h", "k"], "s", vec![]), node("Relu", &["s"], "y", vec![])]), bare);
}

/// A column of numbers is not a row of them, though there are as many.
#[test]
fn constants_of_rows_and_of_columns_are_told_apart() {
    let (w, c, x) = (numbers(9), [10.0, 20.0, 30.0], numbers(18));
    for (dims, column) in [(&[3, 1][..], true), (&[3][..], false), (&[1, 3][..], false)] {
        let nodes = vec![node("MatMul", &["x", "w"], "h", vec![]), node("Add", &["h", "c"], "y", vec![])];
        let graph = read(&[-1, 3, 3], &["y"], nodes, vec![floats("w", &[3, 3], &w), floats("c", dims, &c)]);
        let one = |e: usize| (0..3).map(|d| x[e / 3 * 3 + d] * w[d * 3 + e % 3]).sum::<f32>() + c[if column { e / 3 % 3 } else { e % 3 }];
        close(&outcome(&graph, &x)[0], &(0..18).map(one).collect::<Vec<f32>>(), 1e-5);
    }
}
