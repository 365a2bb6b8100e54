//! Models that move their batch among the axes, put it together with another, or have it written into their shapes.

use crate::common::*;
use trishade::nn::onnx::schema::{NodeProto, TensorProto};

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % 13) as f32 / 4.0 - 1.5).collect()
}

/// Rows of `x` times a matrix (k, n).
fn rows(x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let n = w.len() / k;
    x.chunks(k)
        .flat_map(|row| (0..n).map(|j| row.iter().enumerate().map(|(d, v)| v * w[d * n + j]).sum::<f32>()).collect::<Vec<f32>>())
        .collect()
}

fn refused(dims: &[i64], nodes: Vec<NodeProto>, constants: Vec<TensorProto>, words: &[&str]) {
    let error = import(&model(&[("x", dims)], &["y"], nodes, constants)).unwrap_err();
    words.iter().for_each(|word| assert!(error.contains(word), "'{error}' does not say '{word}'"));
}

#[test]
fn a_batch_written_into_shapes_is_any() {
    let w = numbers(15);
    let read = |dims: &[i64], to: &[i64]| {
        let nodes = vec![node("Reshape", &["x", "to"], "f", vec![]), node("MatMul", &["f", "w"], "y", vec![])];
        import(&model(&[("x", dims)], &["y"], nodes, vec![integers("to", to), floats("w", &[5, 3], &w)]))
    };
    for (dims, to) in [([8, 5, 1], [8, -1]), ([8, 5, 1], [-1, 5]), ([1, 5, 1], [1, 5]), ([-1, 5, 1], [1, -1]), ([-1, 5, 1], [0, 5])] {
        let graph = read(&dims, &to).unwrap();
        for batch in [1, 3, 8] {
            let x = numbers(5 * batch);
            close(&outcome(&graph, &x)[0], &rows(&x, &w, 5), 1e-5);
        }
    }
    // the rows of (4, 10) are of two inputs each
    let reshape = || vec![node("Reshape", &["x", "to"], "y", vec![])];
    refused(&[8, 5, 1], reshape(), vec![integers("to", &[4, 10])], &["the Reshape", "between the inputs of a batch"]);
    refused(&[-1, 4], reshape(), vec![integers("to", &[2, -1])], &["the Reshape"]);
    refused(&[-1, 4], reshape(), vec![integers("to", &[3, 5])], &["cannot reshape", "read with a batch of 7"]);
    let other = model(&[("x", &[8, 3]), ("z", &[2, 3])], &["y"], vec![node("Add", &["x", "z"], "y", vec![])], vec![]);
    assert!(import(&other).unwrap_err().contains("inputs in batches of [8, 2]"));
}

/// A dense layer of every element of a sequence, as two frameworks write it.
#[test]
fn the_batch_together_with_another_axis() {
    let (w, x) = (numbers(15), numbers(2 * 4 * 5));
    for dims in [[2, 4, 5], [-1, 4, 5]] {
        let nodes = vec![
            node("Reshape", &["x", "flat"], "f", vec![]),
            node("Gemm", &["f", "w"], "g", vec![]),
            node("BatchNormalization", &["g", "s", "b", "b", "s"], "n", vec![]),
            node("Reshape", &["n", "back"], "y", vec![]),
        ];
        let constants = vec![
            integers("flat", &[-1, 5]),
            floats("w", &[5, 3], &w),
            floats("s", &[3], &[1.0, 4.0, 0.25]),
            floats("b", &[3], &[0.5, 1.0, 2.0]),
            integers("back", &[-1, 4, 3]),
        ];
        let graph = import(&model(&[("x", &dims)], &["y"], nodes, constants)).unwrap();
        let normal = rows(&x, &w, 5).into_iter().enumerate().map(|(e, v)| {
            let (scale, shift) = ([1.0f32, 4.0, 0.25][e % 3], [0.5, 1.0, 2.0][e % 3]);
            (v - shift) * scale / (scale + 1e-5).sqrt() + shift
        });
        close(&outcome(&graph, &x)[0], &normal.collect::<Vec<f32>>(), 1e-4);
    }
    // rows of a batch would be multiplied with each other
    refused(
        &[-1, 5],
        vec![node("Flatten", &["x"], "y", vec![int("axis", 0)]), node("MatMul", &["y", "w"], "z", vec![])],
        vec![floats("w", &[5, 1], &[1.0; 5])],
        &["the MatMul", "axis of the batch"],
    );
}

