//! One step of a Boolean circuit on masked bits: loads planes, runs a straight-line program, masks what is sent.
//!
//! `message_j = r[output_j] ^ F_j`, `kept_j = r[kept_j]`, with planes and streams as in [`planes`] and
//! programs as in [`circuit`](super::circuit). Shader: `shaders/bits.wgsl`. One item is a tile of 512 elements.

use super::{
    circuit::{ONES, Program, REGISTERS, UNIT},
    dealt::Dealt,
    masked::{Masked, Pad},
    planes::{self, LANES, Plane, TILE},
    unrolled::unrolled,
};
use crate::{
    device::{Arg, Buffer, Cpu, Device, Kernel, Out, Output, Params, Window, vector},
    ring::Word,
    stream::Stream,
};
use std::sync::Arc;

/// Uniform of `shaders/bits.wgsl`. Counts of planes, in the order in which they fill the registers.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub struct BitsParams {
    /// Tiles.
    pub window: Window,
    /// Elements.
    pub n: u32,
    /// 1 if word planes are loaded.
    pub words: u32,
    /// Planes of `a ^ b`.
    pub received: u32,
    /// Planes kept by an earlier step.
    pub saved: u32,
    /// Planes of the mask streams.
    pub masks: u32,
    /// 1 if the masks are the sum of both streams.
    pub both: u32,
    /// Planes dealt.
    pub dealt: u32,
    /// 1 if the dealt planes are drawn, 0 if they are read.
    pub drawn: u32,
    /// The constant in register 2.
    pub unit: u32,
    /// Instructions.
    pub code: u32,
    /// Planes sent.
    pub outputs: u32,
    /// Planes kept.
    pub kept: u32,
    /// To a multiple of 16 bytes.
    pub padding: [u32; 2],
    /// First mask stream.
    pub mask: Stream,
    /// Second mask stream, if `both`.
    pub other: Stream,
    /// Stream of the dealt planes, if `drawn`.
    pub deal: Stream,
    /// Stream that masks the outputs.
    pub out: Stream,
}

impl Params for BitsParams {
    fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }
}

fn groups(p: &BitsParams) -> u64 {
    (u64::from(p.window.count) * 16).div_ceil(64)
}

/// The kernel of a program: code, words, a, b, saved, dealt -> message, kept.
pub fn kernel(program: &Program) -> Kernel<BitsParams, String> {
    let (name, entry) = unrolled(program);
    Kernel { name, wgsl: [include_str!("../../shaders/bits.wgsl"), &entry].concat(), groups, cpu, product: false }
}

/// A program on its device.
#[derive(Clone)]
pub struct Compiled {
    program: Program,
    code: Buffer,
    kernel: Arc<Kernel<BitsParams, String>>,
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled").field("kernel", &self.kernel.name).field("program", &self.program).finish()
    }
}

