// view: out[i_0, .., i_4] = x[offset + sum_d i_d stride_d]. tap: each pooling window's element at one tap, its first real one
// if that lies in the padding. window_sum: the sum over each window's real taps. An item is one element.

struct ViewParams {
    first: u32,
    count: u32,
    offset: u32,
    padding: u32,
    extents: vec4<u32>,
    strides: vec4<u32>,
    outer: u32,
    padding_a: u32,
    padding_b: u32,
    padding_c: u32,
}

// Pairs are rows, columns.
struct PoolParams {
    first: u32,
    count: u32,
    input: vec2<u32>,
    output: vec2<u32>,
    kernel: vec2<u32>,
    stride: vec2<u32>,
    pad: vec2<u32>,
    dilation: vec2<u32>,
    tap: vec2<u32>,
}

@group(0) @binding(0) var<uniform> p: ViewParams;
@group(0) @binding(0) var<uniform> q: PoolParams;
@group(0) @binding(1) var<storage, read> x: array<Word>;
@group(0) @binding(2) var<storage, read_write> out: array<Word>;

@compute @workgroup_size(64)
fn view(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group_number(group) * 64u + lane;
    if i >= p.count {
        return;
    }
    var rest = p.first + i;
    var at = p.offset + rest % p.extents.w * p.strides.w;
    rest /= p.extents.w;
    at += rest % p.extents.z * p.strides.z;
    rest /= p.extents.z;
    at += rest % p.extents.y * p.strides.y;
    rest /= p.extents.y;
    at += rest % p.extents.x * p.strides.x + rest / p.extents.x * p.outer;
    out[i] = x[at];
}

// The position of tap k of window o, not below the extent if it lies in the padding.
fn position(o: vec2<u32>, k: vec2<u32>) -> vec2<u32> { return o * q.stride + k * q.dilation - q.pad; }

// Window e: its plane's first element, its row and column.
struct Place {
    plane: u32,
    window: vec2<u32>,
}

fn place(e: u32) -> Place {
    let row = e / q.output.y;
    return Place(row / q.output.x * q.input.x * q.input.y, vec2<u32>(row % q.output.x, e % q.output.y));
}

@compute @workgroup_size(64)
fn tap(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group_number(group) * 64u + lane;
    if i >= q.count {
        return;
    }
    let here = place(q.first + i);
    var at = position(here.window, q.tap);
    for (var k = 0u; k < q.kernel.x && at.x >= q.input.x; k++) {
        at.x = position(here.window, vec2<u32>(k, 0u)).x;
    }
    for (var k = 0u; k < q.kernel.y && at.y >= q.input.y; k++) {
        at.y = position(here.window, vec2<u32>(0u, k)).y;
    }
    at = select(at, vec2<u32>(0u), at >= q.input);
    out[i] = x[here.plane + at.x * q.input.y + at.y];
}

@compute @workgroup_size(64)
fn window_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group_number(group) * 64u + lane;
    if i >= q.count {
        return;
    }
    let here = place(q.first + i);
    var sum = zero();
    for (var h = 0u; h < q.kernel.x; h++) {
        for (var w = 0u; w < q.kernel.y; w++) {
            let at = position(here.window, vec2<u32>(h, w));
            if all(at < q.input) {
                sum = add(sum, x[here.plane + at.x * q.input.y + at.y]);
            }
        }
    }
    out[i] = sum;
}
