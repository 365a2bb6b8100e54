//! Compute pipelines by kernel name.
#![allow(unsafe_code, reason = "create_shader_module_trusted: bounded loops need no loop counters, which cost up to 100x")]

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// A pipeline and the layout of its one bind group.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Pipelines made so far.
#[derive(Default)]
pub(super) struct Pipelines(Mutex<HashMap<String, Pipeline>>);

impl Pipelines {
    /// The pipeline of this name, compiled with its entry point at first use.
    pub(super) fn get(&self, device: &wgpu::Device, name: &str, entry: &str, text: impl FnOnce() -> String) -> Pipeline {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = made.get(name) {
            return pipeline.clone();
        }
        let pipeline = compile(device, name, entry, text());
        made.insert(name.into(), pipeline.clone());
        pipeline
    }
}

fn compile(device: &wgpu::Device, name: &str, entry: &str, text: String) -> Pipeline {
    let source = wgpu::ShaderModuleDescriptor { label: Some(name), source: wgpu::ShaderSource::Wgsl(text.into()) };
    let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..wgpu::ShaderRuntimeChecks::checked() };
    // SAFETY: every loop in `shaders/` counts up to a bound in the uniform; bounds checks stay on.
    let module = unsafe { device.create_shader_module_trusted(source, checks) };
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(name),
        layout: None,
        module: &module,
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: false, ..Default::default() },
        cache: None,
    });
    let layout = pipeline.get_bind_group_layout(0);
    Pipeline { pipeline, layout }
}
