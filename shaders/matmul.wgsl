// z = x_own (y_own + y_next) + x_next y_own + plus - minus, matrix products over the ring, masked.
//
// x is (batch, m, k), or (batch, k, m) if transpose_x; y is (batch, k, n), or (batch, n, k) if transpose_y; z is (batch, m, n).
// An item is a row of z over all batches. In a window z begins at its first row; x does too if batch = 1 and x is not
// transposed, else x is whole; y is always whole.

struct MatmulParams {
    first: u32,
    count: u32,
    batch: u32,
    m: u32,
    k: u32,
    n: u32,
    transpose_x: u32,
    transpose_y: u32,
    rows: u32,
    padding_a: u32,
    padding_b: u32,
    padding_c: u32,
    plus: Stream,
    minus: Stream,
}

@group(0) @binding(0) var<uniform> p: MatmulParams;
@group(0) @binding(1) var<storage, read> x_own: array<Word>;
@group(0) @binding(2) var<storage, read> x_next: array<Word>;
@group(0) @binding(3) var<storage, read> y_own: array<Word>;
@group(0) @binding(4) var<storage, read> y_next: array<Word>;
@group(0) @binding(5) var<storage, read_write> z: array<Word>;

fn put(row: u32, column: i32, lo: u32, hi: u32) {
    if column >= 0 && column < i32(p.n) {
        z[row * p.n + u32(column)] = word(lo, hi);
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

// Masks and stores eight outputs of a row of the whole output, if it is wanted.
fn finish(row: u32, column: i32, a: Sum, b: Sum) {
    if row < p.first || row >= p.first + p.count {
        return;
    }
    let counter = (row * p.n + u32(column)) / 8u;
    let f = eight(p.plus, counter);
    let g = eight(p.minus, counter);
    put_four(row - p.first, column, sub4(add4(total(a), f.a), g.a));
    put_four(row - p.first, column + 4, sub4(add4(total(b), f.b), g.b));
}

// Sums of each row's columns, first four then last four, and where the next words of x lie.
struct State {
    sums: array<Sum, SUMS>,
    x: array<u32, ROWS>,
}

fn own_four(i: vec4<u32>) -> Quad { return quad(y_own[i.x], y_own[i.y], y_own[i.z], y_own[i.w]); }

fn next_four(i: vec4<u32>) -> Quad { return quad(y_next[i.x], y_next[i.y], y_next[i.z], y_next[i.w]); }

// Steps from the first of four depths to each, of which the first `count` exist.
fn steps(step: u32, count: u32) -> vec4<u32> { return min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u)) * step; }

fn own_columns(i: vec4<u32>, s: vec4<u32>) -> FourQuads {
    return FourQuads(own_four(i), own_four(i + s.y), own_four(i + s.z), own_four(i + s.w));
}

fn next_columns(i: vec4<u32>, s: vec4<u32>) -> FourQuads {
    return FourQuads(next_four(i), next_four(i + s.y), next_four(i + s.z), next_four(i + s.w));
}

// Words of x at depths that do not exist are zero, so those of y do not matter.
fn own_row(i: u32, s: vec4<u32>, count: u32) -> Left {
    return left(Four(
        x_own[i], present(x_own[i + s.y], count > 1u), present(x_own[i + s.z], count > 2u), present(x_own[i + s.w], count > 3u),
    ));
}

fn next_row(i: u32, s: vec4<u32>, count: u32) -> Left {
    return left(Four(
        x_next[i], present(x_next[i + s.y], count > 1u), present(x_next[i + s.z], count > 2u), present(x_next[i + s.w], count > 3u),
    ));
}

// The columns of four depths in limbs: y_own and y_own + y_next.
struct Columns {
    own_a: Right,
    own_b: Right,
    both_a: Right,
    both_b: Right,
}

fn advance_row(s: ptr<function, State>, r: u32, y: Columns, x_step: u32, count: u32) {
    let xs = steps(x_step, count);
    let own = own_row((*s).x[r], xs, count);
    let next = next_row((*s).x[r], xs, count);
    (*s).sums[2u * r] = mul_add(mul_add((*s).sums[2u * r], own, y.both_a), next, y.own_a);
    (*s).sums[2u * r + 1u] = mul_add(mul_add((*s).sums[2u * r + 1u], own, y.both_b), next, y.own_b);
    (*s).x[r] += 4u * x_step;
}

// Rows one by one and not in a loop, whose turns Mesa's software Vulkan would count.
fn advance_rows(s: ptr<function, State>, y: Columns, x_step: u32, count: u32) {
    advance_row(s, 0u, y, x_step, count);
    if ROWS > 1u {
        advance_row(s, 1u, y, x_step, count);
    }
    if ROWS > 2u {
        advance_row(s, 2u, y, x_step, count);
        advance_row(s, 3u, y, x_step, count);
    }
}

// No sums, and each row's first word of x. A row that does not exist reads another's and is not stored.
fn start(s: ptr<function, State>, t: Tile, panel: u32) {
    let top = select(0u, p.first, p.batch == 1u && p.transpose_x == 0u);
    let x_row = select(p.k, 1u, p.transpose_x == 1u);
    for (var r = 0u; r < ROWS; r++) {
        (*s).sums[2u * r] = no_sum();
        (*s).sums[2u * r + 1u] = no_sum();
        (*s).x[r] = panel * p.m * p.k + (min(t.row + 8u * r, t.end - 1u) - top) * x_row;
    }
}

fn finish_all(s: ptr<function, State>, t: Tile) {
    for (var r = 0u; r < ROWS; r++) {
        if t.row + 8u * r < t.end {
            finish(t.whole + 8u * r, t.column, (*s).sums[2u * r], (*s).sums[2u * r + 1u]);
        }
    }
}

fn x_steps() -> u32 { return select(1u, p.m, p.transpose_x == 1u); }

fn y_steps() -> u32 { return select(p.n, 1u, p.transpose_y == 1u); }

// Where the first words of four columns of y lie.
fn y_columns(panel: u32, column: i32) -> vec4<u32> {
    return panel * p.k * p.n + columns_from(column, p.n) * select(1u, p.k, p.transpose_y == 1u);
}
