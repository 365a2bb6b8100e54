//! `trishade devices`: what can compute here.

use super::{Failure, args::Devices, paint};
use serde_json::{Value, json};

pub fn run(options: &Devices) -> Result<(), Failure> {
    let list = list();
    if options.json {
        paint::print(&Value::Array(list).to_string());
        return Ok(());
    }
    for device in &list {
        paint::print(&describe(device));
    }
    Ok(())
}

/// Facts of everything that can compute.
pub fn list() -> Vec<Value> {
    let vectors = crate::device::vector::Level::best();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut list = vec![json!({"name": "cpu", "threads": threads, "vectors": format!("{vectors:?}"), "ring": "native 64-bit words"})];
    list.extend(adapters());
    list
}

#[cfg(feature = "gpu")]
fn adapters() -> Vec<Value> {
    let fact = |a: crate::device::gpu::AdapterFacts| {
        json!({
            "name": a.name, "index": a.index, "backend": a.backend, "driver": a.driver, "kind": a.kind, "software": a.software,
            "max_binding": a.max_binding, "max_buffer": a.max_buffer, "workgroup_memory": a.workgroup_memory,
            "invocations": a.invocations, "shader_int64": a.shader_int64,
            "ring": if a.shader_int64 { "native 64-bit words" } else { "two 32-bit halves" },
            "unusable": a.unusable(), "products": super::tuning::known(&a),
        })
    };
    super::engine::wait(crate::device::gpu::adapters()).into_iter().map(fact).collect()
}

#[cfg(not(feature = "gpu"))]
fn adapters() -> Vec<Value> {
    Vec::new()
}

fn describe(device: &Value) -> String {
    let text = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
    let size = |key: &str| paint::bytes(device[key].as_u64().unwrap_or(0));
    if device["index"].is_null() {
        return format!("cpu\n  threads    {}\n  vectors    {}\n  ring       {}", device["threads"], text("vectors"), text("ring"));
    }
    let used = match (device["unusable"].as_str(), device["software"].as_bool()) {
        (Some(why), _) => format!("\n  unusable   {why}"),
        (None, Some(true)) => "\n  used       only when named".into(),
        _ => String::new(),
    };
    let products = device["products"].as_str().map_or("not measured yet".into(), |tuning| format!("{tuning}, measured"));
    format!(
        "{} (index {})\n  backend    {}, {}\n  driver     {}\n  binding    {}\n  buffer     {}\n  workgroup  {} and {} invocations\n  ring       {}\n  products   {products}{used}",
        text("name"),
        device["index"],
        text("backend"),
        text("kind"),
        text("driver"),
        size("max_binding"),
        size("max_buffer"),
        size("workgroup_memory"),
        device["invocations"],
        text("ring"),
    )
}
