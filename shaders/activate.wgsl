// Truncation times a split bit u ^ b. deal: A, u plane -> T_A, T_A u, u, and as fields m_A, m_A u, all masked. pair: B, b plane and
// these -> masked half of the result, the mask: with X = T_A u + T_B u + 2^(64-f) m_B (m_A u) and
// S = T_A + [first] T_B + 2^(64-f) m_B m_A in halves, h = b ? S - X : X. An item is a block of fields, as in truncate.wgsl; the
// message of fields holds, item by item, up to eight words of m_A and then as many of m_A u.

struct ActivateParams {
    first: u32,
    count: u32,
    n: u32,
    bits: u32,
    is_first: u32,
    drawn: u32,
    padding_a: u32,
    padding_b: u32,
    dealt: array<Stream, 5>,
    out: Stream,
}

@group(0) @binding(0) var<uniform> p: ActivateParams;

@group(0) @binding(1) var<storage, read> a: array<Word>;
@group(0) @binding(2) var<storage, read> u_plane: array<u32>;
@group(0) @binding(3) var<storage, read_write> dealt_value: array<Word>;
@group(0) @binding(4) var<storage, read_write> dealt_product: array<Word>;
@group(0) @binding(5) var<storage, read_write> dealt_bit: array<Word>;
@group(0) @binding(6) var<storage, read_write> dealt_wraps: array<Word>;

@group(0) @binding(1) var<storage, read> b: array<Word>;
@group(0) @binding(2) var<storage, read> b_plane: array<u32>;
@group(0) @binding(3) var<storage, read> value: array<Word>;
@group(0) @binding(4) var<storage, read> product: array<Word>;
@group(0) @binding(5) var<storage, read> bit: array<Word>;
@group(0) @binding(6) var<storage, read> wraps: array<Word>;
@group(0) @binding(7) var<storage, read_write> message: array<Word>;
@group(0) @binding(8) var<storage, read_write> kept: array<Word>;

// Elements of an item that exist.
fn elements(item: u32) -> u32 {
    let most = 64u / p.bits * 8u;
    return min(most, p.n - (p.first + item) * most);
}

@compute @workgroup_size(64)
fn activate_deal(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let k = 64u / p.bits;
    let count = elements(item);
    let words = (count + k - 1u) / k;
    var wrap_mask = eight_words(p.dealt[3], p.first + item);
    var both_mask = eight_words(p.dealt[4], p.first + item);
    var value_mask: array<Word, 8>;
    var product_mask: array<Word, 8>;
    var bit_mask: array<Word, 8>;
    var packed_wrap: array<Word, 8>;
    var packed_both: array<Word, 8>;
    for (var e = 0u; e < count; e++) {
        if e % 8u == 0u {
            let counter = (p.first + item) * k + e / 8u;
            value_mask = eight_words(p.dealt[0], counter);
            product_mask = eight_words(p.dealt[1], counter);
            bit_mask = eight_words(p.dealt[2], counter);
        }
        let w = e % words;
        let i = e / words;
        let at = item * k * 8u + e;
        let place = plane_place(p.n, (p.first + item) * k * 8u + e);
        let u = (u_plane[place.x] >> place.y) & 1u;
        let split = shifted_lead(a[at], p.bits);
        dealt_value[at] = sub(split.value, value_mask[e % 8u]);
        dealt_product[at] = sub(split.value & ones(u), product_mask[e % 8u]);
        dealt_bit[at] = sub(from_u32(u), bit_mask[e % 8u]);
        packed_wrap[w] = packed_wrap[w] | as_field(sub(from_u32(split.wrap), field(wrap_mask[w], i, p.bits)), i, p.bits);
        packed_both[w] = packed_both[w] | as_field(sub(from_u32(split.wrap & u), field(both_mask[w], i, p.bits)), i, p.bits);
    }
    for (var w = 0u; w < words; w++) {
        dealt_wraps[item * 16u + w] = packed_wrap[w];
        dealt_wraps[item * 16u + words + w] = packed_both[w];
    }
}

@compute @workgroup_size(64)
fn activate_pair(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let k = 64u / p.bits;
    let up = 64u - p.bits;
    let count = elements(item);
    let words = (count + k - 1u) / k;
    var wrap: array<Word, 8>;
    var both: array<Word, 8>;
    if p.drawn == 1u {
        wrap = eight_words(p.dealt[3], p.first + item);
        both = eight_words(p.dealt[4], p.first + item);
    } else {
        for (var w = 0u; w < words; w++) {
            wrap[w] = wraps[item * 16u + w];
            both[w] = wraps[item * 16u + words + w];
        }
    }
    var values: array<Word, 8>;
    var products: array<Word, 8>;
    var bits: array<Word, 8>;
    var out_mask: array<Word, 8>;
    for (var e = 0u; e < count; e++) {
        let j = e % 8u;
        let at = item * k * 8u + e;
        if j == 0u {
            let counter = (p.first + item) * k + e / 8u;
            out_mask = eight_words(p.out, counter);
            if p.drawn == 1u {
                values = eight_words(p.dealt[0], counter);
                products = eight_words(p.dealt[1], counter);
                bits = eight_words(p.dealt[2], counter);
            }
        }
        if p.drawn == 0u {
            values[j] = value[at];
            products[j] = product[at];
            bits[j] = bit[at];
        }
        let place = plane_place(p.n, (p.first + item) * k * 8u + e);
        let selected = ones((b_plane[place.x] >> place.y) & 1u);
        let split = shifted_pair(b[at], p.bits);
        let wrapped = ones(split.wrap);
        let m = shl(field(wrap[e % words], e / words, p.bits), up);
        let mu = shl(field(both[e % words], e / words, p.bits), up);
        let x = add(add(products[j], mul(split.value, bits[j])), mu & wrapped);
        let s = add(add(values[j], split.value & ones(p.is_first)), m & wrapped);
        message[at] = sub(choose(selected, sub(s, x), x), out_mask[j]);
        kept[at] = out_mask[j];
    }
}
