// Sums of products with eight multiply-adds each and no carry between them: the low word of x in limbs of 11, 11 and 10 bits,
// that of y in two of 16. The five products that lie below bit 32 are less than 2^27, so that 32 of each fit a 32-bit sum; the
// sixth begins at bit 38 and the products with a high word at 32: those wrap with the word.

struct Left {
    l0: vec4<u32>,
    l1: vec4<u32>,
    l2: vec4<u32>,
    lo: vec4<u32>,
    hi: vec4<u32>,
}

// Four columns at one depth.
struct Limbs {
    b0: vec4<u32>,
    b1: vec4<u32>,
    lo: vec4<u32>,
    hi: vec4<u32>,
}

struct Right {
    a: Limbs,
    b: Limbs,
    c: Limbs,
    d: Limbs,
}

// e0 + e11 2^11 + e16 2^16 + e22 2^22 + e27 2^27 + lo + hi 2^32
struct Sum {
    e0: vec4<u32>,
    e11: vec4<u32>,
    e16: vec4<u32>,
    e22: vec4<u32>,
    e27: vec4<u32>,
    lo: vec4<u32>,
    hi: vec4<u32>,
}

const TERMS: u32 = 32u;
const FOURS: u32 = 1u;

fn left(x: Four) -> Left {
    let lo = vec4<u32>(low(x.a), low(x.b), low(x.c), low(x.d));
    let hi = vec4<u32>(high(x.a), high(x.b), high(x.c), high(x.d));
    return Left(lo & vec4<u32>(0x7ffu), (lo >> vec4<u32>(11u)) & vec4<u32>(0x7ffu), lo >> vec4<u32>(22u), lo, hi);
}

fn limbs(y: Quad) -> Limbs {
    let lo = lows(y);
    return Limbs(lo & vec4<u32>(0xffffu), lo >> vec4<u32>(16u), lo, highs(y));
}

fn right(y: FourQuads) -> Right { return Right(limbs(y.a), limbs(y.b), limbs(y.c), limbs(y.d)); }

fn no_sum() -> Sum {
    let z = vec4<u32>(0u);
    return Sum(z, z, z, z, z, z, z);
}

fn one_product(s: Sum, l0: u32, l1: u32, l2: u32, lo: u32, hi: u32, y: Limbs) -> Sum {
    return Sum(
        s.e0 + l0 * y.b0,
        s.e11 + l1 * y.b0,
        s.e16 + l0 * y.b1,
        s.e22 + l2 * y.b0,
        s.e27 + l1 * y.b1,
        s.lo,
        s.hi + ((l2 * y.b1) << vec4<u32>(6u)) + lo * y.hi + hi * y.lo,
    );
}

fn mul_add(sum: Sum, x: Left, y: Right) -> Sum {
    let a = one_product(sum, x.l0.x, x.l1.x, x.l2.x, x.lo.x, x.hi.x, y.a);
    let b = one_product(a, x.l0.y, x.l1.y, x.l2.y, x.lo.y, x.hi.y, y.b);
    let c = one_product(b, x.l0.z, x.l1.z, x.l2.z, x.lo.z, x.hi.z, y.c);
    return one_product(c, x.l0.w, x.l1.w, x.l2.w, x.lo.w, x.hi.w, y.d);
}

// (lo, hi) + e 2^by, 0 < by < 32
fn carried(lo: vec4<u32>, hi: vec4<u32>, e: vec4<u32>, by: u32) -> array<vec4<u32>, 2> {
    let more = e << vec4<u32>(by);
    let sum = lo + more;
    return array<vec4<u32>, 2>(sum, hi + (e >> vec4<u32>(32u - by)) + select(vec4<u32>(0u), vec4<u32>(1u), sum < more));
}

fn whole(s: Sum) -> array<vec4<u32>, 2> {
    let lo = s.lo + s.e0;
    var w = array<vec4<u32>, 2>(lo, s.hi + select(vec4<u32>(0u), vec4<u32>(1u), lo < s.e0));
    w = carried(w[0], w[1], s.e11, 11u);
    w = carried(w[0], w[1], s.e16, 16u);
    w = carried(w[0], w[1], s.e22, 22u);
    return carried(w[0], w[1], s.e27, 27u);
}

fn total(sum: Sum) -> Quad {
    let w = whole(sum);
    return halves(w[0], w[1]);
}

fn settle(sum: Sum) -> Sum {
    let w = whole(sum);
    let z = vec4<u32>(0u);
    return Sum(z, z, z, z, z, w[0], w[1]);
}
