// The ring Z_2^64 in two 32-bit halves, low before high: WebGPU has no 64-bit integers.
// ring64_native.wgsl has the same functions on u64. The operators ^ & | ~ work on both.

alias Word = vec2<u32>;

fn word(lo: u32, hi: u32) -> Word { return vec2<u32>(lo, hi); }
fn from_u32(x: u32) -> Word { return vec2<u32>(x, 0u); }
fn zero() -> Word { return vec2<u32>(0u, 0u); }
fn low(x: Word) -> u32 { return x.x; }
fn high(x: Word) -> u32 { return x.y; }

fn add(x: Word, y: Word) -> Word {
    let lo = x.x + y.x;
    return vec2<u32>(lo, x.y + y.y + select(0u, 1u, lo < x.x));
}

fn sub(x: Word, y: Word) -> Word {
    return vec2<u32>(x.x - y.x, x.y - y.y - select(0u, 1u, x.x < y.x));
}

fn neg(x: Word) -> Word { return sub(zero(), x); }

// The full product of two 32-bit numbers.
fn wide(x: u32, y: u32) -> Word {
    let a = x & 0xffffu;
    let b = x >> 16u;
    let c = y & 0xffffu;
    let d = y >> 16u;
    let ac = a * c;
    let ad = a * d;
    let middle = (ac >> 16u) + (ad & 0xffffu) + b * c;
    // b c + 2 (2^16 - 1) < 2^32
    return vec2<u32>((middle << 16u) | (ac & 0xffffu), b * d + (ad >> 16u) + (middle >> 16u));
}

fn mul(x: Word, y: Word) -> Word {
    let z = wide(x.x, y.x);
    return vec2<u32>(z.x, z.y + x.x * y.y + x.y * y.x);
}

// x << by and x >> by (zeros come in), by < 64.
fn shl(x: Word, by: u32) -> Word {
    let part = by & 31u;
    // two shifts, since a shift by 32 - 0 would be one by 0
    let over = (x.x >> 1u) >> (31u - part);
    return select(vec2<u32>(x.x << part, (x.y << part) | over), vec2<u32>(0u, x.x << part), by >= 32u);
}

fn shr(x: Word, by: u32) -> Word {
    let part = by & 31u;
    let over = (x.y << 1u) << (31u - part);
    return select(vec2<u32>((x.x >> part) | over, x.y >> part), vec2<u32>(x.y >> part, 0u), by >= 32u);
}

// The sign bit.
fn msb(x: Word) -> u32 { return x.y >> 31u; }

// All ones for 1, zero for 0.
fn ones(bit: u32) -> Word { return vec2<u32>(0u - bit, 0u - bit); }

// x where the mask has ones, y elsewhere.
fn choose(mask: Word, x: Word, y: Word) -> Word { return (x & mask) | (y & ~mask); }

// Four words, as a vector of low and one of high halves.
struct Quad {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

fn halves(lo: vec4<u32>, hi: vec4<u32>) -> Quad { return Quad(lo, hi); }
fn lows(q: Quad) -> vec4<u32> { return q.lo; }
fn highs(q: Quad) -> vec4<u32> { return q.hi; }

fn quad(a: Word, b: Word, c: Word, d: Word) -> Quad {
    return Quad(vec4<u32>(a.x, b.x, c.x, d.x), vec4<u32>(a.y, b.y, c.y, d.y));
}

fn add4(x: Quad, y: Quad) -> Quad {
    let lo = x.lo + y.lo;
    return Quad(lo, x.hi + y.hi + select(vec4<u32>(0u), vec4<u32>(1u), lo < x.lo));
}

fn sub4(x: Quad, y: Quad) -> Quad {
    return Quad(x.lo - y.lo, x.hi - y.hi - select(vec4<u32>(0u), vec4<u32>(1u), x.lo < y.lo));
}

fn mul4(x: Quad, y: Quad) -> Quad {
    let a = x.lo & vec4<u32>(0xffffu);
    let b = x.lo >> vec4<u32>(16u);
    let c = y.lo & vec4<u32>(0xffffu);
    let d = y.lo >> vec4<u32>(16u);
    let ac = a * c;
    let ad = a * d;
    let middle = (ac >> vec4<u32>(16u)) + (ad & vec4<u32>(0xffffu)) + b * c;
    let carry = b * d + (ad >> vec4<u32>(16u)) + (middle >> vec4<u32>(16u));
    return Quad((middle << vec4<u32>(16u)) | (ac & vec4<u32>(0xffffu)), carry + x.lo * y.hi + x.hi * y.lo);
}

fn and4(x: Quad, y: Quad) -> Quad { return Quad(x.lo & y.lo, x.hi & y.hi); }
fn xor4(x: Quad, y: Quad) -> Quad { return Quad(x.lo ^ y.lo, x.hi ^ y.hi); }
