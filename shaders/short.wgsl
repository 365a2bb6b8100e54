// The short sign, [a > b'] by residues modulo 23: kernels::short says what is dealt, answered and found, and how numbers and
// streams lie. deal: A -> residues. pair: B, plane of B_63 ^ beta, residues -> blinded list. An item is a group of 64 elements,
// an invocation one of them. open: A, both lists -> plane of 1 ^ A_63 ^ found. An item is a tile of 16 lanes of 32 elements, an
// invocation a lane.

struct ShortParams {
    first: u32,
    count: u32,
    n: u32,
    is_first: u32,
    drawn: u32,
    padding_a: u32,
    padding_b: u32,
    padding_c: u32,
    deal: Stream,
    mask: Stream,
    blind: Stream,
}

const residues: u32 = 3404825447u;
const factors: u32 = 2494357888u;

@group(0) @binding(0) var<uniform> p: ShortParams;

@group(0) @binding(1) var<storage, read> a: array<Word>;
@group(0) @binding(2) var<storage, read_write> made: array<u32>;

@group(0) @binding(1) var<storage, read> b: array<Word>;
@group(0) @binding(2) var<storage, read> b_plane: array<u32>;
@group(0) @binding(3) var<storage, read> dealt: array<u32>;
@group(0) @binding(4) var<storage, read_write> answer: array<u32>;

@group(0) @binding(2) var<storage, read> list_a: array<u32>;
@group(0) @binding(3) var<storage, read> list_b: array<u32>;
@group(0) @binding(4) var<storage, read_write> u_plane: array<u32>;

// Elements of the group that holds element e.
fn group_size(e: u32) -> u32 { return min(p.n - e / 64u * 64u, 64u); }

// floor(n bound / 2^96) of the 96 bits x, y, z, lowest first.
fn scaled(x: u32, y: u32, z: u32, bound: u32) -> u32 {
    let low_part = high(wide(x, bound));
    let middle = high(add(wide(y, bound), from_u32(low_part)));
    return high(add(wide(z, bound), from_u32(middle)));
}

// 23^digit, digit < 7.
fn power_of(digit: u32) -> u32 {
    return select(1u, 23u, (digit & 1u) != 0u) * select(1u, 529u, (digit & 2u) != 0u) * select(1u, 279841u, (digit & 4u) != 0u);
}

// The four blocks of an element in the stream of the deal.
fn four_blocks(e: u32) -> array<u32, 64> {
    var random: array<u32, 64>;
    for (var q = 0u; q < 4u; q++) {
        var words = block(p.deal, e * 4u + q);
        for (var i = 0u; i < 16u; i++) {
            random[q * 16u + i] = words[i];
        }
    }
    return random;
}

@compute @workgroup_size(64)
fn short_deal(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group);
    let e = (p.first + item) * 64u + lane;
    if item >= p.count || e >= p.n {
        return;
    }
    let size = group_size(e);
    let at = item * 64u * 21u + lane;
    let own = a[item * 64u + lane];
    var random = four_blocks(e);
    for (var i = 0u; i < 21u; i++) {
        let bits = low(shr(own, 3u * i)) & 7u;
        var rest = scaled(random[3u * i], random[3u * i + 1u], random[3u * i + 2u], residues);
        var number = 0u;
        var power = 1u;
        for (var t = 1u; t <= 7u; t++) {
            let digit = select(0u, 1u, bits >= t) + 23u - rest % 23u;
            rest = rest / 23u;
            number += min(digit, digit - 23u) * power;
            power = power * 23u;
        }
        made[at + i * size] = number;
    }
    if e + 1u == p.n && (p.n * 21u) % 2u == 1u {
        made[at + 20u * size + 1u] = 0u;
    }
}

