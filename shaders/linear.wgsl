// out[e] = alpha x[e] + beta y[g(e)] + gamma, g(e) = (e / inner) mod modulus, or x ^ y. An invocation makes two elements.

struct LinearParams {
    first: u32,
    count: u32,
    inner: u32,
    modulus: u32,
    alpha: vec2<u32>,
    beta: vec2<u32>,
    gamma: vec2<u32>,
    mode: u32,
    broadcast: u32,
}

@group(0) @binding(0) var<uniform> p: LinearParams;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> y: array<Word>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<u32>>;

// The element of y that meets element e of the window.
fn partner(e: u32) -> Word {
    if p.broadcast == 1u {
        return y[(p.first + e) / p.inner % p.modulus];
    }
    return y[e];
}

fn combine(x: Word, y: Word) -> Word {
    if p.mode == 1u {
        return x ^ y;
    }
    let scaled = add(mul(word(p.alpha.x, p.alpha.y), x), mul(word(p.beta.x, p.beta.y), y));
    return add(scaled, word(p.gamma.x, p.gamma.y));
}

@compute @workgroup_size(64)
fn linear(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group_number(group) * 64u + lane;
    if 2u * i >= p.count {
        return;
    }
    let both = x[i];
    let second = min(2u * i + 1u, p.count - 1u);
    out[i] = pair(combine(word(both.x, both.y), partner(2u * i)), combine(word(both.z, both.w), partner(second)));
}
