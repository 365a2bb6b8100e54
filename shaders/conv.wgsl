// z = x_own * (y_own + y_next) + x_next * y_own + plus - minus, convolutions over the ring, masked: an implicit matrix product.
//
// x is (batch, in_channels, height, width), y is (out_channels, in_channels / groups, kernel_h, kernel_w), z is (batch, out_channels,
// out_height, out_width). An item is a row of z, that is an (image, output channel), or with by_image = 1 an image; a window of
// images begins at its first image in x too, else x is whole; y is always whole. Taps in the padding count as zero.

struct ConvParams {
    first: u32,
    count: u32,
    batch: u32,
    in_channels: u32,
    height: u32,
    width: u32,
    out_channels: u32,
    out_height: u32,
    out_width: u32,
    groups: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    by_image: u32,
    rows: u32,
    plus: Stream,
    minus: Stream,
}

@group(0) @binding(0) var<uniform> p: ConvParams;
@group(0) @binding(1) var<storage, read> x_own: array<Word>;
@group(0) @binding(2) var<storage, read> x_next: array<Word>;
@group(0) @binding(3) var<storage, read> y_own: array<Word>;
@group(0) @binding(4) var<storage, read> y_next: array<Word>;
@group(0) @binding(5) var<storage, read_write> z: array<Word>;

fn put(row: u32, column: i32, lo: u32, hi: u32) {
    let columns = p.out_height * p.out_width;
    if column >= 0 && column < i32(columns) {
        z[row * columns + u32(column)] = word(lo, hi);
    }
}

fn put_four(row: u32, column: i32, q: Quad) {
    let lo = lows(q);
    let hi = highs(q);
    put(row, column, lo.x, hi.x);
    put(row, column + 1, lo.y, hi.y);
    put(row, column + 2, lo.z, hi.z);
    put(row, column + 3, lo.w, hi.w);
}

// Masks and stores eight outputs of a row of the whole output, if it is one of the wanted.
fn finish(row: u32, column: i32, first: u32, count: u32, a: Sum, b: Sum) {
    if row < first || row >= first + count {
        return;
    }
    let counter = (row * p.out_height * p.out_width + u32(column)) / 8u;
    let f = eight(p.plus, counter);
    let g = eight(p.minus, counter);
    put_four(row - first, column, sub4(add4(total(a), f.a), g.a));
    put_four(row - first, column + 4, sub4(add4(total(b), f.b), g.b));
}

// Where four windows meet a tap in a channel, and ones where that is not in the padding.
struct Taps {
    at: vec4<u32>,
    real: Quad,
}

fn taps(oh: vec4<u32>, ow: vec4<u32>, kh: u32, kw: u32) -> Taps {
    let ih = oh * p.stride_h + vec4<u32>(kh * p.dilation_h - p.pad_h);
    let iw = ow * p.stride_w + vec4<u32>(kw * p.dilation_w - p.pad_w);
    let real = (ih < vec4<u32>(p.height)) & (iw < vec4<u32>(p.width));
    let ones = select(vec4<u32>(0u), vec4<u32>(0xffffffffu), real);
    return Taps((ih * p.width + iw) & ones, halves(ones, ones));
}

// Sums of each row's columns, first four then last four, and where the next channel's words lie.
struct State {
    sums: array<Sum, SUMS>,
    y: array<u32, ROWS>,
    xa: vec4<u32>,
    xb: vec4<u32>,
}

fn own_four(i: vec4<u32>, real: Quad) -> Quad { return and4(quad(x_own[i.x], x_own[i.y], x_own[i.z], x_own[i.w]), real); }

fn next_four(i: vec4<u32>, real: Quad) -> Quad { return and4(quad(x_next[i.x], x_next[i.y], x_next[i.z], x_next[i.w]), real); }

// Steps from the first of four channels to each, of which the first `count` exist.
fn steps(step: u32, count: u32) -> vec4<u32> { return min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u)) * step; }

fn own_pixels(i: vec4<u32>, s: vec4<u32>, real: Quad) -> Right {
    return right(FourQuads(own_four(i, real), own_four(i + s.y, real), own_four(i + s.z, real), own_four(i + s.w, real)));
}

fn next_pixels(i: vec4<u32>, s: vec4<u32>, real: Quad) -> Right {
    return right(FourQuads(next_four(i, real), next_four(i + s.y, real), next_four(i + s.z, real), next_four(i + s.w, real)));
}

