// One step of a Boolean circuit: loads planes, runs a straight-line program r[d] = r[a] ^ (r[b] & r[c]), masks what is sent. An
// invocation is one lane of 32 elements; an item is a tile of 16 lanes. Planes and streams as in kernels::planes.

struct BitsParams {
    first: u32,
    count: u32,
    n: u32,
    words: u32,
    received: u32,
    saved: u32,
    masks: u32,
    both: u32,
    dealt: u32,
    drawn: u32,
    unit: u32,
    code: u32,
    outputs: u32,
    kept: u32,
    padding_a: u32,
    padding_b: u32,
    mask: Stream,
    other: Stream,
    deal: Stream,
    out: Stream,
}

@group(0) @binding(0) var<uniform> p: BitsParams;
// An instruction d, a, b, c in 16 bits each; after p.code of them the registers of outputs and of what is kept.
@group(0) @binding(1) var<storage, read> code: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> words: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> swapped_a: array<u32>;
@group(0) @binding(4) var<storage, read> swapped_b: array<u32>;
@group(0) @binding(5) var<storage, read> saved: array<u32>;
@group(0) @binding(6) var<storage, read> dealt: array<u32>;
@group(0) @binding(7) var<storage, read_write> message: array<u32>;
@group(0) @binding(8) var<storage, read_write> kept: array<u32>;

const REGISTERS: u32 = 1024u;

var<private> r: array<u32, REGISTERS>;

// Transposes the 32 by 32 bits of the registers from here on.
fn turn(at: u32) {
    var mask = 0xffffu;
    for (var half = 16u; half > 0u; half >>= 1u) {
        for (var i = 0u; i < 16u; i++) {
            let k = at + i / half * half * 2u + i % half;
            let swap = ((r[k] >> half) ^ r[k + half]) & mask;
            r[k] ^= swap << half;
            r[k + half] ^= swap;
        }
        mask ^= mask << (half >> 1u);
    }
}

// The planes of this lane's elements: bit i of the lane is element i lanes + lane of the tile.
fn load_words(at: u32, tile: u32, lanes: u32, lane: u32) {
    let count = min(512u, p.n - (p.first + tile) * 512u);
    for (var i = 0u; i < 32u; i++) {
        let e = i * lanes + lane;
        var both = vec2<u32>(0u, 0u);
        if e < count {
            both = words[tile * 512u + e];
        }
        r[at + i] = both.x;
        r[at + 32u + i] = both.y;
    }
    turn(at);
    turn(at + 32u);
}

// Draws planes, added to what the registers hold if keep is all ones.
fn draw_planes(s: Stream, at: u32, planes: u32, lane: u32, keep: u32) {
    let blocks = (planes + 15u) / 16u;
    for (var q = 0u; q < blocks; q++) {
        var fresh = block(s, lane * blocks + q);
        for (var j = 0u; j < min(16u, planes - q * 16u); j++) {
            let to = at + q * 16u + j;
            r[to] = (r[to] & keep) ^ fresh[j];
        }
    }
}

@compute @workgroup_size(64)
fn bits(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let number = group_number(group) * 64u + index;
    let tile = number / 16u;
    let lane = number % 16u;
    if tile >= p.count {
        return;
    }
    let lanes = lanes_of(p.n, (p.first + tile) * 512u);
    if lane >= lanes {
        return;
    }
    // this lane in the streams; its place in a plane of this tile in memory, where plane j lies j lanes further
    let whole = (p.first + tile) * 16u + lane;
    r[0] = 0u;
    r[1] = 0xffffffffu;
    r[2] = p.unit;
    var at = 3u;
    if p.words == 1u {
        load_words(at, tile, lanes, lane);
        at += 64u;
    }
    for (var j = 0u; j < p.received; j++) {
        let i = tile * 16u * p.received + j * lanes + lane;
        r[at + j] = swapped_a[i] ^ swapped_b[i];
    }
    at += p.received;
    for (var j = 0u; j < p.saved; j++) {
        r[at + j] = saved[tile * 16u * p.saved + j * lanes + lane];
    }
    at += p.saved;
    draw_planes(p.mask, at, p.masks, whole, 0u);
    if p.both == 1u {
        draw_planes(p.other, at, p.masks, whole, 0xffffffffu);
    }
    at += p.masks;
    if p.drawn == 1u {
        draw_planes(p.deal, at, p.dealt, whole, 0u);
    } else {
        for (var j = 0u; j < p.dealt; j++) {
            r[at + j] = dealt[tile * 16u * p.dealt + j * lanes + lane];
        }
    }
    for (var i = 0u; i < p.code; i++) {
        let step = code[i];
        let value = r[step.x >> 16u] ^ (r[step.y & 0xffffu] & r[step.y >> 16u]);
        r[step.x & 0xffffu] = value;
    }
    let blocks = (p.outputs + 15u) / 16u;
    for (var q = 0u; q < blocks; q++) {
        var fresh = block(p.out, whole * blocks + q);
        for (var i = 0u; i < min(16u, p.outputs - q * 16u); i++) {
            let j = q * 16u + i;
            message[tile * 16u * p.outputs + j * lanes + lane] = r[code[p.code + j].x] ^ fresh[i];
        }
    }
    for (var j = 0u; j < p.kept; j++) {
        kept[tile * 16u * p.kept + j * lanes + lane] = r[code[p.code + p.outputs + j].x];
    }
    // half a word is left over where the lanes of all planes are odd in number, a whole one where there are no planes
    if (p.first + tile) * 512u + 512u >= p.n && lane == 0u {
        let sent = (tile * 16u + lanes) * p.outputs;
        let stays = (tile * 16u + lanes) * p.kept;
        for (var i = sent; i < max(2u, (sent + 1u) / 2u * 2u); i++) {
            message[i] = 0u;
        }
        for (var i = stays; i < max(2u, (stays + 1u) / 2u * 2u); i++) {
            kept[i] = 0u;
        }
    }
}
