
// Four channels of x_own, or of x_next.
fn load(at: vec4<u32>, real: Quad, operand: u32, count: u32) -> Right {
    let xs = steps(p.height * p.width, count);
    if operand == 0u {
        return own_pixels(at, xs, real);
    }
    return next_pixels(at, xs, real);
}

@compute @workgroup_size(64)
fn conv(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // the first invocation is live in every group that has work; the others help it even where they have no output
    let first = tile_of(group, 0u);
    let t = tile_of(group, lane);
    let channels = p.in_channels / p.groups;
    let mine = part(lane);
    let outputs = outputs_from(first.column + i32(mine.column));
    var s: State;
    start(&s);
    var held = 0u;
    for (var tap = 0u; tap < p.kernel_h * p.kernel_w; tap++) {
        let pixels = taps(outputs, tap);
        let x = pixels.at + x_panel(first.panel);
        start_tap(&s, t, first.panel, tap);
        for (var channel = 0u; channel < channels; channel += 4u * FOURS) {
            let begin = channel + 4u * mine.four;
            if mine.real && begin < channels {
                slab[lane].words = load(x + begin * p.height * p.width, pixels.real, mine.operand, min(4u, channels - begin));
            }
            workgroupBarrier();
            for (var four = 0u; four < FOURS && channel + 4u * four < channels; four++) {
                let both = Pixels(staged(0u, four, 0u, lane), staged(0u, four, 1u, lane), staged(1u, four, 0u, lane), staged(1u, four, 1u, lane));
                advance_rows(&s, both, min(4u, channels - channel - 4u * four));
                held += 8u;
                if held > TERMS - 8u {
                    held = 0u;
                    settle_all(&s);
                }
            }
            workgroupBarrier();
        }
    }
    if t.live {
        finish_all(&s, t);
    }
}
