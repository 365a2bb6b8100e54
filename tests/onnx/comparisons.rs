//! Comparisons of what is computed: values chosen by them, and numbers made of them.

use crate::common::*;
use trishade::nn::{
    onnx,
    onnx::schema::{NodeProto, TensorProto},
    reference::run_f32,
};

/// Eighths, so that equal numbers are equal in fixed point.
fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % 13) as f32 / 8.0 - 0.75).collect()
}

/// An operator and its definition.
type Compared = (&'static str, fn(&f32, &f32) -> bool);

const ALL: [Compared; 4] = [("Greater", f32::gt), ("Less", f32::lt), ("GreaterOrEqual", f32::ge), ("LessOrEqual", f32::le)];

fn found(nodes: Vec<NodeProto>, constants: Vec<TensorProto>, x: &[f32]) -> Vec<f32> {
    let graph = import(&model(&[("x", &[-1, 2, 3])], &["y"], nodes, constants)).unwrap();
    let again = onnx::import(&onnx::export(&graph, "comparison").unwrap()).unwrap();
    assert_eq!(run_f32(&graph, x, 2).unwrap().values, run_f32(&again, x, 2).unwrap().values);
    let [fixed, shared] = [outcome(&graph, x).swap_remove(0), private(&graph, x).swap_remove(0)];
    close(&shared, &fixed, 1e-3);
    fixed
}

#[test]
fn where_chooses_by_a_comparison() {
    let (x, c) = (numbers(12), [0.25, -0.125, 0.0]);
    assert!(x.iter().enumerate().any(|(e, v)| *v == c[e % 3]), "equal numbers are compared");
    for (op, f) in ALL {
        for turned in [false, true] {
            let compared = |e: usize| if turned { f(&c[e % 3], &x[e]) } else { f(&x[e], &c[e % 3]) };
            let inputs = if turned { ["c", "x"] } else { ["x", "c"] };
            type Choice = ([&'static str; 2], fn(f32, f32) -> [f32; 2]);
            let choices: [Choice; 4] = [
                (["x", "h"], |x, _| [x, 0.25 * x]),
                (["c", "x"], |x, c| [c, x]),
                (["x", "c"], |x, c| [x, c]),
                (["c", "k"], |_, c| [c, 5.0]),
            ];
            for (names, values) in choices {
                let nodes = vec![
                    node("Mul", &["x", "quarter"], "h", vec![]),
                    node(op, &inputs, "m", vec![]),
                    node("Where", &["m", names[0], names[1]], "y", vec![]),
                ];
                let constants = vec![floats("quarter", &[], &[0.25]), floats("c", &[3], &c), floats("k", &[], &[5.0])];
                let wanted = x.iter().enumerate().map(|(e, &v)| values(v, c[e % 3])[usize::from(!compared(e))]);
                close(&found(nodes, constants, &x), &wanted.collect::<Vec<f32>>(), 1e-4);
            }
        }
    }
}

/// What exporters write for a thresholded ReLU, and the other way round.
#[test]
fn a_comparison_as_numbers() {
    let x = numbers(12);
    let constant = || vec![floats("t", &[], &[0.25])];
    for (not, kept) in [(false, true), (true, false)] {
        let mut nodes = vec![node("Greater", &["x", "t"], "m", vec![])];
        nodes.extend(not.then(|| node("Not", &["m"], "n", vec![])));
        nodes.push(node("Cast", &[if not { "n" } else { "m" }], "z", vec![int("to", 1)]));
        nodes.push(node("Mul", &["z", "x"], "y", vec![]));
        let wanted: Vec<f32> = x.iter().map(|&v| if (v > 0.25) == kept { v } else { 0.0 }).collect();
        close(&found(nodes, constant(), &x), &wanted, 1e-4);
    }
    // of two computed values
    let nodes = vec![
        node("Relu", &["x"], "r", vec![]),
        node("LessOrEqual", &["r", "x"], "m", vec![]),
        node("Cast", &["m"], "y", vec![int("to", 1)]),
    ];
    close(&found(nodes, vec![], &x), &x.iter().map(|&v| if v >= 0.0 { 1.0 } else { 0.0 }).collect::<Vec<f32>>(), 1e-4);
    for (reader, word) in [("Relu", "Where, Not and Cast"), ("And", "this operator is not supported")] {
        let nodes = vec![node("Greater", &["x", "t"], "m", vec![]), node(reader, &["m"], "y", vec![])];
        let error = import(&model(&[("x", &[-1, 2, 3])], &["y"], nodes, constant())).unwrap_err();
        assert!(error.contains(&format!("the {reader}")) && error.contains(word), "{error}");
    }
}
