//! Functions local to a model: their calls mean what their bodies do.

use crate::models::{floats, import, info, model, node, run};
use trishade::nn::onnx::schema::*;

const DOMAIN: &str = "local";

fn function(name: &str, input: &[&str], output: &[&str], node: Vec<NodeProto>) -> FunctionProto {
    let [input, output] = [input, output].map(|names| names.iter().map(ToString::to_string).collect());
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 17 }];
    FunctionProto { name: name.into(), domain: DOMAIN.into(), input, output, node, opset_import, ..Default::default() }
}

fn call(name: &str, input: &[&str], output: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto { domain: DOMAIN.into(), ..node(name, input, output, attribute) }
}

fn of(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> ModelProto {
    let opset = OperatorSetIdProto { domain: DOMAIN.into(), version: 1 };
    let mut model = model(vec![info("x", 1, &["N", "2"])], nodes, vec![floats("w", &[2], &[10.0, 100.0])]);
    model.functions = functions;
    model.opset_import.push(opset);
    model
}

fn referring(name: &str, to: &str) -> AttributeProto {
    AttributeProto { name: name.into(), ref_attr_name: to.into(), r#type: 1, ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: 1, ..Default::default() }
}

#[test]
fn calls_become_the_nodes_of_bodies() {
    // twice, with names that are the caller's too, one within another
    let scaled =
        function("scaled", &["x", "w"], &["y"], vec![node("Mul", &["x", "w"], &["h"], vec![]), node("Neg", &["h"], &["y"], vec![])]);
    let twice =
        function("twice", &["a"], &["y"], vec![call("scaled", &["a", "a"], &["h"], vec![]), node("Add", &["h", "h"], &["y"], vec![])]);
    let nodes = vec![
        call("scaled", &["x", "w"], &["h"], vec![]),
        call("scaled", &["h", "w"], &["g"], vec![]),
        call("twice", &["x"], &["t"], vec![]),
        node("Add", &["g", "t"], &["y"], vec![]),
    ];
    // 10 * 10 x - 2 x^2
    assert_eq!(run(&of(nodes, vec![scaled, twice]), &[1.0, 2.0]), [98.0, 20000.0 - 8.0]);
}

#[test]
fn attributes_are_those_of_the_call_or_their_defaults() {
    let mut leaky = function("leaky", &["x"], &["y"], vec![node("LeakyRelu", &["x"], &["y"], vec![referring("alpha", "slope")])]);
    leaky.attribute = vec!["slope".into()];
    let with = |function: &FunctionProto, attributes| {
        run(&of(vec![call("leaky", &["x"], &["y"], attributes)], vec![function.clone()]), &[-1.0, 2.0])
    };
    assert_eq!(with(&leaky, vec![float("slope", 0.5)]), [-0.5, 2.0]);
    // without one it is the operator's own
    assert_eq!(with(&leaky, vec![]), [-0.01, 2.0]);
    (leaky.attribute, leaky.attribute_proto) = (vec![], vec![float("slope", 0.25)]);
    assert_eq!(with(&leaky, vec![]), [-0.25, 2.0]);
    let unknown = import(&of(vec![call("leaky", &["x"], &["y"], vec![float("other", 1.0)])], vec![leaky])).unwrap_err();
    assert!(unknown.contains("no attribute 'other'"), "{unknown}");
}

#[test]
fn inputs_and_outputs_may_be_left_out_or_passed_on() {
    let clip = function("bounded", &["x", "low", "high"], &["y", "x"], vec![node("Clip", &["x", "low", "high"], &["y"], vec![])]);
    let mut nodes = vec![call("bounded", &["x", "", "one"], &["c", "same"], vec![]), node("Sub", &["c", "same"], &["y"], vec![])];
    nodes.insert(0, node("Constant", &[], &["one"], vec![float("value_float", 1.0)]));
    assert_eq!(run(&of(nodes, vec![clip.clone()]), &[-3.0, 5.0]), [0.0, -4.0]);
    assert_eq!(run(&of(vec![call("bounded", &["x"], &["y"], vec![])], vec![clip.clone()]), &[-3.0, 5.0]), [-3.0, 5.0]);
    assert!(import(&of(vec![call("bounded", &["x", "", "", "x"], &["y"], vec![])], vec![clip])).unwrap_err().contains("4 inputs"));
}

#[test]
fn branches_of_a_body_read_its_names() {
    let graph = |sign: &str| {
        let nodes = vec![node("Neg", &["a"], &["n"], vec![]), node(sign, &["n"], &["out"], vec![])];
        GraphProto { node: nodes, name: "branch".into(), output: vec![info("out", 1, &[])], ..Default::default() }
    };
    let attribute =
        |name: &str, sign: &str| AttributeProto { name: name.into(), g: Some(Box::new(graph(sign))), r#type: 5, ..Default::default() };
    let body = vec![
        node(
            "Constant",
            &[],
            &["yes"],
            vec![AttributeProto {
                name: "value".into(),
                t: Some(TensorProto { data_type: 9, int32_data: vec![1], ..Default::default() }),
                r#type: 4,
                ..Default::default()
            }],
        ),
        node("If", &["yes"], &["b"], vec![attribute("then_branch", "Relu"), attribute("else_branch", "Neg")]),
    ];
    let function = function("chosen", &["a"], &["b"], body);
    let nodes =
        vec![call("chosen", &["x"], &["p"], vec![]), call("chosen", &["p"], &["q"], vec![]), node("Sub", &["p", "q"], &["y"], vec![])];
    assert_eq!(run(&of(nodes, vec![function]), &[-3.0, 5.0]), [3.0, 0.0]);
}

#[test]
fn what_does_not_end_or_fit_is_refused() {
    let calling = |name: &str, other: &str| function(name, &["x"], &["y"], vec![call(other, &["x"], &["y"], vec![])]);
    let circle = import(&of(vec![call("a", &["x"], &["y"], vec![])], vec![calling("a", "b"), calling("b", "a")])).unwrap_err();
    assert!(circle.contains("the function 'a' calls itself"), "{circle}");
    // forty doublings
    let doubling = |i: usize| {
        let next = format!("f{}", i + 1);
        function(&format!("f{i}"), &["x"], &["y"], vec![call(&next, &["x"], &["h"], vec![]), call(&next, &["h"], &["y"], vec![])])
    };
    let all = (0..40).map(doubling).chain([function("f40", &["x"], &["y"], vec![node("Neg", &["x"], &["y"], vec![])])]);
    assert!(import(&of(vec![call("f0", &["x"], &["y"], vec![])], all.collect())).unwrap_err().contains("calls of functions become more"));
    let all = (0..100).map(|i| calling(&format!("g{i}"), &format!("g{}", i + 1)));
    assert!(import(&of(vec![call("g0", &["x"], &["y"], vec![])], all.collect())).unwrap_err().contains("more than 64 others"));
    let mut newer = calling("a", "b");
    newer.opset_import[0].version = 18;
    assert!(import(&of(vec![call("a", &["x"], &["y"], vec![])], vec![newer])).unwrap_err().contains("operator set 18"));
    assert!(
        import(&of(vec![call("a", &["x"], &["y"], vec![])], vec![calling("a", "b"), calling("a", "b")])).unwrap_err().contains("twice")
    );
    assert!(import(&of(vec![call("a", &["x"], &["y"], vec![])], vec![])).unwrap_err().contains("'local'"));
}
