//! `trishade devices`: the processor and the adapters that can compute here.

use crate::{args::Devices, failure::Failure, hardware, terminal};
use serde_json::Value;

pub fn run(options: &Devices) -> Result<(), Failure> {
    let list = hardware::list();
    if options.json {
        terminal::print_json(&Value::Array(list));
        return Ok(());
    }
    for device in &list {
        terminal::print(&describe(device));
    }
    Ok(())
}

fn describe(device: &Value) -> String {
    let text = |key: &str| device[key].as_str().unwrap_or_default().to_owned();
    let size = |key: &str| terminal::bytes(device[key].as_u64().unwrap_or(0));
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
