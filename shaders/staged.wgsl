
// A workgroup's 64 columns of what its rows share, at a few depths, in limbs and in workgroup memory: read from the tensors and
// split once for all rows instead of once for each. Only for groups that lie in one panel of columns that are a multiple of
// eight, where every row's columns begin alike (kernels::tiles::alike).

// The invocation of a column group loads 4 of its columns (half 0 or 1) at four depths (one of FOURS), of one of two operands.
struct Part {
    real: bool,
    operand: u32,
    four: u32,
    column: u32,
}

// Sixteen bytes apart, so that eight column groups read from different banks.
struct Staged {
    words: Right,
    gap: vec4<u32>,
}

var<workgroup> slab: array<Staged, 32 * FOURS>;

fn part(lane: u32) -> Part {
    return Part(lane < 32u * FOURS, lane / (16u * FOURS), lane / 16u % FOURS, lane % 8u * 8u + lane / 8u % 2u * 4u);
}

fn staged(operand: u32, four: u32, half: u32, lane: u32) -> Right {
    return slab[operand * (16u * FOURS) + four * 16u + half * 8u + lane % 8u].words;
}
