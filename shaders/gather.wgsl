// gather: out[r, i] = x[r, table[i]], or zero where the table says NONE; rows of `row` and of `len` elements. concat: rows of
// `row` elements of x, each followed by a row of `len` elements of y. An item is one element of the output.

struct GatherParams {
    first: u32,
    count: u32,
    row: u32,
    len: u32,
}

const NONE: u32 = 0xffffffffu;

@group(0) @binding(0) var<uniform> p: GatherParams;
@group(0) @binding(1) var<storage, read> x: array<Word>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> y: array<Word>;
@group(0) @binding(3) var<storage, read_write> out: array<Word>;

@compute @workgroup_size(64)
fn gather(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group_number(group) * 64u + lane;
    if i >= p.count {
        return;
    }
    let e = p.first + i;
    let at = table[e % p.len];
    if at == NONE {
        out[i] = zero();
    } else {
        out[i] = x[e / p.len * p.row + at];
    }
}

@compute @workgroup_size(64)
fn concat(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = group_number(group) * 64u + lane;
    if i >= p.count {
        return;
    }
    let both = p.row + p.len;
    let r = (p.first + i) / both;
    let column = (p.first + i) % both;
    if column < p.row {
        out[i] = x[r * p.row + column];
    } else {
        out[i] = y[r * p.len + column - p.row];
    }
}
