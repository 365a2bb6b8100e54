// One step of a Boolean circuit on planes: loads, a straight-line program, masks on what is sent. The entry point is written by
// kernels::unrolled, one for each program, and stands behind this file. An invocation is one lane of 32 elements; an item is a
// tile of 16 lanes. Planes and streams lie as kernels::planes says.

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
// The native twin interprets this; here it only fills places.
@group(0) @binding(1) var<storage, read> code: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> words: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> swapped_a: array<u32>;
@group(0) @binding(4) var<storage, read> swapped_b: array<u32>;
@group(0) @binding(5) var<storage, read> saved: array<u32>;
@group(0) @binding(6) var<storage, read> dealt: array<u32>;
@group(0) @binding(7) var<storage, read_write> message: array<u32>;
@group(0) @binding(8) var<storage, read_write> kept: array<u32>;

// Lane `lane` of `lanes` of a tile of the window; `whole` is its number in the streams.
struct Lane {
    live: bool,
    tile: u32,
    lane: u32,
    lanes: u32,
    whole: u32,
}

fn lane_of(number: u32) -> Lane {
    let tile = number / 16u;
    let lane = number % 16u;
    let lanes = lanes_of(p.n, (p.first + tile) * 512u);
    return Lane(tile < p.count && lane < lanes, tile, lane, lanes, (p.first + tile) * 16u + lane);
}

// Where plane 0 of this lane lies in a buffer of so many planes; the others follow `lanes` apart.
fn plane_zero(l: Lane, planes: u32) -> u32 { return l.tile * 16u * planes + l.lane; }

// Bit i of the lane is element i lanes + lane of the tile.
fn word_of(l: Lane, i: u32) -> vec2<u32> {
    let e = i * l.lanes + l.lane;
    if (p.first + l.tile) * 512u + e >= p.n {
        return vec2<u32>(0u, 0u);
    }
    return words[l.tile * 512u + e];
}

// One exchange of a transposition of 32 by 32 bits, on two planes of low and two of high halves: x.xy with x.zw.
fn exchange(x: vec4<u32>, half: u32, mask: u32) -> vec4<u32> {
    let swap = ((x.xy >> vec2<u32>(half)) ^ x.zw) & vec2<u32>(mask);
    return vec4<u32>(x.xy ^ (swap << vec2<u32>(half)), x.zw ^ swap);
}

// Sixteen planes of the masks.
fn mask_rows(counter: u32) -> Rows {
    let r = chacha(p.mask, counter);
    if p.both == 0u {
        return r;
    }
    let o = chacha(p.other, counter);
    return Rows(r.a ^ o.a, r.b ^ o.b, r.c ^ o.c, r.d ^ o.d);
}

fn four_dealt(at: u32, step: u32) -> vec4<u32> {
    return vec4<u32>(dealt[at], dealt[at + step], dealt[at + 2u * step], dealt[at + 3u * step]);
}

// Sixteen planes of what is dealt: drawn, or read from here on, planes that do not exist too.
fn dealt_rows(counter: u32, at: u32, step: u32) -> Rows {
    if p.drawn == 1u {
        return chacha(p.deal, counter);
    }
    return Rows(
        four_dealt(at, step), four_dealt(at + 4u * step, step), four_dealt(at + 8u * step, step), four_dealt(at + 12u * step, step),
    );
}

// Clears the half of a word that is left over where the lanes of all planes are odd in number, or the one word of no planes.
fn finish(l: Lane) {
    if (p.first + l.tile) * 512u + 512u < p.n || l.lane > 0u {
        return;
    }
    let sent = (l.tile * 16u + l.lanes) * p.outputs;
    let stays = (l.tile * 16u + l.lanes) * p.kept;
    for (var i = sent; i < max(2u, (sent + 1u) / 2u * 2u); i++) {
        message[i] = 0u;
    }
    for (var i = stays; i < max(2u, (stays + 1u) / 2u * 2u); i++) {
        kept[i] = 0u;
    }
    // never: every program has the same bindings
    if p.count == 0u {
        kept[0] = code[0].x ^ words[0].x ^ swapped_a[0] ^ swapped_b[0] ^ saved[0] ^ dealt[0];
    }
}
