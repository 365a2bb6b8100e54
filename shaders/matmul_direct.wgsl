
// An invocation reads its columns of y itself. Four depths, or the last `count`.
fn advance(s: ptr<function, State>, ya: vec4<u32>, yb: vec4<u32>, count: u32) {
    let ys = steps(y_steps(), count);
    let a = own_columns(ya, ys);
    let b = own_columns(yb, ys);
    let both_a = add_quads(a, next_columns(ya, ys));
    let both_b = add_quads(b, next_columns(yb, ys));
    advance_rows(s, Columns(right(a), right(b), right(both_a), right(both_b)), x_steps(), count);
}

@compute @workgroup_size(64)
fn matmul(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = tile(group_number(group), lane, p.first, p.count, p.m, p.n);
    if !t.live {
        return;
    }
    var s: State;
    start(&s, t, t.panel);
    var ya = y_columns(t.panel, t.column);
    var yb = y_columns(t.panel, t.column + 4);
    let four = vec4<u32>(4u * y_steps());
    // four depths a turn: Mesa's software Vulkan leaves a shader's loops after 65,535 turns in all
    var held = 0u;
    for (var turn = 0u; turn < p.k / 4u; turn++) {
        advance(&s, ya, yb, 4u);
        ya += four;
        yb += four;
        held += 8u;
        if held > TERMS - 8u {
            held = 0u;
            settle_all(&s);
        }
    }
    if p.k % 4u > 0u {
        advance(&s, ya, yb, p.k % 4u);
    }
    finish_all(&s, t);
}
