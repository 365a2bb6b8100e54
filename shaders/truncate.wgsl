// Truncation on the split view. deal: A -> T_A - F, m_A - F (fields), own and next component. pair: B, T, m -> masked half of
// m_A m_B (fields), component. finish: B, sent, received -> T_B + (sent + received) 2^(64-f). An item is a block of eight words
// of fields, that is 8 K elements, K = 64 / f: one ChaCha block of a stream of fields, K of a stream of words. Field i of word w
// is element i W + w, W the words of the block.

struct TruncateParams {
    first: u32,
    count: u32,
    n: u32,
    bits: u32,
    drawn: u32,
    padding_a: u32,
    padding_b: u32,
    padding_c: u32,
    value: Stream,
    wrap: Stream,
    out: Stream,
    other: Stream,
}

@group(0) @binding(0) var<uniform> p: TruncateParams;

@group(0) @binding(1) var<storage, read> a: array<Word>;
@group(0) @binding(2) var<storage, read_write> dealt_value: array<Word>;
@group(0) @binding(3) var<storage, read_write> dealt_wrap: array<Word>;
@group(0) @binding(4) var<storage, read_write> own: array<Word>;
@group(0) @binding(5) var<storage, read_write> next: array<Word>;

@group(0) @binding(1) var<storage, read> b: array<Word>;
@group(0) @binding(2) var<storage, read> value: array<Word>;
@group(0) @binding(3) var<storage, read> wrap: array<Word>;
@group(0) @binding(4) var<storage, read_write> message: array<Word>;
@group(0) @binding(5) var<storage, read_write> kept: array<Word>;

@group(0) @binding(2) var<storage, read> sent: array<Word>;
@group(0) @binding(3) var<storage, read> received: array<Word>;
@group(0) @binding(4) var<storage, read_write> result: array<Word>;

// Elements of an item that exist.
fn elements(item: u32) -> u32 {
    let most = 64u / p.bits * 8u;
    return min(most, p.n - (p.first + item) * most);
}

@compute @workgroup_size(64)
fn truncate_deal(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let k = 64u / p.bits;
    let up = 64u - p.bits;
    var wrap_mask = eight_words(p.wrap, p.first + item);
    var out_mask = eight_words(p.out, p.first + item);
    var other_mask = eight_words(p.other, p.first + item);
    let count = elements(item);
    let words = (count + k - 1u) / k;
    var mask: array<Word, 8>;
    var packed: array<Word, 8>;
    for (var e = 0u; e < count; e++) {
        if e % 8u == 0u {
            mask = eight_words(p.value, (p.first + item) * k + e / 8u);
        }
        let w = e % words;
        let i = e / words;
        let at = item * k * 8u + e;
        let split = shifted_lead(a[at], p.bits);
        let masked = sub(split.value, mask[e % 8u]);
        dealt_value[at] = masked;
        own[at] = add(masked, shl(field(out_mask[w], i, p.bits), up));
        next[at] = add(mask[e % 8u], shl(field(other_mask[w], i, p.bits), up));
        packed[w] = packed[w] | as_field(sub(from_u32(split.wrap), field(wrap_mask[w], i, p.bits)), i, p.bits);
    }
    for (var w = 0u; w < words; w++) {
        dealt_wrap[item * 8u + w] = packed[w];
    }
}

@compute @workgroup_size(64)
fn truncate_pair(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let k = 64u / p.bits;
    var wraps: array<Word, 8>;
    if p.drawn == 1u {
        wraps = eight_words(p.wrap, p.first + item);
    }
    var out_mask = eight_words(p.out, p.first + item);
    let count = elements(item);
    let words = (count + k - 1u) / k;
    var values: array<Word, 8>;
    var packed: array<Word, 8>;
    for (var e = 0u; e < count; e++) {
        let w = e % words;
        let i = e / words;
        let at = item * k * 8u + e;
        if p.drawn == 1u {
            if e % 8u == 0u {
                values = eight_words(p.value, (p.first + item) * k + e / 8u);
            }
        } else {
            values[e % 8u] = value[at];
            if i == 0u {
                wraps[w] = wrap[item * 8u + w];
            }
        }
        let mask = field(out_mask[w], i, p.bits);
        kept[at] = add(values[e % 8u], shl(mask, 64u - p.bits));
        let half = field(wraps[w], i, p.bits) & ones(msb(b[at]));
        packed[w] = packed[w] | as_field(sub(half, mask), i, p.bits);
    }
    for (var w = 0u; w < words; w++) {
        message[item * 8u + w] = packed[w];
    }
}

@compute @workgroup_size(64)
fn truncate_finish(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let k = 64u / p.bits;
    let count = elements(item);
    let words = (count + k - 1u) / k;
    for (var e = 0u; e < count; e++) {
        let w = item * 8u + e % words;
        let at = item * k * 8u + e;
        let sum = add(field(sent[w], e / words, p.bits), field(received[w], e / words, p.bits));
        result[at] = add(shifted_pair(b[at], p.bits).value, shl(sum, 64u - p.bits));
    }
}
