//! Ends of models in the clear: whoever receives the scores computes what follows them, and gets the values of the whole model.

use crate::models::{floats, import, info, int, integers, ints, model, node};
use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Graph, Reveal, Session, onnx::schema::*},
};

/// The first output of a private inference.
fn answered(graph: &Graph, x: &[f32]) -> Vec<f32> {
    let device = Device::cpu(1).unwrap();
    let session = Session::new([device.clone(), device.clone(), device], Fixed::default()).unwrap();
    let answer = pollster::block_on(session.infer(&session.load(graph).unwrap(), x, 16, Reveal::Logits, |_| {})).unwrap();
    answer.outputs().concat()
}

fn of(extents: &[&str], nodes: Vec<NodeProto>, initializers: Vec<TensorProto>, x: &[f32]) -> Vec<f32> {
    let input = info("x", 1, &[&["N"], extents].concat());
    answered(&import(&model(vec![input], nodes, initializers)).unwrap(), x)
}

fn close(got: &[f32], want: &[f32]) {
    assert!(got.len() == want.len() && got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-4), "{got:?} {want:?}");
}

fn sigmoid(v: f32) -> f32 {
    1.0 / (1.0 + (-v).exp())
}

#[test]
fn an_embedding_of_length_one() {
    // as PyTorch writes normalize(x): only the sum of squares and the numbers are revealed
    let nodes = vec![
        node("ReduceL2", &["x"], &["norm"], vec![ints("axes", &[-1]), int("keepdims", 1)]),
        node("Clip", &["norm", "least"], &["bounded"], vec![]),
        node("Shape", &["x"], &["shape"], vec![]),
        node("Expand", &["bounded", "shape"], &["wide"], vec![]),
        node("Div", &["x", "wide"], &["y"], vec![]),
    ];
    let got = of(&["3"], nodes, vec![floats("least", &[], &[1e-12])], &[3.0, 0.0, -4.0, 1.0, 2.0, 2.0]);
    close(&got, &[0.6, 0.0, -0.8, 1.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0]);
}

#[test]
fn several_results_meet() {
    let x = [-1.0, 0.5, 2.0, 3.0];
    // SiLU at the end, and a softmax that is less than another value
    let silu = vec![node("Sigmoid", &["x"], &["p"], vec![]), node("Mul", &["x", "p"], &["y"], vec![])];
    close(&of(&["4"], silu, vec![], &x), &x.map(|v| v * sigmoid(v)));
    // two values that are computed privately
    let nodes = vec![
        node("Relu", &["x"], &["a"], vec![]),
        node("Mul", &["x", "w"], &["b"], vec![]),
        node("Sigmoid", &["a"], &["p"], vec![]),
        node("Tanh", &["b"], &["t"], vec![]),
        node("Sub", &["p", "t"], &["d"], vec![]),
        node("Concat", &["d", "b", "p"], &["y"], vec![int("axis", -1)]),
    ];
    let weights = [0.5, -1.0, 2.0, 0.25];
    let got = of(&["2", "2"], nodes, vec![floats("w", &[2, 2], &weights)], &x);
    let (p, b): (Vec<f32>, Vec<f32>) =
        (x.iter().map(|v| sigmoid(v.max(0.0))).collect(), x.iter().zip(weights).map(|(v, w)| v * w).collect());
    let d: Vec<f32> = p.iter().zip(&b).map(|(p, b)| p - b.tanh()).collect();
    close(&got, &[d[0], d[1], b[0], b[1], p[0], p[1], d[2], d[3], b[2], b[3], p[2], p[3]]);
}

#[test]
fn groups_along_any_axes() {
    let x: Vec<f32> = (0..12).map(|v| (v * 7 % 12) as f32 / 6.0 - 1.0).collect();
    let p: Vec<f32> = x.iter().map(|&v| sigmoid(v)).collect();
    let at = |i: usize, j: usize, k: usize| p[(i * 3 + j) * 2 + k];
    let summed = |axes: &[i64], keeps: i64| {
        let nodes = vec![node("Sigmoid", &["x"], &["p"], vec![]), node("ReduceSum", &["p", "axes"], &["y"], vec![int("keepdims", keeps)])];
        of(&["2", "3", "2"], nodes, vec![integers("axes", axes)], &x)
    };
    let outer: Vec<f32> = (0..3).map(|j| (0..2).flat_map(|i| (0..2).map(move |k| (i, k))).map(|(i, k)| at(i, j, k)).sum()).collect();
    close(&summed(&[1, 3], 1), &outer);
    close(&summed(&[-1, 1], 0), &outer);
    let middle: Vec<f32> = (0..2).flat_map(|i| (0..2).map(move |k| (i, k))).map(|(i, k)| (0..3).map(|j| at(i, j, k)).sum()).collect();
    close(&summed(&[2], 0), &middle);
    let indices = vec![node("ArgMin", &["x"], &["y"], vec![int("axis", 2), int("keepdims", 0)])];
    let least = |i: usize, k: usize| (0..3).min_by(|&a, &b| at(i, a, k).total_cmp(&at(i, b, k))).unwrap() as f32;
    assert_eq!(of(&["2", "3", "2"], indices, vec![], &x), [least(0, 0), least(0, 1), least(1, 0), least(1, 1)]);
}

