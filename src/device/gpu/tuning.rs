//! How products of ring words are computed on an adapter: the path, how many rows an invocation makes, and whether a
//! workgroup stages one operand in its memory.

use super::prelude::Prelude;

/// How a product of 64-bit words is made of what the adapter multiplies. All paths agree bit for bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Path {
    /// Native 64-bit integers.
    U64,
    /// Limbs of 8 bits, four depths to a `dot4U8Packed`: 9 of them a multiply-add.
    Dot4,
    /// Limbs of 11, 11, 10 and of 16 bits: 8 multiplications of 32 bits, no carries between.
    M8,
    /// Two halves, the lower one in halves of 16 bits: 6 multiplications, the fewest registers.
    B2,
}

impl Path {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::U64, Self::Dot4, Self::M8, Self::B2];

    /// Name for people and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::U64 => "u64",
            Self::Dot4 => "dot4",
            Self::M8 => "m8",
            Self::B2 => "b2",
        }
    }

    /// Whether shaders with this prelude can multiply so.
    pub fn suits(self, prelude: Prelude) -> bool {
        self != Self::U64 || prelude == Prelude::Native
    }

    /// The text between prelude and kernel.
    pub fn text(self) -> String {
        [include_str!("../../../shaders/product.wgsl"), self.wgsl()].concat()
    }

    fn wgsl(self) -> &'static str {
        match self {
            Self::U64 => include_str!("../../../shaders/product_u64.wgsl"),
            Self::Dot4 => include_str!("../../../shaders/product_dot4.wgsl"),
            Self::M8 => include_str!("../../../shaders/product_m8.wgsl"),
            Self::B2 => include_str!("../../../shaders/product_b2.wgsl"),
        }
    }
}

/// Choices of a measurement for an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// The product path.
    pub path: Path,
    /// Rows of an invocation, one of [`ROWS`](Self::ROWS), where there are enough outputs; eight columns each.
    pub rows: u32,
    /// Whether a workgroup loads what its rows share into workgroup memory, where its outputs lie so that it can.
    pub staged: bool,
    /// Whether an invocation makes fewer rows where there are few outputs, so that a large GPU has work for all.
    pub spread: bool,
}

impl Tuning {
    /// Rows that shaders exist for.
    pub const ROWS: [u32; 3] = [1, 2, 4];

    /// Without a measurement: 64-bit integers where there are any, else the path with the fewest registers.
    pub fn of(prelude: Prelude) -> Self {
        match prelude {
            Prelude::Native => Self { path: Path::U64, rows: 4, staged: false, spread: true },
            Prelude::Limbs => Self { path: Path::B2, rows: 2, staged: false, spread: true },
        }
    }

    /// Every tuning that shaders with this prelude can have.
    pub fn all(prelude: Prelude) -> Vec<Self> {
        let paths = Path::ALL.into_iter().filter(|&path| path.suits(prelude));
        let tiles = [false, true].into_iter().flat_map(|staged| Self::ROWS.map(|rows| (rows, staged)));
        paths.flat_map(|path| tiles.clone().map(move |(rows, staged)| Self { path, rows, staged, spread: true })).collect()
    }
}

impl std::fmt::Display for Tuning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}x8{}", self.path.name(), self.rows, if self.staged { " staged" } else { "" })
    }
}

impl std::str::FromStr for Tuning {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::all(Prelude::Native).into_iter().find(|tuning| tuning.to_string() == text).ok_or(())
    }
}
