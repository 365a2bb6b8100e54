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
    var x0 = x_panel + (t.row - top) * x_row;
    var x1 = x_panel + (other - top) * x_row;
    var ya = vec4<u32>(t.panel * p.k * p.n) + columns_from(t.column, p.n) * y_column;
    var yb = vec4<u32>(t.panel * p.k * p.n) + columns_from(t.column + 4, p.n) * y_column;
    var sum0a = no_sum();
    var sum0b = no_sum();
    var sum1a = no_sum();
    var sum1b = no_sum();
    for (var done = 0u; done < p.k; done += TERMS / 2u) {
        let end = min(p.k - done, TERMS / 2u);
        for (var k = 0u; k < end; k++) {
            let own_a = quad(y_own[ya.x], y_own[ya.y], y_own[ya.z], y_own[ya.w]);
            let own_b = quad(y_own[yb.x], y_own[yb.y], y_own[yb.z], y_own[yb.w]);
            let both_a = add4(own_a, quad(y_next[ya.x], y_next[ya.y], y_next[ya.z], y_next[ya.w]));
            let both_b = add4(own_b, quad(y_next[yb.x], y_next[yb.y], y_next[yb.z], y_next[yb.w]));
            let own0 = x_own[x0];
            let own1 = x_own[x1];
            let next0 = x_next[x0];
            let next1 = x_next[x1];
            sum0a = mul_add(mul_add(sum0a, own0, both_a), next0, own_a);
            sum0b = mul_add(mul_add(sum0b, own0, both_b), next0, own_b);
            sum1a = mul_add(mul_add(sum1a, own1, both_a), next1, own_a);
            sum1b = mul_add(mul_add(sum1b, own1, both_b), next1, own_b);
            x0 += x_step;
            x1 += x_step;
            ya += vec4<u32>(y_step);
            yb += vec4<u32>(y_step);
        }
        sum0a = settle(sum0a);
        sum0b = settle(sum0b);
        sum1a = settle(sum1a);
        sum1b = settle(sum1b);
    }
    finish(t.whole, t.column, sum0a, sum0b);
    if t.row + 8u < t.end {
        finish(t.whole + 8u, t.column, sum1a, sum1b);
    }
}
