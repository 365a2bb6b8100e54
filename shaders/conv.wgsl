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

fn taps(o: Outputs, tap: u32) -> Taps {
    let kh = tap / p.kernel_w;
    let kw = tap - kh * p.kernel_w;
    let ih = o.h * p.stride_h + vec4<u32>(kh * p.dilation_h - p.pad_h);
    let iw = o.w * p.stride_w + vec4<u32>(kw * p.dilation_w - p.pad_w);
    let real = (ih < vec4<u32>(p.height)) & (iw < vec4<u32>(p.width));
    let ones = select(vec4<u32>(0u), vec4<u32>(0xffffffffu), real);
    return Taps((ih * p.width + iw) & ones, halves(ones, ones));
}

// Sums of each row's columns, first four then last four, and where the next channel's weights lie.
struct State {
    sums: array<Sum, SUMS>,
    y: array<u32, ROWS>,
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

// Rows one by one and not in a loop, whose turns Mesa's software Vulkan would count.
fn advance_rows(s: ptr<function, State>, x: Pixels, count: u32) {
    let size = p.kernel_h * p.kernel_w;
    advance_row(s, 0u, x, size, count);
    if ROWS > 1u {
        advance_row(s, 1u, x, size, count);
    }
    if ROWS > 2u {
        advance_row(s, 2u, x, size, count);
        advance_row(s, 3u, x, size, count);
    }
}

// Rows of the whole output that this window holds: first and count.
fn wanted() -> vec2<u32> {
    return vec2<u32>(p.first, p.count) * select(1u, p.out_channels, p.by_image == 1u);
}

fn tile_of(group: vec3<u32>, lane: u32) -> Tile {
    let rows = wanted();
    return tile(group_number(group), lane, rows.x, rows.y, p.out_channels / p.groups, p.out_height * p.out_width);
}

// Where a panel's channels begin.
fn x_panel(panel: u32) -> u32 {
    let image = panel / p.groups - select(0u, p.first, p.by_image == 1u);
    return (image * p.in_channels + panel % p.groups * (p.in_channels / p.groups)) * p.height * p.width;
}

fn start(s: ptr<function, State>) {
    for (var i = 0u; i < SUMS; i++) {
        (*s).sums[i] = no_sum();
    }
}

// Each row's first weight of a tap. A row that does not exist reads another's and is not stored.
fn start_tap(s: ptr<function, State>, t: Tile, panel: u32, tap: u32) {
    let top = panel % p.groups * (p.out_channels / p.groups);
    for (var r = 0u; r < ROWS; r++) {
        (*s).y[r] = (top + min(t.row + 8u * r, t.end - 1u)) * (p.in_channels / p.groups) * p.kernel_h * p.kernel_w + tap;
    }
}

fn finish_all(s: ptr<function, State>, t: Tile) {
    let rows = wanted();
    for (var r = 0u; r < ROWS; r++) {
        if t.row + 8u * r < t.end {
            finish(t.whole + 8u * r, t.column, rows.x, rows.y, (*s).sums[2u * r], (*s).sums[2u * r + 1u]);
        }
    }
}

// Rows and columns of four neighbouring outputs.
struct Outputs {
    h: vec4<u32>,
    w: vec4<u32>,
}

fn outputs_from(column: i32) -> Outputs {
    let c = columns_from(column, p.out_height * p.out_width);
    let h = c / p.out_width;
    return Outputs(h, c - h * p.out_width);
}
