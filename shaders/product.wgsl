// What the product paths (product_*.wgsl) and the kernels that use them share: words at four neighbouring depths. A path has
// Left and Right, the words in its limbs; Sum, four sums that hold TERMS products until settle; and total, their words; and
// FOURS, as many fours of depths as a workgroup can stage in 16 KiB (staged.wgsl).

// Of one row.
struct Four {
    a: Word,
    b: Word,
    c: Word,
    d: Word,
}

// Of four columns.
struct FourQuads {
    a: Quad,
    b: Quad,
    c: Quad,
    d: Quad,
}

fn add_quads(x: FourQuads, y: FourQuads) -> FourQuads {
    return FourQuads(add4(x.a, y.a), add4(x.b, y.b), add4(x.c, y.c), add4(x.d, y.d));
}

fn add_words(x: Four, y: Four) -> Four { return Four(add(x.a, y.a), add(x.b, y.b), add(x.c, y.c), add(x.d, y.d)); }

// A word that is there, or zero.
fn present(x: Word, there: bool) -> Word { return select(zero(), x, there); }
