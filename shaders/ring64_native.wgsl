// The ring Z_2^64 on u64, where the adapter has SHADER_INT64. The same functions as ring64.wgsl.

alias Word = u64;

fn word(lo: u32, hi: u32) -> Word { return u64(lo) | (u64(hi) << 32u); }
fn from_u32(x: u32) -> Word { return u64(x); }
fn zero() -> Word { return u64(0u); }
fn low(x: Word) -> u32 { return u32(x); }
fn high(x: Word) -> u32 { return u32(x >> 32u); }

fn add(x: Word, y: Word) -> Word { return x + y; }
fn sub(x: Word, y: Word) -> Word { return x - y; }
fn neg(x: Word) -> Word { return zero() - x; }
fn mul(x: Word, y: Word) -> Word { return x * y; }

// The full product of two 32-bit numbers.
fn wide(x: u32, y: u32) -> Word { return u64(x) * u64(y); }

// x << by and x >> by (zeros come in), by < 64.
fn shl(x: Word, by: u32) -> Word { return x << by; }
fn shr(x: Word, by: u32) -> Word { return x >> by; }

// The sign bit.
fn msb(x: Word) -> u32 { return u32(x >> 63u); }

// All ones for 1, zero for 0.
fn ones(bit: u32) -> Word { return zero() - u64(bit); }

// x where the mask has ones, y elsewhere.
fn choose(mask: Word, x: Word, y: Word) -> Word { return (x & mask) | (y & ~mask); }

// Four words.
alias Quad = vec4<u64>;

fn halves(lo: vec4<u32>, hi: vec4<u32>) -> Quad { return vec4<u64>(lo) | (vec4<u64>(hi) << vec4<u32>(32u)); }
fn lows(q: Quad) -> vec4<u32> { return vec4<u32>(q); }
fn highs(q: Quad) -> vec4<u32> { return vec4<u32>(q >> vec4<u32>(32u)); }
fn quad(a: Word, b: Word, c: Word, d: Word) -> Quad { return vec4<u64>(a, b, c, d); }
fn add4(x: Quad, y: Quad) -> Quad { return x + y; }
fn sub4(x: Quad, y: Quad) -> Quad { return x - y; }
fn mul4(x: Quad, y: Quad) -> Quad { return x * y; }
fn and4(x: Quad, y: Quad) -> Quad { return x & y; }
fn xor4(x: Quad, y: Quad) -> Quad { return x ^ y; }
