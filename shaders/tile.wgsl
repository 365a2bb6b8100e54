// Which outputs of a matrix product or convolution an invocation makes. Stands in the prelude; the host counts workgroups
// with the same formulas (kernels::matmul::tiles).
//
// Outputs are panels of rows of columns; all outputs of a panel read the same y (matmul) or x (conv). An invocation makes two
// rows, r and r + 8, and eight columns that begin where the whole output's index is a multiple of eight: one ChaCha block a
// row, whatever the number of columns is, since 8 columns more or less in 8 rows do not matter to the index mod 8.

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

fn row_pairs(rows: u32) -> u32 { return rows / 16u * 8u + min(rows % 16u, 8u); }

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
    let pairs = row_pairs(t.end - top);
    let across = column_groups(columns);
    let width = tile_width(across);
    let wide = (across + width - 1u) / width;
    let column_group = group % wide * width + lane % width;
    let pair = group / wide * (64u / width) + lane / width;
    let panel = pair / pairs;
    let k = pair - panel * pairs;
    t.live = column_group < across && panel < panels;
    t.panel = start + panel;
    t.row = top + k / 8u * 16u + k % 8u;
    t.whole = t.panel * rows + t.row;
    t.column = i32(column_group * 8u) - i32(t.whole * columns % 8u);
    return t;
}

// Four columns from a tile's on, moved into the range where there are none.
fn columns_from(column: i32, columns: u32) -> vec4<u32> {
    let at = vec4<i32>(column) + vec4<i32>(0, 1, 2, 3);
    return vec4<u32>(clamp(at, vec4<i32>(0), vec4<i32>(i32(columns) - 1)));
}

