//! The choice of a sign: how long a ReLU of so many elements would take over the network, message by message.
//!
//! A public function of the size and of the network's figures, so that all three parties choose the same.

use crate::{
    kernels::{
        circuit::{self, Tree},
        planes,
        short::{answer_words, dealt_words},
    },
    party::{MESSAGE_HEADER, Meter, Net, Party},
};
use std::sync::LazyLock;

/// How signs are computed: public, and the same at all parties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Sign {
    /// A tree of six rounds a ReLU, with the fewest bits.
    Six,
    /// A tree of five rounds a ReLU.
    Five,
    /// Four rounds a ReLU, twice the bits, many times the computing.
    Short,
    /// The sign that ends first for the size of the tensor and the network between the parties.
    #[default]
    Auto,
}

impl Party {
    /// Says how signs are computed: public and the same at all parties.
    pub fn set_sign(&self, sign: Sign) {
        self.set(sign);
    }

    /// How signs are computed.
    pub fn sign(&self) -> Sign {
        self.setting()
    }
}

/// Number of signs of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// By the tree of six rounds.
    pub six: u64,
    /// By the tree of five.
    pub five: u64,
    /// Short ones.
    pub short: u64,
}

impl Meter {
    /// Signs computed.
    pub fn signs(&self) -> Signs {
        let of = |sign| self.choices.get(way(sign)).copied().unwrap_or(0);
        Signs { six: of(Some(Tree::Six)), five: of(Some(Tree::Five)), short: of(None) }
    }
}

impl std::fmt::Display for Signs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [("six", self.six), ("five", self.five), ("short", self.short)];
        let used: Vec<String> = all.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(if used.is_empty() { "none".into() } else { used.join(", ") }.as_str())
    }
}

/// The name under which the meter counts a sign.
fn way(sign: Option<Tree>) -> &'static str {
    match sign {
        Some(Tree::Six) => "sign, six",
        Some(Tree::Five) => "sign, five",
        None => "sign, short",
    }
}

/// The tree that this party's next sign of `n` elements uses, which the meter counts; none for the short sign.
pub(super) fn tree(p: &Party, n: usize) -> Option<Tree> {
    let tree = match p.sign() {
        Sign::Six => Some(Tree::Six),
        Sign::Five => Some(Tree::Five),
        Sign::Short if n <= MOST => None,
        Sign::Short => Some(Tree::Five),
        Sign::Auto => choose(n, p.net(), p.preprocessed()),
    };
    p.note_choice(way(tree));
    tree
}

/// The short sign has four blocks of its stream for each element, and a stream 2^32.
const MOST: usize = 1 << 30;

/// The sign with which a ReLU of `n` elements ends first: a tree, or none for the short sign. Without a network between the
/// parties it is the one that computes least. In a run whose lead's part is preprocessed it is a tree: the short sign's lead has to
/// hear from the others.
pub fn choose(n: usize, net: Option<Net>, preprocessed: bool) -> Option<Tree> {
    let Some(net) = net else { return Some(Tree::Five) };
    let short_can = !preprocessed && n <= MOST;
    let signs = [Some(Tree::Five), Some(Tree::Six), None].into_iter().filter(|sign| sign.is_some() || short_can);
    let times = signs.map(|sign| (seconds(sign, n, net, preprocessed), sign));
    times.min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are two trees").1
}

/// Seconds that a ReLU of `n` elements takes over a network, by the sizes of its messages and rates of one core; those after
/// the lead's part, if that is preprocessed.
pub fn seconds(sign: Option<Tree>, n: usize, net: Net, preprocessed: bool) -> f64 {
    let mut walk = Walk { n, net, preprocessed, clocks: [0.0; 3], free: [[0.0; 3]; 3] };
    match sign {
        Some(tree) => walk.tree(&LEVELS[tree as usize]),
        None => walk.short(),
    }
    walk.clocks.into_iter().fold(0.0, f64::max)
}

/// Planes dealt and swapped in each level.
static LEVELS: LazyLock<[Vec<[usize; 2]>; 2]> = LazyLock::new(|| {
    [Tree::Six, Tree::Five].map(|tree| {
        let levels = circuit::nonnegative(tree, 64).levels;
        levels.iter().map(|level| [level.lead.outputs.len(), level.pair.outputs.len()]).collect()
    })
});

/// Seconds for each element of the steps, on one core.
const DEAL_A_PLANE: f64 = 0.04e-9;
const SWAP_A_PLANE: f64 = 0.1e-9;
const INJECT: f64 = 5e-9;
const SHORT_DEAL: f64 = 90e-9;
/// The first, which draws what is dealt, and the second.
const SHORT_ANSWER: [f64; 2] = [130e-9, 75e-9];
const SHORT_OPEN: f64 = 10e-9;

const LEAD: usize = 0;
const FIRST: usize = 1;
const SECOND: usize = 2;

/// The clocks of the parties, and when each link is free.
struct Walk {
    n: usize,
    net: Net,
    preprocessed: bool,
    clocks: [f64; 3],
    free: [[f64; 3]; 3],
}

impl Walk {
    /// Computes for so many seconds an element, then sends a message of so many words; when it arrives.
    fn carry(&mut self, from: usize, to: usize, seconds: f64, words: usize) -> f64 {
        self.clocks[from] += seconds * self.n as f64;
        let bits = (words as u64 * 8 + MESSAGE_HEADER) as f64 * 8.0;
        let sent = self.free[from][to].max(self.clocks[from]) + bits / self.net.bits_per_second as f64;
        self.free[from][to] = sent;
        sent + self.net.latency_us as f64 * 1e-6
    }

    fn receive(&mut self, at: usize, arrives: f64) {
        self.clocks[at] = self.clocks[at].max(arrives);
    }

    /// The second waits for what is dealt; then the pair computes and swaps.
    fn swap(&mut self, dealt: f64, seconds: f64, words: usize) {
        let to_second = self.carry(FIRST, SECOND, seconds, words);
        self.receive(SECOND, dealt);
        let to_first = self.carry(SECOND, FIRST, seconds, words);
        self.receive(SECOND, to_second);
        self.receive(FIRST, to_first);
    }

    /// All deals leave at once, those of the injection too.
    fn tree(&mut self, levels: &[[usize; 2]]) {
        let n = self.n;
        let deal = |walk: &mut Self, seconds, words| if walk.preprocessed { 0.0 } else { walk.carry(LEAD, SECOND, seconds, words) };
        let dealt: Vec<f64> =
            levels.iter().map(|&[planes, _]| deal(self, DEAL_A_PLANE * planes as f64, planes::words(n, planes))).collect();
        let injection = deal(self, INJECT, 2 * n);
        for (&[from, planes], dealt) in levels.iter().zip(dealt) {
            let seconds = DEAL_A_PLANE * from as f64 + SWAP_A_PLANE * planes as f64;
            self.swap(dealt, seconds, planes::words(n, planes));
        }
        self.swap(injection, INJECT, n);
    }

    /// The lead hears before it deals the injection.
    fn short(&mut self) {
        let n = self.n;
        let dealt = self.carry(LEAD, SECOND, SHORT_DEAL, dealt_words(n));
        let first = self.carry(FIRST, LEAD, SHORT_ANSWER[0], answer_words(n));
        self.receive(SECOND, dealt);
        let second = self.carry(SECOND, LEAD, SHORT_ANSWER[1], answer_words(n));
        self.receive(LEAD, first.max(second));
        let injection = self.carry(LEAD, SECOND, SHORT_OPEN + INJECT, 2 * n);
        self.swap(injection, INJECT, n);
    }
}
