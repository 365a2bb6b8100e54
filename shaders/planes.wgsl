// Where bits and fields of elements lie, as in kernels::planes and kernels::fields. Stands in the prelude.

// Lanes of the tile that holds element e of n.
fn lanes_of(n: u32, e: u32) -> u32 { return (min(n - e / 512u * 512u, 512u) + 31u) / 32u; }

// Element e of n in a buffer of one plane: the 32-bit word and the bit in it.
fn plane_place(n: u32, e: u32) -> vec2<u32> {
    let lanes = lanes_of(n, e);
    let r = e % 512u;
    return vec2<u32>(e / 512u * 16u + r % lanes, r / lanes);
}

// The low bits of a word, 1 <= bits < 64: a field can be wider than 32 bits.
fn low_bits(bits: u32) -> Word { return shr(ones(1u), 64u - bits); }

// Field i of a word.
fn field(packed: Word, i: u32, bits: u32) -> Word { return shr(packed, i * bits) & low_bits(bits); }

// The low bits of x as field i of a word that is zero elsewhere.
fn as_field(x: Word, i: u32, bits: u32) -> Word { return shl(x & low_bits(bits), i * bits); }

// A block as eight words.
fn eight_words(s: Stream, counter: u32) -> array<Word, 8> {
    let r = chacha(s, counter);
    return array<Word, 8>(
        word(r.a.x, r.a.y), word(r.a.z, r.a.w), word(r.b.x, r.b.y), word(r.b.z, r.b.w),
        word(r.c.x, r.c.y), word(r.c.z, r.c.w), word(r.d.x, r.d.y), word(r.d.z, r.d.w),
    );
}

// Truncation by f = bits of x = A + B on the lead's A: T_A = (A' >> f) - m_A 2^(64-f) with A' = A + 2^62 - 1 and m_A its top bit.
struct Shifted {
    value: Word,
    wrap: u32,
}

fn shifted_lead(a: Word, bits: u32) -> Shifted {
    let moved = add(a, word(0xffffffffu, 0x3fffffffu));
    let wrap = msb(moved);
    return Shifted(sub(shr(moved, bits), shl(from_u32(wrap), 64u - bits)), wrap);
}

// On the pair's B: T_B = (B >> f) - m_B 2^(64-f) + 1 - 2^(62-f) with m_B its top bit.
fn shifted_pair(b: Word, bits: u32) -> Shifted {
    let wrap = msb(b);
    let value = sub(shr(b, bits), shl(from_u32(wrap), 64u - bits));
    return Shifted(sub(add(value, from_u32(1u)), shl(from_u32(1u), 62u - bits)), wrap);
}

