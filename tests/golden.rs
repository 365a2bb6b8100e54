//! Scores of whole networks with seeded keys, bit for bit as they have always been, and their rounds and bytes.
#![allow(missing_docs, reason = "tests")]

use trishade::{
    device::Device,
    fixed::Fixed,
    nn::{Reveal, Session, zoo},
};

/// FNV-1a of the bits of the scores.
fn digest(scores: &[f32]) -> u64 {
    scores
        .iter()
        .flat_map(|v| v.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// Name, inputs, digest of the scores, rounds, bytes of each party.
const GOLDEN: [(&str, usize, u64, u32, [u64; 3]); 4] = [
    ("lenet-max", 3, 0xb7bda25f24a6a019, 34, [3056904, 966808, 967288]),
    ("resnet20-cifar10", 1, 0x83f136b26160be6e, 100, [12941152, 4017936, 4019200]),
    ("squeezenet", 1, 0x8c6f389b9428d351, 140, [296285408, 83317560, 83319496]),
    ("alexnet-cifar10-max", 2, 0x8021e901e9f725f3, 62, [2081064, 628424, 629288]),
];

#[test]
fn scores_are_bit_equal() {
    for (name, count, wanted, rounds, bytes) in GOLDEN {
        let graph = zoo::network(name).unwrap();
        let device = Device::cpu(2).unwrap();
        let session = Session::seeded([device.clone(), device.clone(), device], Fixed::default(), 7);
        let size: usize = graph.input_size();
        let values: Vec<f32> = (0..count * size).map(|i| (i * 37 % 256) as f32 / 255.0).collect();
        let model = session.load(&graph).unwrap();
        let answer = pollster::block_on(session.infer(&model, &values, count, Reveal::Logits, |_| {})).unwrap();
        let found = digest(&answer.logits.concat());
        assert_eq!((found, answer.cost.rounds, answer.cost.bytes_sent), (wanted, rounds, bytes), "{name}: 0x{found:016x}");
    }
}