// Weights of channels that do not exist are zero, so their pixels do not matter.
fn own_weights(i: u32, s: vec4<u32>, count: u32) -> Four {
    return Four(
        y_own[i], present(y_own[i + s.y], count > 1u), present(y_own[i + s.z], count > 2u), present(y_own[i + s.w], count > 3u),
    );
}

fn next_weights(i: u32, s: vec4<u32>, count: u32) -> Four {
    return Four(
        y_next[i], present(y_next[i + s.y], count > 1u), present(y_next[i + s.z], count > 2u), present(y_next[i + s.w], count > 3u),
    );
}

// The pixels of four channels in limbs.
struct Pixels {
    own_a: Right,
    own_b: Right,
    next_a: Right,
    next_b: Right,
}

fn advance_row(s: ptr<function, State>, r: u32, x: Pixels, size: u32, count: u32) {
    let ys = steps(size, count);
    let words = own_weights((*s).y[r], ys, count);
    let own = left(words);
    let both = left(add_words(words, next_weights((*s).y[r], ys, count)));
    (*s).sums[2u * r] = mul_add(mul_add((*s).sums[2u * r], both, x.own_a), own, x.next_a);
    (*s).sums[2u * r + 1u] = mul_add(mul_add((*s).sums[2u * r + 1u], both, x.own_b), own, x.next_b);
    (*s).y[r] += 4u * size;
}

// Four channels, or the last `count`. Rows one by one and not in a loop, whose turns Mesa's software Vulkan would count.
fn advance(s: ptr<function, State>, real_a: Quad, real_b: Quad, area: u32, size: u32, count: u32) {
    let xs = steps(area, count);
    let x = Pixels(
        own_pixels((*s).xa, xs, real_a),
        own_pixels((*s).xb, xs, real_b),
        next_pixels((*s).xa, xs, real_a),
        next_pixels((*s).xb, xs, real_b),
    );
    advance_row(s, 0u, x, size, count);
    if ROWS > 1u {
        advance_row(s, 1u, x, size, count);
    }
    if ROWS > 2u {
        advance_row(s, 2u, x, size, count);
        advance_row(s, 3u, x, size, count);
    }
    (*s).xa += vec4<u32>(4u * area);
    (*s).xb += vec4<u32>(4u * area);
}

@compute @workgroup_size(64)
fn conv(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let rows = p.out_channels / p.groups;
    let first = select(p.first, p.first * p.out_channels, p.by_image == 1u);
    let count = select(p.count, p.count * p.out_channels, p.by_image == 1u);
    let t = tile(group_number(group), lane, first, count, rows, p.out_height * p.out_width);
    if !t.live {
        return;
    }
    let channels = p.in_channels / p.groups;
    let area = p.height * p.width;
    let image = t.panel / p.groups - select(0u, p.first, p.by_image == 1u);
    let x_panel = (image * p.in_channels + t.panel % p.groups * channels) * area;
    let size = p.kernel_h * p.kernel_w;
    let top = t.panel % p.groups * rows;
    let ca = columns_from(t.column, p.out_height * p.out_width);
    let cb = columns_from(t.column + 4, p.out_height * p.out_width);
    let oh_a = ca / p.out_width;
    let oh_b = cb / p.out_width;
    let ow_a = ca - oh_a * p.out_width;
    let ow_b = cb - oh_b * p.out_width;
    var s: State;
    for (var i = 0u; i < SUMS; i++) {
        s.sums[i] = no_sum();
    }
    var held = 0u;
    for (var tap = 0u; tap < size; tap++) {
        let kh = tap / p.kernel_w;
        let kw = tap - kh * p.kernel_w;
        let a = taps(oh_a, ow_a, kh, kw);
        let b = taps(oh_b, ow_b, kh, kw);
        s.xa = a.at + x_panel;
        s.xb = b.at + x_panel;
        for (var r = 0u; r < ROWS; r++) {
            // a row that does not exist reads another's weights and is not stored
            s.y[r] = (top + min(t.row + 8u * r, t.end - 1u)) * channels * size + tap;
        }
        // four channels a turn, the last one fewer: Mesa's software Vulkan leaves a shader's loops after 65,535 turns in all
        for (var turn = 0u; turn < channels; turn += 4u) {
            advance(&s, a.real, b.real, area, size, min(4u, channels - turn));
            held += 8u;
            if held > TERMS - 8u {
                held = 0u;
                settle_all(&s);
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        if t.row + 8u * r < t.end {
            finish(t.whole + 8u * r, t.column, first, count, s.sums[2u * r], s.sums[2u * r + 1u]);
        }
    }
}
