//! The library with default features, as users build it: `cargo test -p unseeded`. The package's own tests cannot show this, for
//! they all have the feature `seeded`.
#![cfg(test)]

/// Names of what only seeded builds have. If the library had one too, its use below would be ambiguous and would not compile.
mod absent {
    pub fn share_seeded() -> &'static str {
        "absent"
    }

    pub fn promise_seeded() -> &'static str {
        "absent"
    }

    pub mod fuzz {
        pub const ABSENT: bool = true;
    }
}

mod seeded {
    #[allow(unused_imports, reason = "for names that are not there")]
    use crate::absent::*;
    #[allow(unused_imports, reason = "for names that are not there")]
    use trishade::{net::*, protocol::*};

    #[test]
    fn nothing_makes_keys_of_numbers() {
        assert_eq!([share_seeded(), promise_seeded()], ["absent"; 2]);
        const { assert!(fuzz::ABSENT) };
    }
}

use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Reveal, Session, onnx},
};

const MODEL: &[u8] = include_bytes!("../../examples/models/lenet_mnist.onnx");
const IMAGES: &[u8] = include_bytes!("../../examples/data/mnist100.npy");
const LABELS: &[u8] = include_bytes!("../../examples/data/mnist100_labels.npy");
const LOGITS: &[u8] = include_bytes!("../../examples/data/mnist100_logits.npy");

/// The elements of a `.npy` file of version 1.
fn elements<const N: usize>(npy: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    let header = 10 + usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    npy[header..].as_chunks().0.iter().copied()
}

/// Twice the same image, under keys of the operating system: right both times, and shared and computed differently. One, so that
/// it needs no optimised build.
#[test]
fn lenet_is_right_under_fresh_keys() {
    let graph = onnx::import(MODEL).unwrap();
    let image: Vec<f32> = elements(IMAGES).map(u8::from_le_bytes).map(|pixel| f32::from(pixel) / 255.0).take(28 * 28).collect();
    let logits: Vec<f32> = elements(LOGITS).map(f32::from_le_bytes).take(10).collect();
    let labels: Vec<usize> = elements(LABELS).map(|[label]| usize::from(label)).take(1).collect();
    let scores = [(); 2].map(|()| {
        let device = || Device::cpu(0).unwrap();
        let session = Session::new([device(), device(), device()], Fixed::default()).unwrap();
        let model = session.load(&graph).unwrap();
        let answer = pollster::block_on(session.infer(&model, &image, 1, Reveal::Logits, |_| {})).unwrap();
        assert_eq!(answer.predictions, labels);
        answer.logits.concat()
    });
    for scores in &scores {
        assert!(scores.iter().zip(&logits).all(|(private, plain)| (private - plain).abs() < 1e-3));
    }
    assert_ne!(scores[0], scores[1], "truncations round by coins of the sharing: equal keys would give equal scores");
}
