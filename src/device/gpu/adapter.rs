//! Which GPUs there are, and how one is chosen and opened.

use crate::{Error, Result, device::missing::no_device};

/// Facts of an adapter that are known before it is opened.
#[derive(Debug, Clone)]
pub struct AdapterFacts {
    /// Its index in the list, a valid selector.
    pub index: usize,
    /// Its name, any part of which is a valid selector.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `webgpu`.
    pub backend: String,
    /// The driver and its version.
    pub driver: String,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: &'static str,
    /// Whether it computes on the CPU: such an adapter is used only if asked for.
    pub software: bool,
    /// Bytes of the largest storage binding; larger tensors are processed in windows.
    pub max_binding: u64,
    /// Bytes of the largest buffer.
    pub max_buffer: u64,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Storage buffers of a shader.
    pub storage_buffers: u32,
    /// Whether shaders have 64-bit integers.
    pub shader_int64: bool,
}

impl AdapterFacts {
    fn of(index: usize, adapter: &wgpu::Adapter) -> Self {
        Self::new(index, &adapter.get_info(), &adapter.limits(), adapter.features())
    }

    pub(super) fn new(index: usize, info: &wgpu::AdapterInfo, limits: &wgpu::Limits, features: wgpu::Features) -> Self {
        let kind = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => "discrete",
            wgpu::DeviceType::IntegratedGpu => "integrated",
            wgpu::DeviceType::VirtualGpu => "virtual",
            wgpu::DeviceType::Cpu => "software",
            wgpu::DeviceType::Other => "other",
        };
        Self {
            index,
            name: info.name.clone(),
            backend: backend_name(info.backend).into(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().into(),
            kind,
            software: info.device_type == wgpu::DeviceType::Cpu,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            workgroup_memory: limits.max_compute_workgroup_storage_size,
            invocations: limits.max_compute_invocations_per_workgroup,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            shader_int64: features.contains(wgpu::Features::SHADER_INT64),
        }
    }

    /// Why this adapter cannot be used, if so: every shader is written for WebGPU's default limits.
    pub fn unusable(&self) -> Option<String> {
        let need = [
            ("storage buffers", u64::from(self.storage_buffers), 8),
            ("bytes of workgroup memory", u64::from(self.workgroup_memory), 16 << 10),
            ("invocations a workgroup", u64::from(self.invocations), 256),
            ("bytes a binding", self.max_binding, 1 << 20),
        ];
        need.iter().find(|(_, has, needs)| has < needs).map(|(what, has, needs)| format!("{has} {what}, {needs} are needed"))
    }

    /// Discrete before integrated before the rest.
    fn rank(&self) -> u8 {
        match self.kind {
            "discrete" => 0,
            "integrated" => 1,
            "virtual" => 2,
            _ => 3,
        }
    }

    /// Whether the selector names this adapter: its index or a part of its name; its backend unless it is software.
    fn answers_to(&self, selector: &str) -> bool {
        let selector = selector.to_lowercase();
        match selector.parse::<usize>() {
            Ok(index) if index < 100 => self.index == index,
            _ => (self.backend == selector && !self.software) || self.name.to_lowercase().contains(&selector),
        }
    }
}

impl std::fmt::Display for AdapterFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, {})", self.name, self.backend, self.kind)
    }
}

/// The adapters of this machine, software ones included; OpenGL is not supported.
pub async fn adapters() -> Vec<AdapterFacts> {
    list().await.iter().enumerate().map(|(index, adapter)| AdapterFacts::of(index, adapter)).collect()
}

/// An adapter that was opened.
pub(super) struct Opened {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) facts: AdapterFacts,
}

/// Opens the adapter that the selector names: an index, a backend (hardware only), or a part of a name.
pub(super) async fn open(selector: &str) -> Result<Opened> {
    let found = list().await;
    let facts: Vec<AdapterFacts> = found.iter().enumerate().map(|(index, adapter)| AdapterFacts::of(index, adapter)).collect();
    let known: Vec<String> = facts.iter().map(|f| format!("{}: {f}", f.index)).collect();
    let chosen = facts.iter().filter(|f| f.answers_to(selector)).min_by_key(|f| (f.unusable().is_some(), f.rank()));
    let chosen = chosen.filter(|_| !selector.is_empty()).ok_or_else(|| no_device(selector, &known))?;
    connect(&found[chosen.index], chosen.clone()).await
}

/// Opens the best hardware adapter that can be used, if there is one.
pub(super) async fn first() -> Option<Result<Opened>> {
    let found = list().await;
    let facts = found.iter().enumerate().map(|(index, adapter)| AdapterFacts::of(index, adapter));
    let chosen = facts.filter(|f| !f.software && f.unusable().is_none()).min_by_key(AdapterFacts::rank)?;
    Some(connect(&found[chosen.index], chosen).await)
}

async fn list() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12 | wgpu::Backends::BROWSER_WEBGPU;
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = backends;
    description.flags = wgpu::InstanceFlags::empty();
    wgpu::Instance::new(description).enumerate_adapters(backends).await
}

async fn connect(adapter: &wgpu::Adapter, facts: AdapterFacts) -> Result<Opened> {
    if let Some(why) = facts.unusable() {
        return Err(Error::Device(format!("{facts} cannot be used: {why}")));
    }
    let description = wgpu::DeviceDescriptor {
        label: Some("trishade"),
        required_features: adapter.features() & wgpu::Features::SHADER_INT64,
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) = adapter.request_device(&description).await.map_err(|e| Error::Device(format!("{facts} does not open: {e}")))?;
    Ok(Opened { device, queue, facts })
}

fn backend_name(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::Noop => "noop",
    }
}
