//! The open recording, not yet submitted: uploads, then one compute pass, then copies to the host.
//!
//! A recording belongs to the device: all parties on it append in the order in which they run. Uploads go into an encoder
//! of their own that is submitted in front, so that they do not break the pass; they write only buffers that nothing in
//! this recording has used. All parameters of a recording lie in one uniform buffer, filled the same way.

use super::staging::{Chunk, Chunks};
use std::collections::VecDeque;

/// Dispatches after which a recording is submitted, so that the device starts before the host is done.
const DISPATCHES: usize = 256;

/// Bytes of uploads after which a recording is submitted.
pub(super) const STAGED: u64 = 64 << 20;

/// Bytes of the uniform buffer.
const ARENA: u64 = 128 << 10;

/// Submissions in flight.
const FLYING: usize = 2;

/// The open recording and what is in flight.
pub(super) struct Recording {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pass: Option<wgpu::ComputePass<'static>>,
    main: Option<wgpu::CommandEncoder>,
    uploads: Option<wgpu::CommandEncoder>,
    chunks: Chunks,
    used: Vec<Chunk>,
    staged: u64,
    params: Vec<u8>,
    arena: wgpu::Buffer,
    dispatches: usize,
    flying: VecDeque<wgpu::SubmissionIndex>,
}

impl Recording {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let arena = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters"),
            size: ARENA,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            device: device.clone(),
            queue: queue.clone(),
            pass: None,
            main: None,
            uploads: None,
            chunks: Chunks::default(),
            used: Vec::new(),
            staged: 0,
            params: Vec::with_capacity(ARENA as usize),
            arena,
            dispatches: 0,
            flying: VecDeque::new(),
        }
    }

    /// Whether it is time to submit.
    pub(super) fn is_long(&self) -> bool {
        self.dispatches >= DISPATCHES || self.staged >= STAGED
    }

    /// Whether the parameters of one more dispatch fit.
    pub(super) fn has_room(&self, params: usize) -> bool {
        (self.params.len() + params) as u64 <= ARENA
    }

    /// Records a copy of these bytes to a buffer that this recording has not used.
    pub(super) fn upload(&mut self, bytes: &[u8], to: &wgpu::Buffer, offset: u64) -> Result<(), String> {
        let size = bytes.len() as u64;
        if !self.used.last().is_some_and(|chunk| chunk.has_room(size)) {
            self.used.push(self.chunks.take(&self.device, size));
        }
        let chunk = self.used.last_mut().ok_or("no chunk")?;
        let at = chunk.write(bytes)?;
        let label = wgpu::CommandEncoderDescriptor { label: Some("uploads") };
        let encoder = self.uploads.get_or_insert_with(|| self.device.create_command_encoder(&label));
        encoder.copy_buffer_to_buffer(&chunk.buffer, at, to, offset, size);
        self.staged += size;
        Ok(())
    }

    /// Takes in the parameters of the next dispatch and says where they will lie.
    pub(super) fn params(&mut self, bytes: &[u8]) -> wgpu::BufferBinding<'_> {
        let at = self.params.len();
        self.params.extend_from_slice(bytes);
        self.params.resize((at + bytes.len()).next_multiple_of(256), 0);
        wgpu::BufferBinding { buffer: &self.arena, offset: at as u64, size: wgpu::BufferSize::new(bytes.len() as u64) }
    }

    /// Records a dispatch of so many workgroups, folded into two dimensions.
    pub(super) fn dispatch(&mut self, pipeline: &wgpu::ComputePipeline, bindings: &wgpu::BindGroup, groups: u64) {
        const MOST: u64 = 65_535;
        if self.pass.is_none() {
            let description = wgpu::ComputePassDescriptor { label: Some("trishade"), timestamp_writes: None };
            self.pass = Some(self.encoder().begin_compute_pass(&description).forget_lifetime());
        }
        if let Some(pass) = &mut self.pass {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, bindings, &[]);
            pass.dispatch_workgroups(groups.min(MOST) as u32, groups.div_ceil(MOST) as u32, 1);
        }
        self.dispatches += 1;
    }

    /// Ends the pass and gives the encoder, for copies out and for clearing.
    pub(super) fn after_pass(&mut self) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.encoder()
    }

    fn encoder(&mut self) -> &mut wgpu::CommandEncoder {
        let label = wgpu::CommandEncoderDescriptor { label: Some("trishade") };
        self.main.get_or_insert_with(|| self.device.create_command_encoder(&label))
    }

    /// Submits what is recorded; the index, and the reason if the parameters could not be written.
    pub(super) fn submit(&mut self) -> (wgpu::SubmissionIndex, Result<(), String>) {
        let mut params = std::mem::take(&mut self.params);
        let arena = self.arena.clone();
        let written = if params.is_empty() { Ok(()) } else { self.upload(&params, &arena, 0) };
        zeroize::Zeroize::zeroize(&mut params[..]);
        params.clear();
        self.params = params;
        self.pass = None;
        let used: Vec<wgpu::Buffer> = self.used.drain(..).map(|chunk| chunk.buffer).collect();
        used.iter().for_each(wgpu::Buffer::unmap);
        let recorded = [self.uploads.take(), self.main.take()];
        let index = self.queue.submit(recorded.into_iter().flatten().map(wgpu::CommandEncoder::finish));
        used.into_iter().for_each(|chunk| self.chunks.give_back(chunk));
        self.chunks.clear(false);
        (self.staged, self.dispatches) = (0, 0);
        self.flying.push_back(index.clone());
        (index, written)
    }

    /// The submission that must end before the next may start.
    pub(super) fn overdue(&mut self) -> Option<wgpu::SubmissionIndex> {
        (self.flying.len() > FLYING).then(|| self.flying.pop_front())?
    }

    /// Records that the parameters are overwritten.
    pub(super) fn clear_params(&mut self) {
        let arena = self.arena.clone();
        self.after_pass().clear_buffer(&arena, 0, None);
    }

    /// Overwrites and drops the staging memory that is free.
    pub(super) fn clear_staging(&self) {
        self.chunks.clear(true);
    }
}