@compute @workgroup_size(64)
fn short_pair(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group);
    let e = (p.first + item) * 64u + lane;
    if item >= p.count || e >= p.n {
        return;
    }
    let size = group_size(e);
    let at = item * 64u * 21u + lane;
    let word_b = b[item * 64u + lane];
    let own = ~word_b;
    let place = plane_place(p.n, e);
    let direction = ((b_plane[place.x] >> place.y) & 1u) ^ msb(word_b);
    var random: array<u32, 64>;
    if p.drawn == 1u {
        random = four_blocks(e);
    }
    var mask = block(p.mask, e);
    var blind = block(p.blind, e);
    var to = scaled(blind[9], blind[10], blind[11], 21u);
    var power = power_of(to % 7u);
    var list = vec3<u32>(0u);
    var factor = 0u;
    var masks = 0u;
    var differ = 0u;
    for (var step = 0u; step < 21u; step++) {
        let i = 20u - step;
        if step % 7u == 0u {
            let w = step / 7u * 3u;
            factor = scaled(blind[w], blind[w + 1u], blind[w + 2u], factors);
            masks = scaled(mask[w], mask[w + 1u], mask[w + 2u], residues);
        }
        var rest: u32;
        if p.drawn == 1u {
            rest = scaled(random[3u * i], random[3u * i + 1u], random[3u * i + 2u], residues);
        } else {
            rest = dealt[at + i * size];
        }
        // digits w and w + 1; digit 0 is the half of 1, digit 8 is 0
        let w = low(shr(own, 3u * i)) & 7u;
        var here = p.is_first;
        var above = 0u;
        for (var t = 1u; t <= 7u; t++) {
            let digit = rest % 23u;
            rest = rest / 23u;
            here = select(here, digit, w == t);
            above = select(above, digit, w + 1u == t);
        }
        let less = select(here, above, i == 0u);
        let c = select(p.is_first + 23u - above, less, direction == 1u) + differ;
        differ += p.is_first + 23u - here + above;
        let r = masks % 23u;
        let value = (c * (factor % 22u + 1u) + select(23u - r, r, p.is_first == 1u)) % 23u;
        factor = factor / 22u;
        masks = masks / 23u;
        let part = to / 7u;
        list += select(vec3<u32>(0u), vec3<u32>(value * power), vec3<u32>(part) == vec3<u32>(0u, 1u, 2u));
        to = select(to + 1u, 0u, to == 20u);
        power = select(power * 23u, 1u, to % 7u == 0u);
    }
    let out = item * 64u * 3u + lane;
    answer[out] = list.x;
    answer[out + size] = list.y;
    answer[out + 2u * size] = list.z;
    if e + 1u == p.n && p.n % 2u == 1u {
        answer[out + 2u * size + 1u] = 0u;
    }
}

@compute @workgroup_size(64)
fn short_open(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
    let number = group_number(group) * 64u + index;
    let tile = number / 16u;
    let lane = number % 16u;
    let start = (p.first + tile) * 512u;
    if tile >= p.count || start >= p.n {
        return;
    }
    let lanes = lanes_of(p.n, start);
    if lane >= lanes {
        return;
    }
    var bits = 0u;
    for (var i = 0u; i < 32u; i++) {
        let r = i * lanes + lane;
        if start + r < p.n {
            let size = group_size(start + r);
            let at = (tile * 512u + r / 64u * 64u) * 3u + r % 64u;
            var found = 0u;
            for (var k = 0u; k < 3u; k++) {
                var x = list_a[at + k * size];
                var y = list_b[at + k * size];
                for (var t = 0u; t < 7u; t++) {
                    let sum = x % 23u + y % 23u;
                    x = x / 23u;
                    y = y / 23u;
                    found = select(found, 1u, sum == 0u || sum == 23u);
                }
            }
            bits |= (1u ^ msb(a[tile * 512u + r]) ^ found) << i;
        }
    }
    u_plane[tile * 16u + lane] = bits;
    if start + 512u >= p.n && lane + 1u == lanes && lanes % 2u == 1u {
        u_plane[tile * 16u + lanes] = 0u;
    }
}