impl Compiled {
    /// Uploads the code: an instruction a word, then the registers of the outputs and of what is kept.
    pub fn new(device: &Device, program: Program) -> Self {
        let pack = |[d, a, b, c]: [u16; 4]| [d, a, b, c].iter().rev().fold(0, |word, &r| word << 16 | u64::from(r));
        let registers = program.outputs.iter().chain(&program.kept).map(|&r| u64::from(r));
        let mut code: Vec<u64> = program.code.iter().map(|&i| pack(i)).chain(registers).collect();
        code.push(0);
        Self { code: device.upload(&code), kernel: Arc::new(kernel(&program)), program }
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

/// Sources of a step besides its code.
#[derive(Debug, Default, Clone)]
pub struct Sources<'a> {
    /// The word tensor.
    pub words: Option<&'a Buffer>,
    /// Both halves of the last swap.
    pub swapped: Option<(&'a Buffer, &'a Buffer)>,
    /// Planes that an earlier step kept.
    pub saved: Option<&'a Buffer>,
    /// Known mask streams: the own one, or both at the lead.
    pub masks: Vec<Stream>,
    /// The dealt planes, if there are any.
    pub dealt: Option<Dealt<1, 1>>,
    /// Whether this party holds the constant 1.
    pub unit: bool,
}

/// Runs one step on `n` elements; the message exists if the program has outputs.
pub fn bits(device: &Device, compiled: &Compiled, n: usize, sources: &Sources<'_>, pad: Option<Pad>) -> (Option<Masked>, Buffer) {
    let program = &compiled.program;
    let unused = compiled.code.whole();
    let sized = |planes: usize| planes * LANES / 2;
    let (sent, received) = sources.swapped.unzip();
    let inputs = [
        unused,
        input(sources.words, TILE, unused),
        input(sent, sized(program.received), unused),
        input(received, sized(program.received), unused),
        input(sources.saved, sized(program.saved), unused),
        sources.dealt.as_ref().map_or(unused, |dealt| dealt.input(0, sized(program.dealt), unused)),
    ];
    let out = |planes: usize| Out { len: planes::words(n, planes), per_item: sized(planes) };
    let outputs = [out(program.outputs.len()), out(program.kept.len())];
    let [message, kept] = device.run(&compiled.kernel, params(program, n, sources, pad), planes::tiles(n), &inputs, outputs);
    ((!program.outputs.is_empty()).then(|| Masked::by_kernel(message)), kept)
}

/// Plane `index` of a buffer of `planes` planes of `n` elements.
pub fn select_plane(device: &Device, x: &Buffer, n: usize, planes: usize, index: usize) -> Buffer {
    let program = Program { saved: planes, kept: vec![3 + index as u16], ..Program::default() };
    bits(device, &Compiled::new(device, program), n, &Sources { saved: Some(x), ..Sources::default() }, None).1
}

/// A source as an input, or what is bound where there is none.
fn input<'a>(buffer: Option<&'a Buffer>, per_item: usize, unused: Arg<'a>) -> Arg<'a> {
    buffer.map_or(unused, |buffer| buffer.each(per_item))
}

fn params(program: &Program, n: usize, sources: &Sources<'_>, pad: Option<Pad>) -> BitsParams {
    let [mask, other] = [0, 1].map(|i| sources.masks.get(i).copied().unwrap_or_default());
    let dealt = sources.dealt.as_ref();
    BitsParams {
        window: Window::default(),
        n: n as u32,
        words: program.words.into(),
        received: program.received as u32,
        saved: program.saved as u32,
        masks: program.masks as u32,
        both: (sources.masks.len() == 2).into(),
        dealt: program.dealt as u32,
        drawn: dealt.map_or(0, Dealt::drawn),
        unit: if sources.unit { u32::MAX } else { 0 },
        code: program.code.len() as u32,
        outputs: program.outputs.len() as u32,
        kept: program.kept.len() as u32,
        padding: [0; 2],
        mask,
        other,
        deal: dealt.map_or(Stream::default(), |dealt| dealt.streams()[0]),
        out: pad.map(Pad::consume).unwrap_or_default(),
    }
}

fn cpu(cpu: &Cpu, p: &BitsParams, inputs: &[&[Word]], outputs: &mut [&mut [Word]]) {
    let n = p.n as usize;
    let [message, kept] = outputs else { unreachable!("bits has two outputs") };
    for out in [&mut *message, &mut *kept] {
        // half a word is left over where lanes x planes is odd
        out[out.len() - 1] = 0;
    }
    let code = inputs[0];
    let tiles = p.window.count as usize;
    let planes_in = [p.received, p.received, p.saved, p.dealt];
    let outputs = vec![
        Output { words: message, per_item: p.outputs as usize * LANES / 2 },
        Output { words: kept, per_item: p.kept as usize * LANES / 2 },
    ];
    let grain = tiles.div_ceil(4 * cpu.threads()).clamp(1, 64);
    cpu.pieces(tiles, grain, outputs, |range, outs| {
        vector::vectorise!(|| {
            let mut registers = vec![[0u32; LANES]; REGISTERS];
            registers[ONES as usize] = [u32::MAX; LANES];
            registers[UNIT as usize] = [p.unit; LANES];
            let [message, kept] = outs else { unreachable!("two outputs") };
            let (message, kept): (&mut [u32], &mut [u32]) = (bytemuck::cast_slice_mut(message), bytemuck::cast_slice_mut(kept));
            for tile in range.clone() {
                let lanes = planes::lanes_of_tile(n, tile);
                let words = if p.words == 1 { &inputs[1][tile * TILE..n.min((tile + 1) * TILE)] } else { &[] };
                let mut sources: [&[u32]; 4] = [&[]; 4];
                for (i, source) in sources.iter_mut().enumerate() {
                    if planes_in[i] > 0 && !(i == 3 && p.drawn == 1) {
                        *source = &bytemuck::cast_slice(inputs[2 + i])[tile * LANES * planes_in[i] as usize..];
                    }
                }
                let local = (tile - range.start) * LANES;
                load(p, tile, lanes, words, &sources, &mut registers);
                execute(&code[..p.code as usize], &mut registers);
                let outputs = &code[p.code as usize..];
                send(p, tile, lanes, outputs, &registers, &mut message[local * p.outputs as usize..]);
                for (j, &r) in outputs[p.outputs as usize..].iter().take(p.kept as usize).enumerate() {
                    planes::store(&mut kept[local * p.kept as usize..], lanes, j, &registers[r as usize % REGISTERS]);
                }
            }
        });
    });
    let blocks = |planes: u32, streams: u32| planes.div_ceil(16) as usize * streams as usize;
    let per_lane = blocks(p.masks, 1 + p.both) + blocks(p.dealt, p.drawn) + blocks(p.outputs, 1);
    cpu.count(planes::lanes(n) * per_lane, 0);
}

/// Fills the registers with the sources.
#[inline(always)]
fn load(p: &BitsParams, tile: usize, lanes: usize, words: &[Word], sources: &[&[u32]; 4], registers: &mut [Plane]) {
    let mut at = 3;
    if p.words == 1 {
        planes::transpose(words, lanes, &mut registers[at..at + 64]);
        at += 64;
    }
    for j in 0..p.received as usize {
        let (a, b) = (planes::load(sources[0], lanes, j), planes::load(sources[1], lanes, j));
        registers[at + j] = std::array::from_fn(|lane| a[lane] ^ b[lane]);
    }
    at += p.received as usize;
    for j in 0..p.saved as usize {
        registers[at + j] = planes::load(sources[2], lanes, j);
    }
    at += p.saved as usize;
    let masks = at..at + p.masks as usize;
    draw(&p.mask, tile, &mut registers[masks.clone()], false);
    if p.both == 1 {
        draw(&p.other, tile, &mut registers[masks], true);
    }
    at += p.masks as usize;
    let dealt = &mut registers[at..at + p.dealt as usize];
    if p.drawn == 1 {
        draw(&p.deal, tile, dealt, false);
    } else {
        for (j, plane) in dealt.iter_mut().enumerate() {
            *plane = planes::load(sources[3], lanes, j);
        }
    }
}

/// The planes of a stream for one tile, added to what is there if `add`.
#[inline(always)]
fn draw(stream: &Stream, tile: usize, out: &mut [Plane], add: bool) {
    let per_lane = out.len().div_ceil(16) as u32;
    let mut block = [[0u32; LANES]; 16];
    for (q, chunk) in out.chunks_mut(16).enumerate() {
        let counters = std::array::from_fn(|lane| (tile * LANES + lane) as u32 * per_lane + q as u32);
        vector::keystream_sliced(stream, &counters, &mut block);
        for (plane, fresh) in chunk.iter_mut().zip(&block) {
            *plane = if add { std::array::from_fn(|lane| plane[lane] ^ fresh[lane]) } else { *fresh };
        }
    }
}

#[inline(always)]
fn execute(code: &[Word], registers: &mut [Plane]) {
    let registers: &mut [Plane; REGISTERS] = match registers.try_into() {
        Ok(registers) => registers,
        Err(_) => unreachable!("the register file has its size"),
    };
    for &word in code {
        let at = |i: u32| (word >> (16 * i)) as usize % REGISTERS;
        let (a, b, c) = (registers[at(1)], registers[at(2)], registers[at(3)]);
        let d = &mut registers[at(0)];
        for lane in 0..LANES {
            d[lane] = a[lane] ^ (b[lane] & c[lane]);
        }
    }
}

#[inline(always)]
fn send(p: &BitsParams, tile: usize, lanes: usize, outputs: &[Word], registers: &[Plane], message: &mut [u32]) {
    let total = p.outputs as usize;
    let mut masks = [[0u32; LANES]; 16];
    for first in (0..total).step_by(16) {
        let q = first / 16;
        let counters = std::array::from_fn(|lane| ((tile * LANES + lane) * total.div_ceil(16) + q) as u32);
        vector::keystream_sliced(&p.out, &counters, &mut masks);
        for j in first..total.min(first + 16) {
            let value = &registers[outputs[j] as usize % REGISTERS];
            let mask = &masks[j - first];
            planes::store(message, lanes, j, &std::array::from_fn(|lane| value[lane] ^ mask[lane]));
        }
    }
}
