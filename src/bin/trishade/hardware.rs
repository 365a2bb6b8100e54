//! Facts of the processor and the adapters of this machine, as JSON.

use serde_json::{Value, json};
use trishade::device::Level;

/// Facts of everything that can compute.
pub fn list() -> Vec<Value> {
    let vectors = Level::best();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut list = vec![json!({"name": "cpu", "threads": threads, "vectors": format!("{vectors:?}"), "ring": "native 64-bit words"})];
    list.extend(adapters());
    list
}

#[cfg(feature = "gpu")]
fn adapters() -> Vec<Value> {
    let fact = |a: trishade::device::gpu::AdapterFacts| {
        json!({
            "name": a.name, "index": a.index, "backend": a.backend, "driver": a.driver, "kind": a.kind, "software": a.software,
            "max_binding": a.max_binding, "max_buffer": a.max_buffer, "workgroup_memory": a.workgroup_memory,
            "invocations": a.invocations, "shader_int64": a.shader_int64,
            "ring": if a.shader_int64 { "native 64-bit words" } else { "two 32-bit halves" },
            "unusable": a.unusable(), "products": crate::tuning::known(&a),
        })
    };
    pollster::block_on(trishade::device::gpu::adapters()).into_iter().map(fact).collect()
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Vec<Value> {
    Vec::new()
}
