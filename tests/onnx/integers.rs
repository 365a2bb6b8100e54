//! Inputs and weights that are integers: casts, what keeps them, and what would wrap.

use crate::models::{floats, import, info, int, integers, model, node, run};
use trishade::nn::{graph::InputKind, onnx::schema::*};

const FLOAT: i64 = 1;
const ALL: [(i32, &str); 8] =
    [(2, "uint8"), (3, "int8"), (4, "uint16"), (5, "int16"), (6, "int32"), (7, "int64"), (12, "uint32"), (9, "bool")];

fn cast(from: &str, to: &str, element_type: i64) -> NodeProto {
    NodeProto { name: format!("cast to {element_type}"), ..node("Cast", &[from], &[to], vec![int("to", element_type)]) }
}

#[test]
fn inputs_of_every_integer_type_become_floats() {
    for (element_type, name) in ALL {
        let nodes = vec![
            node("Transpose", &["x"], &["t"], vec![crate::models::ints("perm", &[0, 2, 1])]),
            cast("t", "f", FLOAT),
            node("Div", &["f", "c"], &["y"], vec![]),
        ];
        let made = model(vec![info("x", element_type, &["N", "2", "2"])], nodes, vec![floats("c", &[1], &[2.0])]);
        assert_eq!(import(&made).unwrap().inputs[0].kind, InputKind::Integers);
        assert_eq!(run(&made, &[1.0, 0.0, 5.0, 127.0]), [0.5, 2.5, 0.0, 63.5], "{name}");
    }
}

#[test]
fn casts_between_integers_keep_all_of_them_or_are_refused() {
    let fits = |to: i32, from: i32| {
        let nodes = vec![cast("x", "i", to.into()), cast("i", "y", FLOAT)];
        import(&model(vec![info("x", from, &["N", "2"])], nodes, vec![]))
    };
    let bits = |element_type: i32| match element_type {
        9 => (1, false),
        2 => (8, false),
        3 => (8, true),
        4 => (16, false),
        5 => (16, true),
        12 => (32, false),
        6 => (32, true),
        _ => (64, true),
    };
    for (to, _) in ALL {
        for (from, name) in ALL {
            let ((wide, signed), (narrow, was_signed)) = (bits(to), bits(from));
            let holds = to == from || (wide > narrow && (signed || !was_signed));
            match fits(to, from) {
                Ok(_) => assert!(holds, "{name} to {to}"),
                Err(error) => assert!(!holds && error.contains("hold them all"), "{name} to {to}: {error}"),
            }
        }
    }
}

#[test]
fn arithmetic_that_cuts_or_wraps_is_refused() {
    let on = |element_type: i32, operator: &str| {
        let nodes = vec![node("Identity", &["x"], &["h"], vec![]), node(operator, &["h", "h"], &["y"], vec![])];
        import(&model(vec![info("x", element_type, &["N", "2"])], nodes, vec![]))
    };
    for operator in ["Add", "Sub", "Mul"] {
        assert!(on(2, operator).unwrap_err().contains("wrap"));
        assert!(on(6, operator).is_ok() && on(7, operator).is_ok());
    }
    assert!(on(7, "Div").unwrap_err().contains("quotients are cut"));
    // by a constant as well
    let halved = model(vec![info("x", 6, &["N", "2"])], vec![node("Div", &["x", "c"], &["y"], vec![])], vec![integers("c", &[2])]);
    assert!(import(&halved).unwrap_err().contains("cast them to floats"));
}

fn bytes(name: &str, data_type: i32, dims: &[i64], data: &[i32]) -> TensorProto {
    TensorProto { dims: dims.to_vec(), data_type, int32_data: data.to_vec(), name: name.into(), ..Default::default() }
}

#[test]
fn weights_behind_dequantize_linear() {
    let dequantized = |weights: TensorProto, scale: TensorProto, zero: Option<TensorProto>, axis: Option<i64>| {
        let inputs = if zero.is_some() { vec!["w", "s", "z"] } else { vec!["w", "s"] };
        let nodes = vec![
            node("DequantizeLinear", &inputs, &["d"], axis.map(|axis| int("axis", axis)).into_iter().collect()),
            node("MatMul", &["x", "d"], &["y"], vec![]),
        ];
        model(vec![info("x", 1, &["N", "2"])], nodes, [Some(weights), Some(scale), zero].into_iter().flatten().collect())
    };
    let x = [1.0, 10.0];
    let one = |zero| dequantized(bytes("w", 3, &[2, 2], &[-128, 127, 2, -3]), floats("s", &[], &[0.5]), zero, None);
    assert_eq!(run(&one(None), &x), [-64.0 + 10.0, 63.5 - 15.0]);
    assert_eq!(run(&one(Some(bytes("z", 3, &[], &[-3]))), &x), [-62.5 + 25.0, 65.0]);
    let unsigned =
        dequantized(bytes("w", 2, &[2, 2], &[255, 128, 0, 129]), floats("s", &[1], &[0.5]), Some(bytes("z", 2, &[1], &[128])), None);
    assert_eq!(run(&unsigned, &x), [63.5 - 640.0, 5.0]);
    // a scale and a zero for each row or column, the axis from the front, from the end, or left out
    let weights = || bytes("w", 3, &[2, 2], &[1, 2, 3, 4]);
    let each = |axis| dequantized(weights(), floats("s", &[2], &[1.0, 0.5]), Some(bytes("z", 3, &[2], &[0, 2])), axis);
    assert_eq!(run(&each(Some(0)), &x), [1.0 + 5.0, 2.0 + 10.0]);
    for axis in [None, Some(1), Some(-1)] {
        assert_eq!(run(&each(axis), &x), [1.0 + 30.0, 0.0 + 10.0]);
    }
    // blocks, lists that do not fit, and zeros that are floats
    let mut blocked = each(Some(0));
    blocked.graph.as_mut().unwrap().node[0].attribute.push(int("block_size", 2));
    assert!(import(&blocked).unwrap_err().contains("block_size = 2"));
    let three = floats("s", &[3], &[1.0; 3]);
    assert!(import(&dequantized(weights(), three, None, Some(1))).unwrap_err().contains("DequantizeLinear"));
    assert!(import(&dequantized(weights(), floats("s", &[2, 1], &[1.0; 2]), None, None)).unwrap_err().contains("scale of shape [2, 1]"));
    assert!(
        import(&dequantized(weights(), floats("s", &[2], &[1.0; 2]), Some(floats("z", &[2], &[0.0; 2])), None))
            .unwrap_err()
            .contains("zero point")
    );
    assert!(import(&dequantized(weights(), floats("s", &[2], &[1.0; 2]), None, Some(2))).is_err());
}

#[test]
fn quantized_activations_are_refused_with_the_remedy() {
    for operator in ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "MatMulInteger"] {
        let error = import(&model(
            vec![info("x", 1, &["N", "2"])],
            vec![node(operator, &["x", "s"], &["y"], vec![])],
            vec![floats("s", &[], &[0.5])],
        ));
        let error = error.unwrap_err();
        assert!(error.contains(operator) && error.contains("export the model in floats"), "{error}");
    }
}
