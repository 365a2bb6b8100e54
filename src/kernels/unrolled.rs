//! A program of a circuit as a WGSL entry point: one `let` an instruction, loads where a plane is first used, stores as soon as
//! what they store is known, so that few values live at a time.

use super::circuit::{ONES, Program, UNIT, ZERO};
use std::{collections::HashSet, fmt::Write, hash::BuildHasher, hash::BuildHasherDefault, hash::DefaultHasher};

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Value {
    Register(u16),
    Word(usize),
    Received(usize),
    Saved(usize),
    Mask(usize),
    Dealt(usize),
    Step(usize),
}

/// The name of the program's entry point and the text that follows `shaders/bits.wgsl`.
pub fn unrolled(program: &Program) -> (String, String) {
    let shape = (program.words, program.received, program.saved, program.masks, program.dealt);
    let code = (&program.code, &program.outputs, &program.kept);
    let name = format!("bits_{:016x}", BuildHasherDefault::<DefaultHasher>::default().hash_one((shape, code)));
    let body = Writer { program, out: String::new(), named: HashSet::new() }.body();
    let entry = "(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32)";
    let text = format!(
        "\n@compute @workgroup_size(64)\nfn {name}{entry} {{\n\
         let l = lane_of(group_number(group) * 64u + index);\nif !l.live {{\nreturn;\n}}\n{body}finish(l);\n}}\n"
    );
    (name, text)
}

struct Writer<'a> {
    program: &'a Program,
    out: String,
    /// Values that are loaded: planes, groups of sixteen planes by their first, the words by plane 0.
    named: HashSet<Value>,
}

impl Writer<'_> {
    fn body(mut self) -> String {
        let p = self.program;
        let mut registers = sources(p);
        let steps: Vec<[Value; 3]> = p
            .code
            .iter()
            .enumerate()
            .map(|(i, &[d, a, b, c])| {
                let operands = [a, b, c].map(|r| registers[usize::from(r)]);
                let d = usize::from(d);
                registers.resize(registers.len().max(d + 1), Value::Register(ZERO));
                registers[d] = Value::Step(i);
                operands
            })
            .collect();
        let last = |r: &u16| registers[usize::from(*r)];
        let outputs: Vec<Value> = p.outputs.iter().map(last).collect();
        let kept: Vec<Value> = p.kept.iter().map(last).collect();
        self.line(format_args!("let sent = plane_zero(l, {}u);", outputs.len()));
        self.line(format_args!("let stays = plane_zero(l, {}u);", kept.len()));
        for done in 0..=steps.len() {
            if let Some(i) = done.checked_sub(1) {
                let [a, b, c] = steps[i].map(|value| self.name(value));
                self.line(format_args!("let t{i} = {a} ^ ({b} & {c});"));
            }
            for (q, group) in outputs.chunks(16).enumerate() {
                if ready(group) == done {
                    self.send(q, group);
                }
            }
            for (j, &value) in kept.iter().enumerate() {
                if ready(&[value]) == done {
                    let value = self.name(value);
                    self.line(format_args!("kept[stays + {j}u * l.lanes] = {value};"));
                }
            }
        }
        self.out
    }

    fn send(&mut self, q: usize, group: &[Value]) {
        let blocks = self.program.outputs.len().div_ceil(16);
        self.line(format_args!("let f{q} = chacha(p.out, l.whole * {blocks}u + {q}u);"));
        for (i, &value) in group.iter().enumerate() {
            let value = self.name(value);
            self.line(format_args!("message[sent + {}u * l.lanes] = {value} ^ {};", 16 * q + i, row("f", 16 * q + i)));
        }
    }

    /// The name of a value, which is loaded if it is new.
    fn name(&mut self, value: Value) -> String {
        let p = self.program;
        match value {
            Value::Register(ONES) => "0xffffffffu".into(),
            Value::Register(UNIT) => "p.unit".into(),
            Value::Register(_) => "0u".into(),
            Value::Step(i) => format!("t{i}"),
            Value::Word(j) => {
                if self.named.insert(Value::Word(0)) {
                    self.transposed();
                }
                format!("w{}.{}", j % 32, ["x", "y"][j / 32])
            }
            Value::Received(j) => {
                if self.named.insert(value) {
                    let at = format!("plane_zero(l, {}u) + {j}u * l.lanes", p.received);
                    self.line(format_args!("let r{j} = swapped_a[{at}] ^ swapped_b[{at}];"));
                }
                format!("r{j}")
            }
            Value::Saved(j) => {
                if self.named.insert(value) {
                    self.line(format_args!("let s{j} = saved[plane_zero(l, {}u) + {j}u * l.lanes];", p.saved));
                }
                format!("s{j}")
            }
            Value::Mask(j) => {
                let (q, blocks) = (j / 16, p.masks.div_ceil(16));
                if self.named.insert(Value::Mask(16 * q)) {
                    self.line(format_args!("let m{q} = mask_rows(l.whole * {blocks}u + {q}u);"));
                }
                row("m", j)
            }
            Value::Dealt(j) => {
                let (q, blocks) = (j / 16, p.dealt.div_ceil(16));
                if self.named.insert(Value::Dealt(16 * q)) {
                    let at = format!("plane_zero(l, {}u) + {}u * l.lanes", p.dealt, 16 * q);
                    self.line(format_args!("let d{q} = dealt_rows(l.whole * {blocks}u + {q}u, {at}, l.lanes);"));
                }
                row("d", j)
            }
        }
    }

    /// The 64 planes of the words: a transposition of bits in low and high halves at once, as in `planes::transpose`.
    fn transposed(&mut self) {
        for i in 0..32 {
            self.line(format_args!("var w{i} = word_of(l, {i}u);"));
        }
        let (mut half, mut mask) = (16, 0xffffu32);
        while half > 0 {
            for k in (0..32).filter(|k| k & half == 0) {
                let other = k + half;
                let name = format!("x{half}_{k}");
                self.line(format_args!("let {name} = exchange(vec4<u32>(w{k}, w{other}), {half}u, {mask}u);"));
                self.line(format_args!("w{k} = {name}.xy;"));
                self.line(format_args!("w{other} = {name}.zw;"));
            }
            half >>= 1;
            mask ^= mask << half;
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // writing to a string cannot fail
        let _ = writeln!(self.out, "{line}");
    }
}

/// Contents of the registers before the first instruction.
fn sources(p: &Program) -> Vec<Value> {
    let constants = [ZERO, ONES, UNIT].map(Value::Register);
    let words = if p.words { 64 } else { 0 };
    let loaded = (0..words).map(Value::Word).chain((0..p.received).map(Value::Received)).chain((0..p.saved).map(Value::Saved));
    constants.into_iter().chain(loaded).chain((0..p.masks).map(Value::Mask)).chain((0..p.dealt).map(Value::Dealt)).collect()
}

/// After how many instructions all of these are known.
fn ready(values: &[Value]) -> usize {
    values.iter().map(|value| if let Value::Step(i) = value { i + 1 } else { 0 }).max().unwrap_or(0)
}

/// Plane `j` in rows of sixteen.
fn row(name: &str, j: usize) -> String {
    let (a, x) = (["a", "b", "c", "d"][j % 16 / 4], ["x", "y", "z", "w"][j % 4]);
    format!("{name}{}.{a}.{x}", j / 16)
}
