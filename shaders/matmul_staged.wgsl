
// Four depths of y_own, or of y_own + y_next.
fn load(at: vec4<u32>, operand: u32, count: u32) -> Right {
    let ys = steps(y_steps(), count);
    let own = own_columns(at, ys);
    if operand == 0u {
        return right(own);
    }
    return right(add_quads(own, next_columns(at, ys)));
}

@compute @workgroup_size(64)
fn matmul(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // the first invocation is live in every group that has work; the others help it even where they have no output
    let first = tile(group_number(group), 0u, p.first, p.count, p.m, p.n);
    let t = tile(group_number(group), lane, p.first, p.count, p.m, p.n);
    var s: State;
    start(&s, t, first.panel);
    let mine = part(lane);
    let y = y_columns(first.panel, first.column + i32(mine.column));
    var held = 0u;
    for (var depth = 0u; depth < p.k; depth += 4u * FOURS) {
        let begin = depth + 4u * mine.four;
        if mine.real && begin < p.k {
            slab[lane].words = load(y + begin * y_steps(), mine.operand, min(4u, p.k - begin));
        }
        workgroupBarrier();
        for (var four = 0u; four < FOURS && depth + 4u * four < p.k; four++) {
            let columns = Columns(staged(0u, four, 0u, lane), staged(0u, four, 1u, lane), staged(1u, four, 0u, lane), staged(1u, four, 1u, lane));
            advance_rows(&s, columns, x_steps(), min(4u, p.k - depth - 4u * four));
            held += 8u;
            if held > TERMS - 8u {
                held = 0u;
                settle_all(&s);
            }
        }
        workgroupBarrier();
    }
    if t.live {
        finish_all(&s, t);
    }
}
