//! Dispatches and uploads: how a GPU records kernels, submits what is recorded and waits for it.

use super::{
    context::{Gpu, Words, lock},
    pipeline::Pipeline,
    pool::size_class,
    recorder::{Recording, STAGED},
    window::{self, Span},
};
use crate::{
    device::kernel::{Kernel, Out, Params, Window},
    ring::Word,
};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use zeroize::Zeroizing;

impl Gpu {
    /// A buffer that nothing recorded uses: what is put there is copied before all that is.
    pub(in crate::device) fn settled(self: &Arc<Self>, len: usize) -> Words {
        self.guarded(|| {
            let class = size_class((len as u64 * 8).max(16));
            let _recording = lock(&self.recording);
            let pooled = lock(&self.pool).settled(class, self.epoch.load(Relaxed));
            pooled.or_else(|| self.create(class))
        })
        .map_or_else(|| self.missing(), |buffer| self.words(buffer))
    }

    /// Records the copy of a part of a buffer that nothing has read, from the word `first` on.
    pub(in crate::device) fn put(&self, to: &Words, first: usize, words: &[Word]) {
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

    /// Records a kernel over all items; an input is its words, their number, and words an item.
    pub(in crate::device) fn run<P: Params, T: AsRef<str>, const N: usize>(
        self: &Arc<Self>,
        kernel: &Kernel<P, T>,
        mut params: P,
        items: usize,
        inputs: &[(&Words, usize, usize)],
        outputs: [Out; N],
    ) -> [Words; N] {
        let made = self.guarded(|| {
            let made = outputs.map(|out| {
                let class = size_class((out.len as u64 * 8).max(16));
                let pooled = lock(&self.pool).any(class);
                pooled.or_else(|| self.create(class)).map(|buffer| self.words(buffer))
            });
            let mut bound = Vec::with_capacity(inputs.len() + N);
            for &(words, len, per_item) in inputs {
                bound.push((words.buffer.as_ref()?, Span { len, per_item }));
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
        pipeline: &Pipeline,
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

    /// Submits the recording and lets the device go on; waits for one that is overdue.
    pub(super) fn submit(&self, recording: &mut Recording) -> wgpu::SubmissionIndex {
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
    pub(super) fn wait(&self, index: Option<wgpu::SubmissionIndex>) {
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
}
