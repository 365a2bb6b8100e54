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

// Products that the sums hold, two a step.
const DEPTH: u32 = TERMS / 2u;

// Sums of rows 0 and 1, columns a and b, and the next words of x and y.
struct State {
    a0: Sum,
    b0: Sum,
    a1: Sum,
    b1: Sum,
    x: vec2<u32>,
    ya: vec4<u32>,
    yb: vec4<u32>,
}

fn own_four(i: vec4<u32>) -> Quad { return quad(y_own[i.x], y_own[i.y], y_own[i.z], y_own[i.w]); }

fn next_four(i: vec4<u32>) -> Quad { return quad(y_next[i.x], y_next[i.y], y_next[i.z], y_next[i.w]); }

fn advance(s: State, x_step: u32, y_step: u32) -> State {
    let own_a = own_four(s.ya);
    let own_b = own_four(s.yb);
    let both_a = add4(own_a, next_four(s.ya));
    let both_b = add4(own_b, next_four(s.yb));
    let own0 = x_own[s.x.x];
    let own1 = x_own[s.x.y];
    let next0 = x_next[s.x.x];
    let next1 = x_next[s.x.y];
    return State(
        mul_add(mul_add(s.a0, own0, both_a), next0, own_a),
        mul_add(mul_add(s.b0, own0, both_b), next0, own_b),
        mul_add(mul_add(s.a1, own1, both_a), next1, own_a),
        mul_add(mul_add(s.b1, own1, both_b), next1, own_b),
        s.x + x_step,
        s.ya + y_step,
        s.yb + y_step,
    );
}

@compute @workgroup_size(64)
fn matmul(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = tile(group_number(group), lane, p.first, p.count, p.m, p.n);
    if !t.live {
        return;
    }
    let windowed = p.batch == 1u && p.transpose_x == 0u;
    let x_panel = t.panel * p.m * p.k;
    let x_step = select(1u, p.m, p.transpose_x == 1u);
    let x_row = select(p.k, 1u, p.transpose_x == 1u);
    let y_step = select(p.n, 1u, p.transpose_y == 1u);
    let y_column = select(1u, p.k, p.transpose_y == 1u);
    // a row that does not exist reads another's words and is not stored
    let other = min(t.row + 8u, t.end - 1u);
    let top = select(0u, p.first, windowed);
    let y = t.panel * p.k * p.n;
    var s = State(
        no_sum(),
        no_sum(),
        no_sum(),
        no_sum(),
        x_panel + (vec2<u32>(t.row, other) - top) * x_row,
        y + columns_from(t.column, p.n) * y_column,
        y + columns_from(t.column + 4, p.n) * y_column,
    );
    for (var done = 0u; done < p.k; done += DEPTH) {
        let end = min(p.k - done, DEPTH);
        // four at a time: Mesa's software Vulkan leaves loops after 65,535 turns
        for (var k = 0u; k < end / 4u; k++) {
            s = advance(s, x_step, y_step);
            s = advance(s, x_step, y_step);
            s = advance(s, x_step, y_step);
            s = advance(s, x_step, y_step);
        }
        for (var k = 0u; k < end % 4u; k++) {
            s = advance(s, x_step, y_step);
        }
        s.a0 = settle(s.a0);
        s.b0 = settle(s.b0);
        s.a1 = settle(s.a1);
        s.b1 = settle(s.b1);
    }
    finish(t.whole, t.column, s.a0, s.b0);
    if t.row + 8u < t.end {
        finish(t.whole + 8u, t.column, s.a1, s.b1);
    }
}
