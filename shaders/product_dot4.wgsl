// Sums of products in limbs of 8 bits, four depths of one limb in a 32-bit word, multiplied by dot4U8Packed: 36 of them make
// four products. Diagonal i + j = d of limbs i and j counts 2^(8 d). A depth adds at most 4 255^2 to one of the diagonals below
// 4, so that 16,512 products fit a 32-bit sum; diagonals from 4 on begin at bit 32 and wrap with the word.

// Limbs 0 to 3 and 4 to 7, each of four depths.
struct Left {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

// A limb of four depths in each of four columns.
struct Right {
    l0: vec4<u32>,
    l1: vec4<u32>,
    l2: vec4<u32>,
    l3: vec4<u32>,
    l4: vec4<u32>,
    l5: vec4<u32>,
    l6: vec4<u32>,
    l7: vec4<u32>,
}

struct Sum {
    d0: vec4<u32>,
    d1: vec4<u32>,
    d2: vec4<u32>,
    d3: vec4<u32>,
    lo: vec4<u32>,
    // Diagonals from 4 on, in place.
    hi: vec4<u32>,
}

const TERMS: u32 = 16384u;
const FOURS: u32 = 2u;

// Bytes of four words turned into words of one byte of each.
fn turned(a: u32, b: u32, c: u32, d: u32) -> vec4<u32> {
    let even = (a & 0xff00ffu) | ((b & 0xff00ffu) << 8u);
    let odd = ((a >> 8u) & 0xff00ffu) | (b & 0xff00ff00u);
    let even2 = (c & 0xff00ffu) | ((d & 0xff00ffu) << 8u);
    let odd2 = ((c >> 8u) & 0xff00ffu) | (d & 0xff00ff00u);
    return vec4<u32>(
        (even & 0xffffu) | (even2 << 16u),
        (odd & 0xffffu) | (odd2 << 16u),
        (even >> 16u) | (even2 & 0xffff0000u),
        (odd >> 16u) | (odd2 & 0xffff0000u),
    );
}

fn left(x: Four) -> Left {
    return Left(turned(low(x.a), low(x.b), low(x.c), low(x.d)), turned(high(x.a), high(x.b), high(x.c), high(x.d)));
}

fn right(y: FourQuads) -> Right {
    let a = lows(y.a);
    let b = lows(y.b);
    let c = lows(y.c);
    let d = lows(y.d);
    let e = highs(y.a);
    let f = highs(y.b);
    let g = highs(y.c);
    let h = highs(y.d);
    let l0 = turned(a.x, b.x, c.x, d.x);
    let l1 = turned(a.y, b.y, c.y, d.y);
    let l2 = turned(a.z, b.z, c.z, d.z);
    let l3 = turned(a.w, b.w, c.w, d.w);
    let h0 = turned(e.x, f.x, g.x, h.x);
    let h1 = turned(e.y, f.y, g.y, h.y);
    let h2 = turned(e.z, f.z, g.z, h.z);
    let h3 = turned(e.w, f.w, g.w, h.w);
    return Right(
        vec4<u32>(l0.x, l1.x, l2.x, l3.x), vec4<u32>(l0.y, l1.y, l2.y, l3.y),
        vec4<u32>(l0.z, l1.z, l2.z, l3.z), vec4<u32>(l0.w, l1.w, l2.w, l3.w),
        vec4<u32>(h0.x, h1.x, h2.x, h3.x), vec4<u32>(h0.y, h1.y, h2.y, h3.y),
        vec4<u32>(h0.z, h1.z, h2.z, h3.z), vec4<u32>(h0.w, h1.w, h2.w, h3.w),
    );
}

fn no_sum() -> Sum {
    let z = vec4<u32>(0u);
    return Sum(z, z, z, z, z, z);
}

fn dots(x: u32, y: vec4<u32>) -> vec4<u32> {
    return vec4<u32>(dot4U8Packed(x, y.x), dot4U8Packed(x, y.y), dot4U8Packed(x, y.z), dot4U8Packed(x, y.w));
}

fn mul_add(s: Sum, x: Left, y: Right) -> Sum {
    let d4 = dots(x.lo.x, y.l4) + dots(x.lo.y, y.l3) + dots(x.lo.z, y.l2) + dots(x.lo.w, y.l1) + dots(x.hi.x, y.l0);
    let d5 = dots(x.lo.x, y.l5) + dots(x.lo.y, y.l4) + dots(x.lo.z, y.l3) + dots(x.lo.w, y.l2) + dots(x.hi.x, y.l1)
        + dots(x.hi.y, y.l0);
    let d6 = dots(x.lo.x, y.l6) + dots(x.lo.y, y.l5) + dots(x.lo.z, y.l4) + dots(x.lo.w, y.l3) + dots(x.hi.x, y.l2)
        + dots(x.hi.y, y.l1) + dots(x.hi.z, y.l0);
    let d7 = dots(x.lo.x, y.l7) + dots(x.lo.y, y.l6) + dots(x.lo.z, y.l5) + dots(x.lo.w, y.l4) + dots(x.hi.x, y.l3)
        + dots(x.hi.y, y.l2) + dots(x.hi.z, y.l1) + dots(x.hi.w, y.l0);
    return Sum(
        s.d0 + dots(x.lo.x, y.l0),
        s.d1 + dots(x.lo.x, y.l1) + dots(x.lo.y, y.l0),
        s.d2 + dots(x.lo.x, y.l2) + dots(x.lo.y, y.l1) + dots(x.lo.z, y.l0),
        s.d3 + dots(x.lo.x, y.l3) + dots(x.lo.y, y.l2) + dots(x.lo.z, y.l1) + dots(x.lo.w, y.l0),
        s.lo,
        s.hi + d4 + (d5 << vec4<u32>(8u)) + (d6 << vec4<u32>(16u)) + (d7 << vec4<u32>(24u)),
    );
}

// (lo, hi) + d 2^by, 0 < by < 32
fn carried(lo: vec4<u32>, hi: vec4<u32>, d: vec4<u32>, by: u32) -> array<vec4<u32>, 2> {
    let more = d << vec4<u32>(by);
    let sum = lo + more;
    return array<vec4<u32>, 2>(sum, hi + (d >> vec4<u32>(32u - by)) + select(vec4<u32>(0u), vec4<u32>(1u), sum < more));
}

fn whole(s: Sum) -> array<vec4<u32>, 2> {
    let lo = s.lo + s.d0;
    var w = array<vec4<u32>, 2>(lo, s.hi + select(vec4<u32>(0u), vec4<u32>(1u), lo < s.d0));
    w = carried(w[0], w[1], s.d1, 8u);
    w = carried(w[0], w[1], s.d2, 16u);
    return carried(w[0], w[1], s.d3, 24u);
}

fn total(sum: Sum) -> Quad {
    let w = whole(sum);
    return halves(w[0], w[1]);
}

fn settle(sum: Sum) -> Sum {
    let w = whole(sum);
    let z = vec4<u32>(0u);
    return Sum(z, z, z, z, w[0], w[1]);
}
