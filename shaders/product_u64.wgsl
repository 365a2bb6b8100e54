// Sums of products on native 64-bit integers: one multiplication each, nothing to settle. Needs ring64_native.wgsl.

alias Left = Four;
alias Right = FourQuads;
alias Sum = vec4<u64>;

const TERMS: u32 = 0x7fffffffu;
const FOURS: u32 = 2u;

fn left(x: Four) -> Left { return x; }
fn right(y: FourQuads) -> Right { return y; }
fn no_sum() -> Sum { return vec4<u64>(zero()); }

fn mul_add(sum: Sum, x: Left, y: Right) -> Sum {
    return sum + vec4<u64>(x.a) * y.a + vec4<u64>(x.b) * y.b + vec4<u64>(x.c) * y.c + vec4<u64>(x.d) * y.d;
}

fn settle(sum: Sum) -> Sum { return sum; }
fn total(sum: Sum) -> Quad { return sum; }
