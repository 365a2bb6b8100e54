
// An invocation reads its pixels itself. Four channels, or the last `count`.
fn advance(s: ptr<function, State>, xa: vec4<u32>, xb: vec4<u32>, real_a: Quad, real_b: Quad, count: u32) {
    let xs = steps(p.height * p.width, count);
    let x = Pixels(own_pixels(xa, xs, real_a), own_pixels(xb, xs, real_b), next_pixels(xa, xs, real_a), next_pixels(xb, xs, real_b));
    advance_rows(s, x, count);
}

@compute @workgroup_size(64)
fn conv(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = tile_of(group, lane);
    if !t.live {
        return;
    }
    let channels = p.in_channels / p.groups;
    let four = vec4<u32>(4u * p.height * p.width);
    let first = outputs_from(t.column);
    let last = outputs_from(t.column + 4);
    var s: State;
    start(&s);
    var held = 0u;
    for (var tap = 0u; tap < p.kernel_h * p.kernel_w; tap++) {
        let a = taps(first, tap);
        let b = taps(last, tap);
        var xa = a.at + x_panel(t.panel);
        var xb = b.at + x_panel(t.panel);
        start_tap(&s, t, t.panel, tap);
        // four channels a turn, the last one fewer: Mesa's software Vulkan leaves a shader's loops after 65,535 turns in all
        for (var turn = 0u; turn < channels; turn += 4u) {
            advance(&s, xa, xb, a.real, b.real, min(4u, channels - turn));
            xa += four;
            xb += four;
            held += 8u;
            if held > TERMS - 8u {
                held = 0u;
                settle_all(&s);
            }
        }
    }
    finish_all(&s, t);
}
