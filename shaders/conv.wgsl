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
    var sum0a = no_sum();
    var sum0b = no_sum();
    var sum1a = no_sum();
    var sum1b = no_sum();
    var terms = 0u;
    for (var tap = 0u; tap < size; tap++) {
        let kh = tap / p.kernel_w;
        let kw = tap - kh * p.kernel_w;
        let a = taps(oh_a, ow_a, kh, kw);
        let b = taps(oh_b, ow_b, kh, kw);
        for (var done = 0u; done < channels; done += CHANNELS) {
            let end = min(channels, done + CHANNELS);
            for (var c = done; c < end; c++) {
                let xa = a.at + vec4<u32>(x_panel + c * area);
                let xb = b.at + vec4<u32>(x_panel + c * area);
                let own_a = and4(quad(x_own[xa.x], x_own[xa.y], x_own[xa.z], x_own[xa.w]), a.real);
                let own_b = and4(quad(x_own[xb.x], x_own[xb.y], x_own[xb.z], x_own[xb.w]), b.real);
                let next_a = and4(quad(x_next[xa.x], x_next[xa.y], x_next[xa.z], x_next[xa.w]), a.real);
                let next_b = and4(quad(x_next[xb.x], x_next[xb.y], x_next[xb.z], x_next[xb.w]), b.real);
                let w0 = y_own[y0 + c * size + tap];
                let w1 = y_own[y1 + c * size + tap];
                let both0 = add(w0, y_next[y0 + c * size + tap]);
                let both1 = add(w1, y_next[y1 + c * size + tap]);
                sum0a = mul_add(mul_add(sum0a, both0, own_a), w0, next_a);
                sum0b = mul_add(mul_add(sum0b, both0, own_b), w0, next_b);
                sum1a = mul_add(mul_add(sum1a, both1, own_a), w1, next_a);
                sum1b = mul_add(mul_add(sum1b, both1, own_b), w1, next_b);
            }
            terms += 2u * (end - done);
            if terms + 2u * CHANNELS > TERMS {
                sum0a = settle(sum0a);
                sum0b = settle(sum0b);
                sum1a = settle(sum1a);
                sum1b = settle(sum1b);
                terms = 0u;
            }
        }
    }
    finish(t.whole, t.column, first, count, sum0a, sum0b);
    if t.row + 8u < t.end {
        finish(t.whole + 8u, t.column, first, count, sum1a, sum1b);
    }
}
