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
    padding: u32,
    plus: Stream,
    minus: Stream,
}

@group(0) @binding(0) var<uniform> p: ConvParams;
@group(0) @binding(1) var<storage, read> x_own: array<Word>;
@group(0) @binding(2) var<storage, read> x_next: array<Word>;
@group(0) @binding(3) var<storage, read> y_own: array<Word>;
@group(0) @binding(4) var<storage, read> y_next: array<Word>;
@group(0) @binding(5) var<storage, read_write> z: array<Word>;

// Channels between two looks at how many products the sums hold.
const CHANNELS: u32 = 8192u;

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

// Sums of rows 0 and 1, columns a and b, and where the next channel's words lie.
struct State {
    a0: Sum,
    b0: Sum,
    a1: Sum,
    b1: Sum,
    xa: vec4<u32>,
    xb: vec4<u32>,
    y: vec2<u32>,
}

fn own_four(i: vec4<u32>, real: Quad) -> Quad { return and4(quad(x_own[i.x], x_own[i.y], x_own[i.z], x_own[i.w]), real); }

fn next_four(i: vec4<u32>, real: Quad) -> Quad { return and4(quad(x_next[i.x], x_next[i.y], x_next[i.z], x_next[i.w]), real); }

fn advance(s: State, real_a: Quad, real_b: Quad, area: u32, size: u32) -> State {
    let own_a = own_four(s.xa, real_a);
    let own_b = own_four(s.xb, real_b);
    let next_a = next_four(s.xa, real_a);
    let next_b = next_four(s.xb, real_b);
    let w0 = y_own[s.y.x];
    let w1 = y_own[s.y.y];
    let both0 = add(w0, y_next[s.y.x]);
    let both1 = add(w1, y_next[s.y.y]);
    return State(
        mul_add(mul_add(s.a0, both0, own_a), w0, next_a),
        mul_add(mul_add(s.b0, both0, own_b), w0, next_b),
        mul_add(mul_add(s.a1, both1, own_a), w1, next_a),
        mul_add(mul_add(s.b1, both1, own_b), w1, next_b),
        s.xa + area,
        s.xb + area,
        s.y + size,
    );
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
    // a row that does not exist reads another's weights and is not stored
    let y0 = (top + t.row) * channels * size;
    let y1 = (top + min(t.row + 8u, t.end - 1u)) * channels * size;
    let ca = columns_from(t.column, p.out_height * p.out_width);
    let cb = columns_from(t.column + 4, p.out_height * p.out_width);
    let oh_a = ca / p.out_width;
    let oh_b = cb / p.out_width;
    let ow_a = ca - oh_a * p.out_width;
    let ow_b = cb - oh_b * p.out_width;
    var s: State;
    s.a0 = no_sum();
    s.b0 = no_sum();
    s.a1 = no_sum();
    s.b1 = no_sum();
    var terms = 0u;
    for (var tap = 0u; tap < size; tap++) {
        let kh = tap / p.kernel_w;
        let kw = tap - kh * p.kernel_w;
        let a = taps(oh_a, ow_a, kh, kw);
        let b = taps(oh_b, ow_b, kh, kw);
        s.xa = a.at + x_panel;
        s.xb = b.at + x_panel;
        s.y = vec2<u32>(y0, y1) + tap;
        for (var done = 0u; done < channels; done += CHANNELS) {
            let end = min(channels, done + CHANNELS);
            // four at a time: Mesa's software Vulkan leaves loops after 65,535 turns
            for (var c = 0u; c < (end - done) / 4u; c++) {
                s = advance(s, a.real, b.real, area, size);
                s = advance(s, a.real, b.real, area, size);
                s = advance(s, a.real, b.real, area, size);
                s = advance(s, a.real, b.real, area, size);
            }
            for (var c = 0u; c < (end - done) % 4u; c++) {
                s = advance(s, a.real, b.real, area, size);
            }
            terms += 2u * (end - done);
            if terms + 2u * CHANNELS > TERMS {
                s.a0 = settle(s.a0);
                s.b0 = settle(s.b0);
                s.a1 = settle(s.a1);
                s.b1 = settle(s.b1);
                terms = 0u;
            }
        }
    }
    finish(t.whole, t.column, first, count, s.a0, s.b0);
    if t.row + 8u < t.end {
        finish(t.whole + 8u, t.column, first, count, s.a1, s.b1);
    }
}