#[test]
fn shapes_of_ends_are_known() {
    // the softmax of each input over its length, as some exporters write a mean
    let nodes = vec![
        node("Softmax", &["x"], &["p"], vec![]),
        node("Shape", &["p"], &["shape"], vec![]),
        node("Gather", &["shape", "one"], &["length"], vec![]),
        node("Cast", &["length"], &["n"], vec![int("to", 1)]),
        node("Div", &["p", "n"], &["y"], vec![]),
    ];
    let one = TensorProto { data_type: 7, int64_data: vec![1], name: "one".into(), ..Default::default() };
    close(&of(&["2"], nodes, vec![one], &[0.0, 0.0, 1.0, 1.0]), &[0.25; 4]);
    close(&of(&["3"], vec![node("Sign", &["x"], &["y"], vec![])], vec![], &[-2.0, 3.0, -0.5]), &[-1.0, 1.0, -1.0]);
}

#[test]
fn reductions_that_products_and_signs_compute_are_private() {
    let x = [1.0, -2.0, 3.0, 0.5, -0.5, 4.0];
    for (operator, wanted) in
        [("ReduceSumSquare", [14.0, 16.5]), ("ReduceL1", [6.0, 5.0]), ("ReduceMin", [-2.0, -0.5]), ("ReduceProd", [-6.0, -1.0])]
    {
        for keeps in [0, 1] {
            let nodes = vec![node(operator, &["x"], &["y"], vec![ints("axes", &[1]), int("keepdims", keeps)])];
            let graph = import(&model(vec![info("x", 1, &["N", "3"])], nodes, vec![])).unwrap();
            assert!(graph.outputs[0].finish.is_empty());
            close(&answered(&graph, &x), &wanted);
            assert_eq!(graph.output_shape(2).unwrap().rank(), 1 + keeps as usize);
        }
    }
    // a product's bias may be computed as well
    let nodes = vec![
        node("ReduceSumSquare", &["x"], &["s"], vec![ints("axes", &[1])]),
        node("Gemm", &["x", "w", "s"], &["y"], vec![AttributeProto { name: "beta".into(), f: 0.5, ..Default::default() }]),
    ];
    close(&of(&["3"], nodes, vec![floats("w", &[3, 1], &[1.0, 1.0, 2.0])], &x), &[5.0 + 7.0, 8.0 + 8.25]);
}

#[test]
fn weights_after_an_end_are_refused_with_its_first_function() {
    // a gate in the middle, as squeeze-and-excitation has it
    let nodes = vec![
        node("GlobalAveragePool", &["x"], &["mean"], vec![]),
        node("Sigmoid", &["mean"], &["gate"], vec![]),
        node("Mul", &["x", "gate"], &["gated"], vec![]),
        node("Conv", &["gated", "w"], &["y"], vec![]),
    ];
    let error =
        import(&model(vec![info("x", 1, &["N", "2", "4", "4"])], nodes, vec![floats("w", &[1, 2, 1, 1], &[1.0, 2.0])])).unwrap_err();
    assert!(error.contains("'gated' comes from Sigmoid") && error.contains("only at the end"), "{error}");
    // nor does the batch become an axis of groups
    let nodes = vec![node("Sigmoid", &["x"], &["p"], vec![]), node("ReduceSum", &["p", "axes"], &["y"], vec![])];
    let error = import(&model(vec![info("x", 1, &["N", "2"])], nodes, vec![integers("axes", &[0])])).unwrap_err();
    assert!(error.contains("axis of the batch"), "{error}");
}

#[test]
fn branches_of_the_same_names_do_not_mix() {
    let branch = |operator: &str| {
        let nodes = vec![node(operator, &["x"], &["inner"], vec![]), node("Neg", &["x"], &["out"], vec![])];
        GraphProto { node: nodes, name: "branch".into(), output: vec![info("out", 1, &[])], ..Default::default() }
    };
    let attribute =
        |name: &str, operator: &str| AttributeProto { name: name.into(), g: Some(Box::new(branch(operator))), ..Default::default() };
    let choice = |output: &str, operator: &str| {
        node("If", &["yes"], &[output], vec![attribute("then_branch", operator), attribute("else_branch", operator)])
    };
    let yes = TensorProto { data_type: 9, int32_data: vec![1], name: "yes".into(), ..Default::default() };
    // `inner` is an end in the first branch and a plain value afterwards
    let nodes = vec![
        choice("a", "Sigmoid"),
        node("Add", &["x", "x"], &["inner"], vec![]),
        node("MatMul", &["inner", "w"], &["b"], vec![]),
        node("Add", &["a", "b"], &["y"], vec![]),
    ];
    close(&of(&["2"], nodes, vec![yes, floats("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0])], &[1.0, 2.0]), &[1.0, 2.0]);
}
