//! An open GPU: its adapter and settings, what is recorded and kept, and what failed.

use super::{
    adapter::{self, AdapterFacts, Opened},
    fault::Fault,
    pipeline::Pipelines,
    pool::Pool,
    prelude::Prelude,
    recorder::Recording,
    tuning::Tuning,
};
use crate::{Error, Result};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// An open GPU.
pub struct Gpu {
    pub(super) recording: Mutex<Recording>,
    pub(super) pool: Mutex<Pool>,
    pub(super) reads: Mutex<Vec<wgpu::Buffer>>,
    pub(super) pipelines: Pipelines,
    /// Number of the open recording.
    pub(super) epoch: AtomicU64,
    pub(super) max_binding: AtomicU64,
    pub(super) submissions: AtomicU64,
    pub(super) fault: Arc<Fault>,
    pub(super) facts: AdapterFacts,
    pub(super) prelude: Prelude,
    pub(super) tuning: Mutex<Tuning>,
    /// Whether the device is ours alone: otherwise its handlers are the application's and errors are caught in scopes.
    own: bool,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
}

/// Words of one buffer; they return to the device's pool. None if the device had failed.
pub(in crate::device) struct Words {
    pub(super) buffer: Option<wgpu::Buffer>,
    pub(super) gpu: Arc<Gpu>,
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
    /// Opens the adapter that the selector names; see [`Device::gpu`](crate::device::Device::gpu).
    pub async fn open(selector: &str, prelude: Option<Prelude>) -> Result<Arc<Self>> {
        let opened = adapter::open(selector).await?;
        Self::new(opened, prelude, true)
    }

    /// Opens the best hardware adapter, if there is one.
    pub async fn auto() -> Option<Result<Arc<Self>>> {
        Some(adapter::first().await?.and_then(|opened| Self::new(opened, None, true)))
    }

    /// Uses an application's own device. Its handlers are left alone.
    pub fn from_wgpu(adapter: &wgpu::Adapter, device: wgpu::Device, queue: wgpu::Queue) -> Result<Arc<Self>> {
        let facts = AdapterFacts::new(0, &adapter.get_info(), &device.limits(), device.features());
        if let Some(why) = facts.unusable() {
            return Err(Error::Device(format!("{facts} as the application opened it cannot be used: {why}")));
        }
        Self::new(Opened { device, queue, facts }, None, false)
    }

    fn new(Opened { device, queue, facts }: Opened, prelude: Option<Prelude>, own: bool) -> Result<Arc<Self>> {
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
            pipelines: Pipelines::default(),
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

    /// The adapter's facts.
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
    pub(in crate::device) fn rows(&self, outputs: u64) -> u32 {
        const FEW: u64 = 1 << 14;
        let Tuning { rows: most, spread, .. } = self.tuning();
        let busy = |rows: u32| !spread || self.facts.software || outputs / (8 * u64::from(rows)) >= FEW;
        Tuning::ROWS.into_iter().rev().find(|&rows| rows <= most && busy(rows)).unwrap_or(Tuning::ROWS[0])
    }

    /// The wgpu device, for an application that shares it.
    pub fn wgpu(&self) -> (&wgpu::Device, &wgpu::Queue) {
        (&self.device, &self.queue)
    }

    pub(in crate::device) fn must_loop(&self, kernel: &str, turns: usize) {
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

    pub(in crate::device) fn check(&self) -> Result<()> {
        self.fault.take()
    }

    /// Overwrites what is pooled, the parameters and the staging memory, and frees it.
    pub(in crate::device) fn clear(&self) {
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

    /// Runs nothing on a lost device; on an application's device, catches errors in scopes.
    pub(super) fn guarded<T>(&self, body: impl FnOnce() -> Option<T>) -> Option<T> {
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

/// Locks; a panic of another thread left nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
