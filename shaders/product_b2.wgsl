// Sums of products in two 32-bit halves, the lower one in halves of 16 bits: sum = a + b 2^16 + hi 2^32 with carries deferred.
// A product adds at most 2^16 - 1 to a and 3 (2^16 - 1) to b: they hold after 21,845 products, and settle leaves less than one
// product's worth in them.

alias Left = Four;
alias Right = FourQuads;

struct Sum {
    a: vec4<u32>,
    b: vec4<u32>,
    hi: vec4<u32>,
}

const TERMS: u32 = 21840u;
const FOURS: u32 = 2u;

fn left(x: Four) -> Left { return x; }
fn right(y: FourQuads) -> Right { return y; }
fn no_sum() -> Sum { return Sum(vec4<u32>(0u), vec4<u32>(0u), vec4<u32>(0u)); }

fn one_product(sum: Sum, x: Word, y: Quad) -> Sum {
    let a = low(x) & 0xffffu;
    let b = low(x) >> 16u;
    let lo = lows(y);
    let c = lo & vec4<u32>(0xffffu);
    let d = lo >> vec4<u32>(16u);
    let ac = a * c;
    let ad = a * d;
    let bc = b * c;
    return Sum(
        sum.a + (ac & vec4<u32>(0xffffu)),
        sum.b + (ac >> vec4<u32>(16u)) + (ad & vec4<u32>(0xffffu)) + (bc & vec4<u32>(0xffffu)),
        sum.hi + b * d + (ad >> vec4<u32>(16u)) + (bc >> vec4<u32>(16u)) + low(x) * highs(y) + high(x) * lo,
    );
}

fn mul_add(sum: Sum, x: Left, y: Right) -> Sum {
    return one_product(one_product(one_product(one_product(sum, x.a, y.a), x.b, y.b), x.c, y.c), x.d, y.d);
}

fn whole(sum: Sum) -> array<vec4<u32>, 2> {
    let lo = sum.a + (sum.b << vec4<u32>(16u));
    return array<vec4<u32>, 2>(lo, sum.hi + (sum.b >> vec4<u32>(16u)) + select(vec4<u32>(0u), vec4<u32>(1u), lo < sum.a));
}

fn total(sum: Sum) -> Quad {
    let w = whole(sum);
    return halves(w[0], w[1]);
}

fn settle(sum: Sum) -> Sum {
    let w = whole(sum);
    return Sum(w[0] & vec4<u32>(0xffffu), w[0] >> vec4<u32>(16u), w[1]);
}
