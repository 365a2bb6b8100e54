//! Every kernel on a GPU, with both preludes, against its native twin: bit for bit.
//!
//! The adapter is the one that `TRISHADE_GPU` names, else Mesa's software Vulkan. Without one the tests pass and say so,
//! unless `TRISHADE_REQUIRE_GPU` is 1.
#![allow(missing_docs, reason = "tests")]
#![cfg(feature = "gpu")]

mod common;

use trishade::{
    device::{Device, gpu::Prelude},
    kernels::selftest::selftest,
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
