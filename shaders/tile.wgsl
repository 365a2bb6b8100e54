// Which outputs of a matrix product or convolution an invocation makes. Stands before both kernels, behind a line that says
// ROWS; the host counts workgroups with the same formulas (kernels::matmul::tiles).
//
// Outputs are panels of rows of columns; all outputs of a panel read the same y (matmul) or x (conv). An invocation makes ROWS
// rows, r, r + 8, r + 16 and so on, and eight columns that begin where the whole output's index is a multiple of eight: one
// ChaCha block a row, whatever the number of columns is, since 8 columns more or less in 8 rows do not matter to the index
// mod 8.

// Sums of four outputs that an invocation makes.
const SUMS: u32 = 2u * ROWS;

// The kernel's State has such sums.
fn settle_all(s: ptr<function, State>) {
    settle_row(s, 0u);
    if ROWS > 1u {
        settle_row(s, 1u);
    }
    if ROWS > 2u {
        settle_row(s, 2u);
        settle_row(s, 3u);
    }
}

fn settle_row(s: ptr<function, State>, r: u32) {
    (*s).sums[2u * r] = settle((*s).sums[2u * r]);
    (*s).sums[2u * r + 1u] = settle((*s).sums[2u * r + 1u]);
}

struct Tile {
    live: bool,
    panel: u32,
    // Row in the panel, and in the whole output.
    row: u32,
    whole: u32,
    // Rows end here, in the panel.
    end: u32,
    // First column, from -7 on.
    column: i32,
}

fn column_groups(columns: u32) -> u32 { return select((columns + 14u) / 8u, columns / 8u, columns % 8u == 0u); }

fn row_groups(rows: u32) -> u32 { return rows / (8u * ROWS) * 8u + min(rows % (8u * ROWS), 8u); }

// Invocations of a workgroup side by side: as many as there are column groups, up to 8.
fn tile_width(groups: u32) -> u32 { return select(select(select(8u, 4u, groups <= 4u), 2u, groups <= 2u), 1u, groups == 1u); }

// The tile of an invocation of a workgroup of 64, when rows [first, first + count) of the whole output are wanted.
fn tile(group: u32, lane: u32, first: u32, count: u32, rows: u32, columns: u32) -> Tile {
    var t: Tile;
    let start = first / rows;
    let panels = (first + count - 1u) / rows - start + 1u;
    // in one panel only the wanted rows, in several all rows, of which some are dropped
    let top = select(0u, first - start * rows, panels == 1u);
    t.end = select(rows, top + count, panels == 1u);
    let row_count = row_groups(t.end - top);
    let across = column_groups(columns);
    let width = tile_width(across);
    let wide = (across + width - 1u) / width;
    let column_group = group % wide * width + lane % width;
    let number = group / wide * (64u / width) + lane / width;
    let panel = number / row_count;
    let k = number - panel * row_count;
    t.live = column_group < across && panel < panels;
    t.panel = start + panel;
    t.row = top + k / 8u * (8u * ROWS) + k % 8u;
    t.whole = t.panel * rows + t.row;
    t.column = i32(column_group * 8u) - i32(t.whole * columns % 8u);
    return t;
}

// Four columns from a tile's on, moved into the range where there are none.
fn columns_from(column: i32, columns: u32) -> vec4<u32> {
    let at = vec4<i32>(column) + vec4<i32>(0, 1, 2, 3);
    return vec4<u32>(clamp(at, vec4<i32>(0), vec4<i32>(i32(columns) - 1)));
}