/// (N, T, C) as (T, N, C), with heads beside the batch, and back: self-attention without its softmax.
#[test]
fn the_batch_moves_and_comes_back() {
    let (w, x, perm) = (numbers(16), numbers(2 * 3 * 4), |order: &[i64]| vec![ints("perm", order)]);
    for dims in [[2, 3, 4], [-1, 3, 4]] {
        let nodes = vec![
            node("Transpose", &["x"], "t", perm(&[1, 0, 2])),
            node("MatMul", &["t", "w"], "p", vec![]),
            node("Relu", &["p"], "r", vec![]),
            node("Transpose", &["r"], "y", perm(&[1, 0, 2])),
        ];
        let graph = import(&model(&[("x", &dims)], &["y"], nodes, vec![floats("w", &[4, 4], &w)])).unwrap();
        close(&private(&graph, &x)[0], &rows(&x, &w, 4).iter().map(|v| v.max(0.0)).collect::<Vec<f32>>(), 1e-3);
        assert_eq!(graph.nodes.len(), 2, "the transposes move nothing");
    }
    let nodes = vec![
        node("Transpose", &["x"], "t", perm(&[1, 0, 2])),
        node("Reshape", &["t", "heads"], "h", vec![]),
        node("Transpose", &["h"], "q", perm(&[1, 0, 2])),
        node("Transpose", &["q"], "k", perm(&[0, 2, 1])),
        node("MatMul", &["q", "k"], "scores", vec![]),
        node("MatMul", &["scores", "q"], "v", vec![]),
        node("Transpose", &["v"], "o", perm(&[1, 0, 2])),
        node("Reshape", &["o", "whole"], "j", vec![]),
        node("Transpose", &["j"], "y", perm(&[1, 0, 2])),
    ];
    let constants = vec![integers("heads", &[3, 4, 2]), integers("whole", &[3, 2, 4])];
    let graph = import(&model(&[("x", &[2, 3, 4])], &["y"], nodes, constants)).unwrap();
    let at = |n: usize, t: usize, c: usize| x[(n * 3 + t) * 4 + c];
    let mut wanted = Vec::new();
    for (n, t, c) in (0..2).flat_map(|n| (0..3).flat_map(move |t| (0..4).map(move |c| (n, t, c)))) {
        let head = c / 2 * 2;
        let score = |s: usize| (head..head + 2).map(|d| at(n, t, d) * at(n, s, d)).sum::<f32>();
        wanted.push((0..3).map(|s| score(s) * at(n, s, c)).sum());
    }
    close(&private(&graph, &x)[0], &wanted, 1e-3);
    // results of a batch lie one after another
    refused(&[-1, 3], vec![node("Transpose", &["x"], "y", vec![])], vec![], &["output 'y'", "axis 1", "between the inputs of a batch"]);
    let moved = vec![node("Unsqueeze", &["x", "zero"], "u", vec![]), node("Transpose", &["u"], "y", perm(&[0, 2, 1]))];
    refused(&[-1, 3], moved, vec![integers("zero", &[0])], &["output 'y'", "axis 2"]);
    let conv = vec![node("Transpose", &["x"], "t", perm(&[1, 0, 2, 3])), node("GlobalMaxPool", &["t"], "y", vec![])];
    refused(&[-1, 3, 2, 2], conv, vec![], &["the GlobalMaxPool", "'t'", "in front", "axis 1"]);
}

/// What any input alone may do: a model for one has no batch to keep apart.
#[test]
fn a_batch_of_one_is_an_axis_like_others() {
    let x = numbers(2 * 6);
    let read = |nodes: Vec<NodeProto>, constants| import(&model(&[("x", &[1, 2, 3])], &["y"], nodes, constants)).unwrap();
    let graph = read(vec![node("Squeeze", &["x"], "s", vec![]), node("Concat", &["s", "s"], "y", vec![int("axis", 0)])], vec![]);
    close(&outcome(&graph, &x)[0], &[&x[..6], &x[..6], &x[6..], &x[6..]].concat(), 0.0);
    let graph = read(vec![node("Concat", &["x", "x"], "y", vec![int("axis", 0)])], vec![]);
    close(&outcome(&graph, &x)[0], &[&x[..6], &x[..6], &x[6..], &x[6..]].concat(), 0.0);
    let graph = read(vec![node("ReduceMean", &["x"], "y", vec![int("keepdims", 0)])], vec![]);
    close(&outcome(&graph, &x)[0], &[&x[..6], &x[6..]].map(|x| x.iter().sum::<f32>() / 6.0), 1e-5);
    let graph = read(vec![node("Tile", &["x", "r"], "y", vec![])], vec![integers("r", &[2, 1, 1])]);
    close(&outcome(&graph, &x)[0], &[&x[..6], &x[..6], &x[6..], &x[6..]].concat(), 0.0);
    let graph = read(vec![node("Transpose", &["x"], "y", vec![ints("perm", &[2, 0, 1])])], vec![]);
    let turned = |x: &[f32]| (0..6).map(|e| x[e % 2 * 3 + e / 2]).collect::<Vec<f32>>();
    close(&outcome(&graph, &x)[0], &[turned(&x[..6]), turned(&x[6..])].concat(), 0.0);
    // the first axis of a second input need not be a batch
    let nodes = vec![node("MatMul", &["x", "z"], "y", vec![])];
    let graph = import(&model(&[("x", &[1, 2]), ("z", &[2, 2])], &["y"], nodes, vec![])).unwrap();
    close(&private(&graph, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[0], &[13.0, 16.0], 1e-3);
}
