// Bit times word, x (u ^ b) with x = A + B. deal: A, u plane -> Au - F, u - F. pair: a, B, b plane, Au, u -> h - F, F with
// t = Au + B u and h = b ? a + [first] B - t : t. A lift is the same for the public word 1. An item is eight elements.

struct InjectParams {
    first: u32,
    count: u32,
    n: u32,
    is_first: u32,
    drawn: u32,
    lift: u32,
    padding_a: u32,
    padding_b: u32,
    product: Stream,
    bit: Stream,
    out: Stream,
}

@group(0) @binding(0) var<uniform> p: InjectParams;

@group(0) @binding(1) var<storage, read> a: array<Word>;
@group(0) @binding(2) var<storage, read> u_plane: array<u32>;
@group(0) @binding(3) var<storage, read_write> dealt_product: array<Word>;
@group(0) @binding(4) var<storage, read_write> dealt_bit: array<Word>;

@group(0) @binding(1) var<storage, read> half: array<Word>;
@group(0) @binding(2) var<storage, read> b: array<Word>;
@group(0) @binding(3) var<storage, read> b_plane: array<u32>;
@group(0) @binding(4) var<storage, read> product: array<Word>;
@group(0) @binding(5) var<storage, read> bit: array<Word>;
@group(0) @binding(6) var<storage, read_write> message: array<Word>;
@group(0) @binding(7) var<storage, read_write> kept: array<Word>;

@compute @workgroup_size(64)
fn inject_deal(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let counter = p.first + item;
    var bit_mask = eight_words(p.bit, counter);
    var product_mask: array<Word, 8>;
    if p.lift == 0u {
        product_mask = eight_words(p.product, counter);
    }
    for (var e = 0u; e < min(8u, p.n - counter * 8u); e++) {
        let place = plane_place(p.n, counter * 8u + e);
        let u = (u_plane[place.x] >> place.y) & 1u;
        let at = item * 8u + e;
        dealt_bit[at] = sub(from_u32(u), bit_mask[e]);
        if p.lift == 0u {
            dealt_product[at] = sub(a[at] & ones(u), product_mask[e]);
        }
    }
}

@compute @workgroup_size(64)
fn inject_pair(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let counter = p.first + item;
    var out_mask = eight_words(p.out, counter);
    var bits: array<Word, 8>;
    var products: array<Word, 8>;
    if p.drawn == 1u {
        bits = eight_words(p.bit, counter);
        if p.lift == 0u {
            products = eight_words(p.product, counter);
        }
    }
    for (var e = 0u; e < min(8u, p.n - counter * 8u); e++) {
        let place = plane_place(p.n, counter * 8u + e);
        let at = item * 8u + e;
        var t = bits[e];
        if p.drawn == 0u {
            t = bit[at];
        }
        // for a lift A and Au are 0 and B is 1
        var all = from_u32(p.is_first);
        if p.lift == 0u {
            let word = b[at];
            t = mul(word, t);
            if p.drawn == 1u {
                t = add(t, products[e]);
            } else {
                t = add(t, product[at]);
            }
            all = add(half[at], word & ones(p.is_first));
        }
        let selected = ones((b_plane[place.x] >> place.y) & 1u);
        message[at] = sub(choose(selected, sub(all, t), t), out_mask[e]);
        kept[at] = out_mask[e];
    }
}
