// z = x_own (y_own + y_next) + x_next y_own + plus - minus, or the same on bits. An item is eight elements.

struct CrossParams {
    first: u32,
    count: u32,
    n: u32,
    binary: u32,
    plus: Stream,
    minus: Stream,
}

@group(0) @binding(0) var<uniform> p: CrossParams;
@group(0) @binding(1) var<storage, read> x_own: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> x_next: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> y_own: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> y_next: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> z: array<vec4<u32>>;

// Four elements from pair i on, of which at least one exists.
fn four(i: u32, left: u32, plus: Quad, minus: Quad) {
    let j = select(i, i + 1u, left > 2u);
    let xo = unpair(x_own[i], x_own[j]);
    let xn = unpair(x_next[i], x_next[j]);
    let yo = unpair(y_own[i], y_own[j]);
    let yn = unpair(y_next[i], y_next[j]);
    var sum: Quad;
    if p.binary == 1u {
        sum = xor4(xor4(and4(xo, xor4(yo, yn)), and4(xn, yo)), xor4(plus, minus));
    } else {
        sum = sub4(add4(add4(mul4(xo, add4(yo, yn)), mul4(xn, yo)), plus), minus);
    }
    z[i] = front(sum);
    if left > 2u {
        z[j] = back(sum);
    }
}

@compute @workgroup_size(64)
fn cross(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let f = eight(p.plus, p.first + item);
    let g = eight(p.minus, p.first + item);
    let left = p.n - (p.first + item) * 8u;
    four(item * 4u, left, f.a, g.a);
    if left > 4u {
        four(item * 4u + 2u, left - 4u, f.b, g.b);
    }
}
