//! The GPU device: kernels as compute shaders on Vulkan, Metal, DX12 or WebGPU, through wgpu.
//!
//! Work is recorded and submitted when bytes are wanted or the recording grows long (`recorder`). Buffers are pooled
//! (`pool`), large tensors processed in windows (`window`), failures kept and returned by the next download or check
//! (`fault`).

mod adapter;
mod fault;
mod pipeline;
mod pool;
mod readback;
mod recorder;
mod staging;
mod tuning;
mod window;

pub use adapter::{AdapterFacts, adapters};
pub use tuning::{Path, Tuning};

use super::{Arg, Kernel, Out, Params, Window};
use crate::{Error, Result, ring::Word};
use fault::Fault;
use pool::{Pool, size_class};
use recorder::{Recording, STAGED};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use window::Span;
use zeroize::Zeroizing;

/// How shaders hold a ring word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prelude {
    /// Two 32-bit halves: WebGPU has no 64-bit integers.
    Limbs,
    /// `u64`, where the adapter has it.
    Native,
}

impl Prelude {
    /// What stands before every kernel's text.
    pub fn wgsl(self) -> String {
        let ring = match self {
            Self::Limbs => include_str!("../../../shaders/ring64.wgsl"),
            Self::Native => include_str!("../../../shaders/ring64_native.wgsl"),
        };
        let shared = [include_str!("../../../shaders/chacha.wgsl"), include_str!("../../../shaders/planes.wgsl")];
        [ring, &shared.concat()].concat()
    }
}

/// A GPU.
pub struct Gpu {
    recording: Mutex<Recording>,
    pool: Mutex<Pool>,
    reads: Mutex<Vec<wgpu::Buffer>>,
    pipelines: pipeline::Pipelines,
    /// Number of the open recording.
    epoch: AtomicU64,
    max_binding: AtomicU64,
    submissions: AtomicU64,
    fault: Arc<Fault>,
    facts: AdapterFacts,
    prelude: Prelude,
    tuning: Mutex<Tuning>,
    /// Whether the device is ours alone: otherwise its handlers are the application's and errors are caught in scopes.
    own: bool,
    device: wgpu::Device,
    queue: wgpu::Queue,
}

/// Words of one buffer; they return to the device's pool. None if the device had failed.
pub(super) struct Words {
    buffer: Option<wgpu::Buffer>,
    gpu: Arc<Gpu>,
}

impl Drop for Words {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let epoch = self.gpu.epoch.load(Relaxed);
            lock(&self.gpu.pool).put(epoch, buffer);
        }
    }
}

impl Gpu {
    /// Opens the adapter that the selector names; see [`Device::gpu`](super::Device::gpu).
    pub async fn open(selector: &str, prelude: Option<Prelude>) -> Result<Arc<Self>> {
        adapter::open(selector, prelude).await
    }

    /// Opens the best hardware adapter, if there is one.
    pub async fn auto() -> Option<Result<Arc<Self>>> {
        adapter::first().await
    }

