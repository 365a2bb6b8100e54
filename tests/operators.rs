//! The ONNX project's operator cases as private inference: each passes or is refused with a reason.
#![allow(missing_docs, reason = "tests")]

#[path = "common/cases.rs"]
mod cases;

use cases::{Verdict, run_all, totals};

#[test]
fn none_of_the_operator_cases_fails() {
    let folder = std::env::var_os("TRISHADE_ONNX_CASES").map_or("/usr/share/libonnx-testdata/data/node".into(), std::path::PathBuf::from);
    if !folder.is_dir() {
        eprintln!("skipped: no operator cases in {} (Debian: libonnx-testdata)", folder.display());
        return;
    }
    let all = run_all(&folder).unwrap();
    let failed: Vec<_> = all.iter().filter(|case| matches!(case.verdict, Verdict::Failed(_))).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let passed: usize = totals(&all).values().map(|counts| counts[0]).sum();
    assert!(passed >= 200, "{passed} cases passed");
}
