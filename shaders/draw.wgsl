// draw: out[e] = F[e]. mask: message[e] = x[e] - F[e], kept[e] = F[e]. An item is eight elements, one block.

struct DrawParams {
    first: u32,
    count: u32,
    n: u32,
    padding: u32,
    stream: Stream,
}

@group(0) @binding(0) var<uniform> p: DrawParams;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> message: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> kept: array<vec4<u32>>;

@compute @workgroup_size(64)
fn draw(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let f = chacha(p.stream, p.first + item);
    let rows = array<vec4<u32>, 4>(f.a, f.b, f.c, f.d);
    let left = p.n - (p.first + item) * 8u;
    for (var j = 0u; j < 4u; j++) {
        if 2u * j < left {
            out[item * 4u + j] = rows[j];
        }
    }
}

@compute @workgroup_size(64)
fn mask(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let item = group_number(group) * 64u + lane;
    if item >= p.count {
        return;
    }
    let f = chacha(p.stream, p.first + item);
    let rows = array<vec4<u32>, 4>(f.a, f.b, f.c, f.d);
    let left = p.n - (p.first + item) * 8u;
    for (var j = 0u; j < 4u; j++) {
        if 2u * j < left {
            let i = item * 4u + j;
            let both = x[i];
            let row = rows[j];
            kept[i] = row;
            message[i] = pair(
                sub(word(both.x, both.y), word(row.x, row.y)),
                sub(word(both.z, both.w), word(row.z, row.w)),
            );
        }
    }
}
