// ChaCha20 (RFC 8439) keystreams, and which workgroup this is. Stands after the ring and before every kernel.
// Word e of a stream is the 64-bit little-endian word e mod 8 of block e / 8; the counter is state word 12.

// A (key, nonce) pair as kernels::Stream lays it out; the fourth word of the nonce is not used.
struct Stream {
    key_lo: vec4<u32>,
    key_hi: vec4<u32>,
    nonce: vec4<u32>,
}

// The rows of the state.
struct Rows {
    a: vec4<u32>,
    b: vec4<u32>,
    c: vec4<u32>,
    d: vec4<u32>,
}

fn rotate(x: vec4<u32>, by: u32) -> vec4<u32> { return (x << vec4<u32>(by)) | (x >> vec4<u32>(32u - by)); }

fn quarter_rounds(s: Rows) -> Rows {
    var r = s;
    r.a += r.b;
    r.d = rotate(r.d ^ r.a, 16u);
    r.c += r.d;
    r.b = rotate(r.b ^ r.c, 12u);
    r.a += r.b;
    r.d = rotate(r.d ^ r.a, 8u);
    r.c += r.d;
    r.b = rotate(r.b ^ r.c, 7u);
    return r;
}

fn chacha(s: Stream, counter: u32) -> Rows {
    let start = Rows(
        vec4<u32>(0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u),
        s.key_lo,
        s.key_hi,
        vec4<u32>(counter, s.nonce.xyz),
    );
    var r = start;
    for (var i = 0u; i < 10u; i++) {
        r = quarter_rounds(r);
        r = quarter_rounds(Rows(r.a, r.b.yzwx, r.c.zwxy, r.d.wxyz));
        r = Rows(r.a, r.b.wxyz, r.c.zwxy, r.d.yzwx);
    }
    return Rows(r.a + start.a, r.b + start.b, r.c + start.c, r.d + start.d);
}

// A block as 32-bit words.
fn block(s: Stream, counter: u32) -> array<u32, 16> {
    let r = chacha(s, counter);
    return array<u32, 16>(
        r.a.x, r.a.y, r.a.z, r.a.w, r.b.x, r.b.y, r.b.z, r.b.w,
        r.c.x, r.c.y, r.c.z, r.c.w, r.d.x, r.d.y, r.d.z, r.d.w,
    );
}

// A block as eight words.
struct Eight {
    a: Quad,
    b: Quad,
}

fn eight(s: Stream, counter: u32) -> Eight {
    let r = chacha(s, counter);
    return Eight(unpair(r.a, r.b), unpair(r.c, r.d));
}

// Tensors that are read or written in order are bound as pairs of words: low, high, low, high.
fn unpair(x: vec4<u32>, y: vec4<u32>) -> Quad { return halves(vec4<u32>(x.xz, y.xz), vec4<u32>(x.yw, y.yw)); }

fn pair(x: Word, y: Word) -> vec4<u32> { return vec4<u32>(low(x), high(x), low(y), high(y)); }

// The first and the second pair of four words.
fn front(q: Quad) -> vec4<u32> {
    let lo = lows(q);
    let hi = highs(q);
    return vec4<u32>(lo.x, hi.x, lo.y, hi.y);
}

fn back(q: Quad) -> vec4<u32> {
    let lo = lows(q);
    let hi = highs(q);
    return vec4<u32>(lo.z, hi.z, lo.w, hi.w);
}

// The number of this workgroup: dispatches are folded into two dimensions.
fn group_number(id: vec3<u32>) -> u32 { return id.y * 65535u + id.x; }

