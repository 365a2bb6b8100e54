// Multiplications in registers, for benchmarks: x = x FACTOR + ADDEND again and again, sixteen chains side by side in 32-bit
// numbers or in words of the ring. An item is an invocation; its word is the XOR of its chains.

struct RateParams {
    first: u32,
    count: u32,
    turns: u32,
    ring: u32,
}

@group(0) @binding(0) var<uniform> p: RateParams;
@group(0) @binding(1) var<storage, read_write> z: array<Word>;

const FACTOR: u32 = 0x915f77f5u;
const ADDEND: u32 = 0x6c078965u;

fn short_turn(x: vec4<u32>) -> vec4<u32> { return x * vec4<u32>(FACTOR) + vec4<u32>(ADDEND); }

fn in_short(seed: u32) -> Word {
    var a = vec4<u32>(0u, 1u, 2u, 3u) + seed * 16u;
    var b = a + vec4<u32>(4u);
    var c = a + vec4<u32>(8u);
    var d = a + vec4<u32>(12u);
    for (var turn = 0u; turn < p.turns; turn++) {
        a = short_turn(short_turn(a));
        b = short_turn(short_turn(b));
        c = short_turn(short_turn(c));
        d = short_turn(short_turn(d));
    }
    let e = a ^ b ^ c ^ d;
    return from_u32(e.x ^ e.y ^ e.z ^ e.w);
}

fn words_from(first: u32) -> Quad { return quad(from_u32(first), from_u32(first + 1u), from_u32(first + 2u), from_u32(first + 3u)); }

fn ring_turn(x: Quad) -> Quad {
    let factor = word(FACTOR, ADDEND);
    let addend = word(ADDEND, FACTOR);
    return add4(mul4(x, quad(factor, factor, factor, factor)), quad(addend, addend, addend, addend));
}

fn in_ring(seed: u32) -> Word {
    var a = words_from(seed * 16u);
    var b = words_from(seed * 16u + 4u);
    var c = words_from(seed * 16u + 8u);
    var d = words_from(seed * 16u + 12u);
    for (var turn = 0u; turn < p.turns; turn++) {
        a = ring_turn(ring_turn(a));
        b = ring_turn(ring_turn(b));
        c = ring_turn(ring_turn(c));
        d = ring_turn(ring_turn(d));
    }
    let e = xor4(xor4(a, b), xor4(c, d));
    let lo = lows(e);
    let hi = highs(e);
    return word(lo.x ^ lo.y ^ lo.z ^ lo.w, hi.x ^ hi.y ^ hi.z ^ hi.w);
}

@compute @workgroup_size(64)
fn rate(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    if p.ring == 1u {
        z[item] = in_ring(p.first + item);
    } else {
        z[item] = in_short(p.first + item);
    }
}
