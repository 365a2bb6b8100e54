//! Every kernel on a GPU, with both preludes, against its native twin: bit for bit. All product paths: `tests/cli.rs` runs the
//! program's selftest.
//!
//! The adapter is the one that `TRISHADE_GPU` names, else Mesa's software Vulkan. Without one the tests pass and say so,
//! unless `TRISHADE_REQUIRE_GPU` is 1.
#![allow(missing_docs, reason = "tests")]
#![cfg(feature = "gpu")]

mod common;

use trishade::{
    device::{Device, gpu::Prelude},
    selftest::selftest,
};

fn all_cases(prelude: Prelude, limit: Option<u64>) {
    let Some(device) = common::gpu(Some(prelude)) else { return };
    if let (Device::Gpu(gpu), Some(bytes)) = (&device, limit) {
        gpu.limit_binding(bytes);
    }
    let report = pollster::block_on(selftest(&device, |_, _| ())).unwrap();
    // what every window needs whole may be too large for the limit
    let (small, failed): (Vec<_>, Vec<_>) =
        report.failed.iter().partition(|(_, why)| limit.is_some() && (why.contains("do not fit") || why.contains("the adapter allows")));
    println!("{device:?} {prelude:?} {limit:?}: {} cases, {} too large", report.cases, small.len());
    let shown: Vec<String> = failed.iter().take(5).map(|(name, why)| format!("{name}: {why}")).collect();
    assert!(failed.is_empty(), "{} of {} cases, first\n{}", failed.len(), report.cases, shown.join("\n"));
    assert!(small.len() * 20 < report.cases);
}

#[test]
fn limbs() {
    all_cases(Prelude::Limbs, None);
}

#[test]
fn native() {
    all_cases(Prelude::Native, None);
}

/// Bindings of 64 KiB: the largest size of each kernel goes in several dispatches.
#[test]
fn in_windows() {
    all_cases(Prelude::Limbs, Some(64 << 10));
    all_cases(Prelude::Native, Some(64 << 10));
}

/// Mesa's software Vulkan would end the loop early and give a wrong product.
#[test]
fn too_deep_a_product_is_an_error_on_software() {
    use trishade::{
        kernels::matmul::{Layout, matmul},
        stream::Stream,
    };
    let Some(device) = common::gpu(None) else { return };
    let Device::Gpu(gpu) = &device else { return };
    let k = 300_000;
    let x = device.upload(&vec![3; k]);
    let layout = Layout { batch: 1, m: 1, k, n: 1, transpose_x: false, transpose_y: true };
    let stream = Stream { key: [1; 8], nonce: [0; 4] };
    let z = matmul(&device, [&x, &x, &x, &x], layout, [stream, stream]);
    match pollster::block_on(device.download(&[&z])) {
        Ok(words) => assert_eq!((gpu.facts().software, &words[0][..]), (false, &[27 * k as u64][..])),
        Err(why) => assert!(gpu.facts().software && why.to_string().contains("turns"), "{why}"),
    }
}