    /// Uses an application's own device. Its handlers are left alone.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Arc<Self>> {
        let facts = AdapterFacts::new(0, &adapter.get_info(), &device.limits(), device.features());
        if let Some(why) = facts.unusable() {
            return Err(Error::Device(format!("{facts} as the application opened it cannot be used: {why}")));
        }
        Self::new(device, queue, facts, None, false)
    }

    fn new(device: wgpu::Device, queue: wgpu::Queue, facts: AdapterFacts, prelude: Option<Prelude>, own: bool) -> Result<Arc<Self>> {
        let native = device.features().contains(wgpu::Features::SHADER_INT64);
        let prelude = match (prelude, native) {
            (Some(Prelude::Native), false) => return Err(Error::Device(format!("{facts} has no 64-bit integers in shaders"))),
            (Some(prelude), _) => prelude,
            (None, true) => Prelude::Native,
            (None, false) => Prelude::Limbs,
        };
        let fault = Arc::<Fault>::default();
        if own {
            let (errors, lost) = (fault.clone(), fault.clone());
            device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| errors.note(error.to_string())));
            device.set_device_lost_callback(move |reason, message| lost.lose(format!("the device was lost ({reason:?}): {message}")));
        }
        let limit = device.limits().max_storage_buffer_binding_size;
        Ok(Arc::new(Self {
            recording: Mutex::new(Recording::new(&device, &queue)),
            pool: Mutex::default(),
            reads: Mutex::default(),
            pipelines: pipeline::Pipelines::default(),
            epoch: AtomicU64::new(1),
            max_binding: AtomicU64::new(limit),
            submissions: AtomicU64::new(0),
            fault,
            facts,
            prelude,
            tuning: Mutex::new(Tuning::of(prelude)),
            own,
            device,
            queue,
        }))
    }

    /// What is known of the adapter.
    pub fn facts(&self) -> &AdapterFacts {
        &self.facts
    }

    /// How shaders hold a word.
    pub fn prelude(&self) -> Prelude {
        self.prelude
    }

    /// How products are computed.
    pub fn tuning(&self) -> Tuning {
        *lock(&self.tuning)
    }

    /// Computes products so from now on.
    pub fn set_tuning(&self, tuning: Tuning) -> Result<()> {
        if !tuning.path.suits(self.prelude) || !Tuning::ROWS.contains(&tuning.rows) {
            return Err(Error::Device(format!("{}: no product path {tuning}", self.facts)));
        }
        *lock(&self.tuning) = tuning;
        Ok(())
    }

    /// Rows of an invocation for a product of so many outputs: fewer where a large GPU would otherwise stand idle.
    pub(super) fn rows(&self, outputs: u64) -> u32 {
        const FEW: u64 = 1 << 14;
        let Tuning { rows: most, spread, .. } = self.tuning();
        let busy = |rows: u32| !spread || self.facts.software || outputs / (8 * u64::from(rows)) >= FEW;
        Tuning::ROWS.into_iter().rev().find(|&rows| rows <= most && busy(rows)).unwrap_or(1)
    }

    /// The wgpu device, for an application that shares it.
    pub fn wgpu(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.device, &self.queue)
    }

    pub(super) fn must_loop(&self, kernel: &str, turns: usize) {
        if self.facts.software && turns > 65_000 {
            let why = "this software driver ends a shader's loops after 65,535; use a smaller product, a hardware GPU or the CPU device";
            self.fault.note(format!("{kernel}: {turns} turns of a loop; {why}"));
        }
    }

    /// Submissions so far.
    pub fn submissions(&self) -> u64 {
        self.submissions.load(Relaxed)
    }

    /// Lowers the largest binding, in bytes: smaller windows, for tests and for devices that also draw.
    pub fn limit_binding(&self, bytes: u64) {
        self.max_binding.store(bytes.clamp(256, self.device.limits().max_storage_buffer_binding_size), Relaxed);
    }

    /// A buffer that nothing recorded uses: what is put there is copied before all that is.
    pub(super) fn settled(self: &Arc<Self>, len: usize) -> Words {
        self.guarded(|| {
            let class = size_class((len as u64 * 8).max(16));
            let _recording = lock(&self.recording);
            let pooled = lock(&self.pool).settled(class, self.epoch.load(Relaxed));
            pooled.or_else(|| self.create(class))
        })
        .map_or_else(|| self.missing(), |buffer| self.words(buffer))
    }

    /// Records the copy of a part of a buffer that nothing has read, from the word `first` on.
    pub(super) fn put(&self, to: &Words, first: usize, words: &[Word]) {
        self.guarded(|| {
            let buffer = to.buffer.as_ref()?;
            let mut recording = lock(&self.recording);
            for (i, piece) in words.chunks((STAGED / 8) as usize).enumerate() {
                if let Err(why) = recording.upload(bytemuck::cast_slice(piece), buffer, first as u64 * 8 + i as u64 * STAGED) {
                    self.fault.note(why);
                    break;
                }
                if recording.is_long() {
                    self.submit(&mut recording);
                }
            }
            Some(())
        });
    }

    pub(super) fn run<P: Params, T: AsRef<str>, const N: usize>(
        self: &Arc<Self>,
        kernel: &Kernel<P, T>,
        mut params: P,
        items: usize,
        inputs: &[Arg<'_>],
        outputs: [Out; N],
    ) -> [Words; N] {
        let made = self.guarded(|| {
            let made = outputs.map(|out| {
                let class = size_class((out.len as u64 * 8).max(16));
                let pooled = lock(&self.pool).any(class);
                pooled.or_else(|| self.create(class)).map(|buffer| self.words(buffer))
            });
            let mut bound = Vec::with_capacity(inputs.len() + N);
            for arg in inputs {
                bound.push((arg.buffer.gpu_words().buffer.as_ref()?, Span { len: arg.buffer.len, per_item: arg.per_item }));
            }
            for (words, out) in made.iter().zip(&outputs) {
                bound.push((words.as_ref()?.buffer.as_ref()?, Span { len: out.len, per_item: out.per_item }));
            }
            let name = kernel.name.as_ref();
            let text = || [&self.prelude.wgsl(), kernel.wgsl.as_ref()].concat();
            let pipeline = match kernel.product {
                false => self.pipelines.get(&self.device, name, name, text),
                true => {
                    let path = self.tuning().path;
                    self.pipelines.get(&self.device, &format!("{name} {}", path.name()), name, || [path.text(), text()].concat())
                }
            };
            self.record(name, &pipeline, items, &bound, |window| {
                *params.window_mut() = window;
                (Zeroizing::new(bytemuck::bytes_of(&params).to_vec()), (kernel.groups)(&params))
            });
            drop(bound);
            Some(made)
        });
        match made {
            Some(made) => made.map(|words| words.unwrap_or_else(|| self.missing())),
            None => std::array::from_fn(|_| self.missing()),
        }
    }

    /// Records one dispatch a window.
    fn record(
        &self,
        name: &str,
        pipeline: &pipeline::Pipeline,
        items: usize,
        bound: &[(&wgpu::Buffer, Span)],
        mut uniform: impl FnMut(Window) -> (Zeroizing<Vec<u8>>, u64),
    ) {
        let spans: Vec<Span> = bound.iter().map(|(_, span)| *span).collect();
        let windows = match window::split(items, &spans, self.max_binding.load(Relaxed)) {
            Ok(windows) => windows,
            Err(why) => return self.fault.note(format!("{name}: {why}")),
        };
        let mut recording = lock(&self.recording);
        for range in windows {
            let (params, groups) = uniform(Window { first: range.start as u32, count: range.len() as u32 });
            if !recording.has_room(params.len()) {
                self.submit(&mut recording);
            }
            let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(recording.params(&params)) }];
            entries.extend(bound.iter().zip(1..).map(|(&(buffer, span), binding)| {
                let (offset, size) = window::binding(span, &range, items);
                let resource = wgpu::BufferBinding { buffer, offset, size: wgpu::BufferSize::new(size) };
                wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(resource) }
            }));
            let description = wgpu::BindGroupDescriptor { label: Some(name), layout: &pipeline.layout, entries: &entries };
            let group = self.device.create_bind_group(&description);
            recording.dispatch(&pipeline.pipeline, &group, groups);
            if recording.is_long() {
                self.submit(&mut recording);
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.fault.take()
    }

    /// Overwrites what is pooled, the parameters and the staging memory, and frees it.
    pub(super) fn clear(&self) {
        self.guarded(|| {
            let mut recording = lock(&self.recording);
            recording.clear_params();
            let mut pooled = lock(&self.pool).drain();
            pooled.append(&mut lock(&self.reads));
            for buffer in pooled {
                recording.after_pass().clear_buffer(&buffer, 0, None);
            }
            let index = self.submit(&mut recording);
            self.wait(Some(index));
            recording.clear_staging();
            Some(())
        });
    }

    /// Submits the recording and lets the device go on; waits for one that is overdue.
    fn submit(&self, recording: &mut Recording) -> wgpu::SubmissionIndex {
        let (index, written) = recording.submit();
        if let Err(why) = written {
            self.fault.note(why);
        }
        self.epoch.fetch_add(1, Relaxed);
        self.submissions.fetch_add(1, Relaxed);
        self.wait(recording.overdue());
        index
    }

    /// Waits for a submission, or only looks what is done. In a browser this does nothing: the page's loop calls back.
    fn wait(&self, index: Option<wgpu::SubmissionIndex>) {
        let poll = match index {
            Some(index) => wgpu::PollType::Wait { submission_index: Some(index), timeout: None },
            None => wgpu::PollType::Poll,
        };
        // wgpu panics here if the device was lost while it waited; that must not take the application down
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.device.poll(poll)));
        match polled {
            Ok(Ok(_)) => (),
            Ok(Err(error)) => self.fault.note(format!("waiting for {}: {error}", self.facts)),
            Err(_) => self.fault.lose(format!("{} was lost while it worked", self.facts)),
        }
    }

    fn create(&self, bytes: u64) -> Option<wgpu::Buffer> {
        if bytes > self.device.limits().max_buffer_size {
            self.fault.note(format!("a buffer of {bytes} bytes; {} allows {}", self.facts, self.device.limits().max_buffer_size));
            return None;
        }
        Some(self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("words"),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        }))
    }

    fn words(self: &Arc<Self>, buffer: wgpu::Buffer) -> Words {
        Words { buffer: Some(buffer), gpu: self.clone() }
    }

    fn missing(self: &Arc<Self>) -> Words {
        Words { buffer: None, gpu: self.clone() }
    }

    /// Runs nothing on a lost device; on an application's device, catches errors in scopes.
    fn guarded<T>(&self, body: impl FnOnce() -> Option<T>) -> Option<T> {
        if self.fault.is_lost() {
            return None;
        }
        if self.own {
            return body();
        }
        let filters = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let result = body();
        for scope in scopes.into_iter().rev() {
            // on native the answer is there at once; in a browser the page's console has it
            let mut answer = std::pin::pin!(scope.pop());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if let std::task::Poll::Ready(Some(error)) = answer.as_mut().poll(&mut context) {
                self.fault.note(error.to_string());
            }
        }
        result
    }
}

impl Drop for Gpu {
    fn drop(&mut self) {
        self.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
