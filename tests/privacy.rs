//! What a party sees: the reseed test, fixed against fixed, and masks broken on purpose, which one of them must notice.
//!
//! The observer's own components are fixed constants and the secret lies in the component that it lacks, so every statistic
//! is taken given the party's own share. Tensors of one lane (30 elements) line up all streams of an op word by word: a pad
//! used for two messages shows in the sum, difference or XOR of two words of the same index.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::{Rng, Task, components, revealed, seeded, shape};
use trishade::{
    kernels::circuit::{self, Tree},
    party::{Label, Mutation, Party, Transport, run},
    protocol::{self as mpc, Sign},
    ring::Word,
    share::Arith,
};

type Protocol = for<'a> fn(&'a Party, Arith) -> Task<'a, ()>;

/// A protocol, and the streams that its ops draw: purposes `0..n` of each label.
struct Case {
    name: &'static str,
    sign: Sign,
    protocol: Protocol,
    streams: &'static [(Label, u8)],
}

macro_rules! protocol {
    (|$p:ident, $x:ident| $body:expr) => {
        |$p, $x| {
            Box::pin(async move {
                let _ = $body;
            })
        }
    };
}

fn cases() -> Vec<Case> {
    let case = |name, sign, streams, protocol| Case { name, sign, protocol, streams };
    vec![
        case("truncate", Sign::Five, &[(Label::TRUNCATION, 3)], protocol!(|p, x| mpc::truncate(p, &mpc::split_of_share(p, &x), 20).await)),
        case("mul", Sign::Five, &[(Label::PRODUCT, 1), (Label::RESHARE, 1)], protocol!(|p, x| mpc::mul(p, &x, &x).await)),
        case("sign and lift, five", Sign::Five, &[(Label::SIGN, 6)], protocol!(|p, x| lifted_sign(p, &x).await)),
        case("sign and lift, six", Sign::Six, &[(Label::SIGN, 8)], protocol!(|p, x| lifted_sign(p, &x).await)),
        case("relu, five", Sign::Five, &[(Label::INJECTION, 3)], protocol!(|p, x| mpc::relu(p, &x).await)),
        case("relu, six", Sign::Six, &[], protocol!(|p, x| mpc::relu(p, &x).await)),
        case(
            "activate",
            Sign::Five,
            &[(Label::ACTIVATION, 6)],
            protocol!(|p, x| mpc::activate(p, &mpc::split_of_share(p, &x), p.fraction_bits()).await),
        ),
        case("sign and lift, short", Sign::Short, &[(Label::SHORT_SIGN, 4)], protocol!(|p, x| lifted_sign(p, &x).await)),
        case("relu, short", Sign::Short, &[], protocol!(|p, x| mpc::relu(p, &x).await)),
        case("activate, short", Sign::Short, &[], protocol!(|p, x| mpc::activate(p, &mpc::split_of_share(p, &x), p.fraction_bits()).await)),
        case("all bits", Sign::Five, &[(Label::BITS, 8)], protocol!(|p, x| mpc::all_bits(p, &mpc::split_of_share(p, &x)).await)),
    ]
}

async fn lifted_sign(p: &Party, x: &Arith) -> Arith {
    let bit = mpc::sign(p, &mpc::split_of_share(p, x)).await;
    mpc::lift(p, &bit).await
}

/// Elements of a tensor of one lane whose fields fill their words: streams of planes, words and fields all start at one word.
const LANE: usize = 30;
/// Differ in sign, in the wrap of the truncation and in many bits.
const SECRETS: [Word; 2] = [1 << 61 | 0x1234_5678_9abc, (1u64 << 61 | 0x0fed_cba9_8765).wrapping_neg()];
/// Differ in sign and, given the lead's components of odd elements, in the carry into the top bit.
const CARRIES: [Word; 2] = [0x1234_5678_9abc, 0x0fed_cba9_8765u64.wrapping_neg()];
const SEEDS: [u64; 3] = [11, 22, 33];

/// One message in many runs.
struct Received {
    label: Label,
    purpose: u8,
    runs: Vec<Vec<Word>>,
}

/// Components of which the observer's own are 0 in even elements and mixed in odd ones; it lacks component `observer + 2`.
fn sharing(observer: usize, secret: Word, n: usize) -> [Vec<Word>; 3] {
    let own = |e: usize, j: usize| if e.is_multiple_of(2) { 0 } else { [0x4123_4567_89ab_cdef, 0x3edc_6a5b_0f1e_77a1][j] };
    let mut components: [Vec<Word>; 3] = Default::default();
    for j in 0..2 {
        components[(observer + j) % 3] = (0..n).map(|e| own(e, j)).collect();
    }
    components[(observer + 2) % 3] = (0..n).map(|e| secret.wrapping_sub(own(e, 0)).wrapping_sub(own(e, 1))).collect();
    components
}

/// All that the observer receives in so many runs. The message of two kinds of fields counts as two.
fn view(case: &Case, [observer, n, runs]: [usize; 3], secret: Word, seeds: [u64; 3], mutations: &[Mutation]) -> Vec<Received> {
    let parties = seeded(seeds);
    parties.iter().for_each(|p| {
        p.set_sign(case.sign);
        p.mutate(mutations);
    });
    let sharing = sharing(observer, secret, n);
    let mut view: Vec<Received> = Vec::new();
    for _ in 0..runs {
        parties[observer].watch();
        let task = |p| {
            let sharing = &sharing;
            async move { (case.protocol)(p, components(p, sharing).await).await }
        };
        pollster::block_on(run(&parties, Transport::Handover, task)).unwrap();
        let mut seen = Vec::new();
        for message in parties[observer].seen() {
            let words = pollster::block_on(parties[observer].device().download(&[&message.payload])).unwrap().remove(0);
            seen.extend(
                separated(message.label, message.purpose, words).into_iter().map(|(purpose, words)| (message.label, purpose, words)),
            );
        }
        seen.extend(concluded(&seen, n));
        for (at, (label, purpose, words)) in seen.into_iter().enumerate() {
            if view.len() == at {
                view.push(Received { label, purpose, runs: Vec::new() });
            }
            assert_eq!((view[at].label, view[at].purpose), (label, purpose), "the same messages in every run");
            view[at].runs.push(words);
        }
    }
    view
}

/// What the lead makes of both answers to a short sign, under the purposes of the streams that blind it: the residues, as sums
/// of digits, under 2; of each element whether there is a zero under 3.
fn concluded(seen: &[(Label, u8, Vec<Word>)], n: usize) -> Vec<(Label, u8, Vec<Word>)> {
    let answers: Vec<_> = seen.iter().filter(|(label, purpose, _)| (*label, *purpose) == (Label::SHORT_SIGN, 1)).collect();
    let [(.., one), (.., other)] = answers[..] else { return Vec::new() };
    let digits = |word: Word| word.to_le_bytes();
    let sum = |x: Word, y: Word| Word::from_le_bytes(std::array::from_fn(|i| (digits(x)[i] + digits(y)[i]) % 23));
    let sums: Vec<Word> = one.iter().zip(other).map(|(x, y)| sum(*x, *y)).collect();
    let mut found = vec![0; n];
    // three numbers an element, in groups of 64 elements
    for (group, sums) in sums.chunks(3 * 64).enumerate() {
        let len = sums.len() / 3;
        for (i, sum) in sums.iter().enumerate() {
            found[64 * group + i % len] |= Word::from(digits(*sum)[..7].contains(&0));
        }
    }
    vec![(Label::SHORT_SIGN, 2, sums), (Label::SHORT_SIGN, 3, found)]
}

/// The activation's fields lie in turns of 8 words: `m_A` of stream 4, `m_A u` of stream 5. Numbers of seven residues become
/// words of seven bytes.
fn separated(label: Label, purpose: u8, words: Vec<Word>) -> Vec<(u8, Vec<Word>)> {
    if label == Label::SHORT_SIGN {
        let digits = |number: Word| (0..7).fold(0, |bytes, i| bytes | (number / 23u64.pow(i) % 23) << (8 * i));
        return vec![(purpose, words.iter().flat_map(|word| [word & 0xffff_ffff, word >> 32]).map(digits).collect())];
    }
    if (label, purpose) != (Label::ACTIVATION, 4) {
        return vec![(purpose, words)];
    }
    let mut halves = [Vec::new(), Vec::new()];
    for block in words.chunks(16) {
        let (m, mu) = block.split_at(block.len() / 2);
        halves[0].extend_from_slice(m);
        halves[1].extend_from_slice(mu);
    }
    let [m, mu] = halves;
    vec![(4, m), (5, mu)]
}

/// How many words of 64-bit counters hold: so many runs at the most, position by position.
const RUNS: usize = 255;
/// So few runs, of large tensors, are not looked at position by position.
const FEW: usize = 4;
/// In standard deviations. Fewer than 10^8 statistics: a false alarm has probability below 10^-6 (Hoeffding for the counts).
const ALARM: f64 = 8.0;

/// Counts of a stream of words at equal positions of many runs.
#[derive(Default)]
struct Tally {
    words: u64,
    bytes: Vec<[u32; 256]>,
    ones: u64,
    ones_squared: u64,
    /// For each position and `b`: ones at bits `b, b + 8, ...`, a byte each.
    positions: Vec<[Word; 8]>,
}

impl Tally {
    fn new(runs: impl ExactSizeIterator<Item = impl Iterator<Item = Word>>) -> Self {
        let mut tally = Self { bytes: vec![[0; 256]; 8], ..Self::default() };
        let by_position = runs.len() > FEW;
        for run in runs {
            for (position, word) in run.enumerate() {
                tally.words += 1;
                for (count, byte) in tally.bytes.iter_mut().zip(word.to_le_bytes()) {
                    count[byte as usize] += 1;
                }
                let ones = u64::from(word.count_ones());
                tally.ones += ones;
                tally.ones_squared += ones * ones;
                if !by_position {
                    continue;
                }
                if tally.positions.len() == position {
                    tally.positions.push([0; 8]);
                }
                for (bit, counts) in tally.positions[position].iter_mut().enumerate() {
                    *counts += word >> bit & 0x0101_0101_0101_0101;
                }
            }
        }
        tally
    }

    /// Ones at every bit of every position.
    fn counts(&self) -> impl Iterator<Item = f64> {
        self.positions.iter().flat_map(|counts| (0..64).map(|bit| (counts[bit % 8] >> (bit / 8 * 8) & 255) as f64))
    }

    /// The largest of: chi-square of each byte, Welch's t of the bit counts, and the bits of each position.
    fn distance(&self, other: &Self, runs: usize) -> f64 {
        let chi = self.bytes.iter().zip(&other.bytes).map(|(a, b)| chi_square(a, b)).fold(0.0, f64::max);
        let bits = self.counts().zip(other.counts()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / (runs as f64 / 2.0).sqrt();
        let moments = |t: &Self| {
            let (words, ones) = (t.words as f64, t.ones as f64);
            (ones / words, (t.ones_squared as f64 / words - (ones / words).powi(2)) / words)
        };
        let ((mean, variance), (other_mean, other_variance)) = (moments(self), moments(other));
        let welch = (mean - other_mean).abs() / (variance + other_variance).sqrt().max(1e-9);
        chi.max(bits).max(welch)
    }
}

/// Two samples of equal size, as a normal deviate (Wilson and Hilferty).
fn chi_square(a: &[u32; 256], b: &[u32; 256]) -> f64 {
    let seen = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b))).filter(|(a, b)| a + b > 0.0);
    let freedom = seen.clone().count() as f64 - 1.0;
    if freedom < 1.0 {
        return 0.0;
    }
    let chi: f64 = seen.map(|(a, b)| (a - b).powi(2) / (a + b)).sum();
    let spread = 2.0 / (9.0 * freedom);
    ((chi / freedom).cbrt() - 1.0 + spread) / spread.sqrt()
}

/// The largest distance of two views: single words, then XOR, sum and difference of words of one index in two messages and of
/// neighbours in one. Stops at the first alarm.
fn compare(a: &[Received], b: &[Received]) -> (f64, String) {
    type Operation = fn(Word, Word) -> Word;
    let operations: [(&str, Operation); 3] =
        [("xor", |x, y| x ^ y), ("sum", |x, y| x.wrapping_add(y)), ("difference", |x, y| x.wrapping_sub(y))];
    let mut worst = (0.0, String::new());
    let mut note = |z: f64, what: String| {
        if z > worst.0 {
            worst = (z, what);
        }
        z > ALARM
    };
    for i in 0..a.len() {
        let (name, runs) = (format!("{} {}", a[i].label, a[i].purpose), a[i].runs.len());
        let single = |v: &[Received]| Tally::new(v[i].runs.iter().map(|run| run.iter().copied()));
        if note(single(a).distance(&single(b), runs), name.clone()) {
            return worst;
        }
        for j in i..a.len() {
            for (how, operation) in operations {
                // a message with itself: each word with the next
                let skip = usize::from(i == j);
                let pair = |v: &[Received]| {
                    let both = v[i].runs.iter().zip(&v[j].runs);
                    Tally::new(both.map(|(x, y)| x.iter().zip(y.iter().skip(skip)).map(|(x, y)| operation(*x, *y))))
                };
                if a[i].runs[0].len() > skip
                    && note(pair(a).distance(&pair(b), runs), format!("{how} of {name} and {} {}", a[j].label, a[j].purpose))
                {
                    return worst;
                }
            }
        }
    }
    worst
}

/// The bits of each word that a message fills.
fn filled(case: &Case, message: &Received) -> Vec<Word> {
    let mut words = vec![Word::MAX; message.runs[0].len()];
    let label = message.label;
    let circuit = match message.purpose {
        _ if label == Label::SIGN => circuit::nonnegative(if case.sign == Sign::Six { Tree::Six } else { Tree::Five }, 64),
        3 if label == Label::SHORT_SIGN => return vec![1; words.len()],
        _ if label == Label::SHORT_SIGN => return vec![0x0001_0101_0101_0101; words.len()],
        _ if label == Label::BITS => circuit::all_bits(),
        1.. if label == Label::TRUNCATION => return vec![(1 << 60) - 1; words.len()],
        4.. if label == Label::ACTIVATION => return vec![(1 << 60) - 1; words.len()],
        _ => return words,
    };
    let level = &circuit.levels[message.purpose as usize / 2];
    let planes = if message.purpose.is_multiple_of(2) { &level.lead } else { &level.pair }.outputs.len();
    if planes % 2 == 1 {
        words[planes / 2] >>= 32;
    }
    words
}

/// The chance that a bit changes, or a residue.
fn chance(message: &Received) -> f64 {
    if message.label == Label::SHORT_SIGN && message.purpose < 3 { 22.0 / 23.0 } else { 0.5 }
}

/// How often the bits that a message fills change, or its residues: the rarest, the most frequent, and the deviation of all
/// from their chance.
fn changes(case: &Case, before: &Received, after: &Received) -> (f64, f64, f64) {
    let (filled, chance) = (filled(case, before), chance(before));
    let residues = before.label == Label::SHORT_SIGN && before.purpose < 3;
    let change = |(x, y): (&Word, &Word)| match residues {
        true => Word::from_le_bytes((x ^ y).to_le_bytes().map(|byte| u8::from(byte != 0))),
        false => x ^ y,
    };
    let tally = Tally::new(before.runs.iter().zip(&after.runs).map(|(x, y)| x.iter().zip(y).map(change)));
    let (mut low, mut high, mut sum, mut bits) = (f64::MAX, 0.0f64, 0.0, 0.0);
    for (i, changed) in tally.counts().enumerate() {
        if filled[i / 64] >> (i % 64) & 1 == 0 {
            assert_eq!(changed, 0.0, "{} {}: padding is zero", before.label, before.purpose);
            continue;
        }
        (low, high, sum, bits) = (low.min(changed), high.max(changed), sum + changed, bits + before.runs.len() as f64);
    }
    (low, high, (sum - bits * chance).abs() / (bits * chance * (1.0 - chance)).sqrt())
}

/// The pair; the lead receives nothing but answers to short signs.
const PAIR: [usize; 2] = [1, 2];

fn observers(case: &Case) -> Vec<usize> {
    if case.sign == Sign::Short { vec![0, 1, 2] } else { PAIR.to_vec() }
}

#[test]
fn every_bit_changes_with_the_key_that_the_party_lacks() {
    for case in cases() {
        let silent = view(&case, [0, LANE, 1], SECRETS[0], SEEDS, &[]).is_empty();
        assert_eq!(silent, case.sign != Sign::Short, "{}: the lead receives nothing but answers", case.name);
        for observer in observers(&case) {
            let mut other = SEEDS;
            other[(observer + 2) % 3] = 44;
            let [before, after] = [SEEDS, other].map(|seeds| view(&case, [observer, LANE, RUNS], SECRETS[0], seeds, &[]));
            for (before, after) in before.iter().zip(&after) {
                let (low, high, z) = changes(&case, before, after);
                let chance = chance(before);
                let (mean, bound) = (RUNS as f64 * chance, ALARM * (RUNS as f64 * chance * (1.0 - chance)).sqrt());
                let what = format!("{}: party {observer}, {} {}", case.name, before.label, before.purpose);
                assert!(low > mean - bound && high < mean + bound && z < ALARM, "{what}: {low} to {high} of {RUNS}, {z:.1}");
            }
        }
    }
}

/// The same run for two secrets, with different keys.
fn views(case: &Case, sizes: [usize; 3], mutations: &[Mutation]) -> [Vec<Received>; 2] {
    let secrets = if sizes[0] == 0 { CARRIES } else { SECRETS };
    secrets.map(|secret| view(case, sizes, secret, SEEDS.map(|seed| seed.wrapping_add(secret) ^ sizes[1] as u64), mutations))
}

#[test]
fn two_secrets_show_in_a_broken_view() {
    for (name, broken) in [
        ("mul", Mutation::Public(Label::PRODUCT, 0)),
        ("truncate", Mutation::Public(Label::TRUNCATION, 0)),
        ("relu, five", Mutation::Same(Label::INJECTION, 0, 1)),
        ("activate", Mutation::Same(Label::ACTIVATION, 1, 2)),
        ("sign and lift, five", Mutation::Public(Label::SIGN, 0)),
        ("sign and lift, short", Mutation::Public(Label::SHORT_SIGN, 0)),
        ("sign and lift, short", Mutation::Public(Label::SHORT_SIGN, 2)),
        ("sign and lift, short", Mutation::Public(Label::SHORT_SIGN, 3)),
    ] {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let mut views = observers(&case).into_iter().map(|observer| views(&case, [observer, LANE, RUNS], &[broken]));
        let noticed = views.any(|[a, b]| compare(&a, &b).0 > ALARM);
        assert!(noticed, "{name}: {broken:?} does not show");
    }
}

#[test]
fn a_view_is_the_same_for_two_secrets() {
    for case in cases() {
        let (mut words, mut runs, mut n) = (0, RUNS, LANE);
        // one lane in many runs, position by position; then large tensors, until a million words have been seen
        while words < 1_000_000 {
            for observer in observers(&case) {
                let views = views(&case, [observer, n, runs], &[]);
                words += views.iter().flatten().flat_map(|m| &m.runs).map(Vec::len).sum::<usize>();
                let (z, place) = compare(&views[0], &views[1]);
                assert!(z < ALARM, "{}: party {observer} tells secrets apart by the {place}: {z:.1}", case.name);
            }
            (runs, n) = (FEW, n.max(512) * 16);
        }
    }
}

/// The stream that masks a message: the swap of a local product has its zero share's.
fn mask_of(message: &Received) -> (Label, u8) {
    let named = (message.label, message.purpose);
    if named == (Label::RESHARE, 1) { (Label::PRODUCT, 0) } else { named }
}

/// The first message that does not change in every bit when nothing but the stream that masks it does: a mask that is public,
/// left out or another message's. `only` one stream, or all.
fn without_own_mask(case: &Case, observer: usize, only: Option<(Label, u8)>, broken: &[Mutation]) -> Option<String> {
    const RUNS: usize = 48;
    let see = |mutations: &[Mutation]| view(case, [observer, LANE, RUNS], SECRETS[0], SEEDS, mutations);
    let before = see(broken);
    let mut masks: Vec<_> = before.iter().map(mask_of).filter(|mask| only.is_none_or(|only| only == *mask)).collect();
    masks.dedup();
    masks.into_iter().find_map(|(label, purpose)| {
        // the observer lacks component `observer + 2`, and party 0 leads
        let after = see(&[broken, &[Mutation::Rekeyed(label, purpose, (observer + 2) % 3)]].concat());
        let pairs = before.iter().zip(&after).filter(|(message, _)| mask_of(message) == (label, purpose));
        pairs.map(|(before, after)| changes(case, before, after)).find(|(low, _, _)| *low == 0.0).map(|_| format!("{label} {purpose}"))
    })
}

#[test]
fn every_message_has_a_mask_of_its_own() {
    for case in cases() {
        for observer in observers(&case) {
            assert_eq!(without_own_mask(&case, observer, None, &[]), None, "{}: party {observer}", case.name);
        }
    }
}

#[test]
fn every_broken_mask_is_noticed() {
    for case in cases() {
        for &(label, purposes) in case.streams {
            let public = (0..purposes).map(|p| (p, Mutation::Public(label, p)));
            let same = (0..purposes).flat_map(|p| (0..purposes).filter(move |q| p != *q).map(move |q| (q, Mutation::Same(label, p, q))));
            for (purpose, mutation) in public.chain(same) {
                let noticed = observers(&case)
                    .into_iter()
                    .any(|observer| without_own_mask(&case, observer, Some((label, purpose)), &[mutation]).is_some());
                assert!(noticed, "{}: nobody notices {mutation:?}", case.name);
            }
        }
    }
}

#[test]
fn sizes_and_counts_do_not_depend_on_inputs() {
    let mut rng = Rng(5);
    for case in cases() {
        let sizes = [0, 1, u64::MAX, 1 << 61, rng.next() >> 2].map(|secret| {
            let parties = seeded(SEEDS);
            parties.iter().for_each(|p| p.set_sign(case.sign));
            let sharing = sharing(1, secret, 77);
            let task = |p| {
                let sharing = &sharing;
                async move { (case.protocol)(p, components(p, sharing).await).await }
            };
            pollster::block_on(run(&parties, Transport::Bytes, task)).unwrap();
            parties.map(|p| p.meter())
        });
        assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "{}", case.name);
    }
}

#[test]
fn two_zero_shares_differ_and_sum_to_zero() {
    let parties = seeded(SEEDS);
    let task = |p| async move {
        let zero = mpc::public(p, &shape(100), &[0; 100]);
        (revealed(p, &zero).await, revealed(p, &zero).await)
    };
    let parts = pollster::block_on(run(&parties, Transport::Handover, task)).unwrap();
    assert_eq!(mpc::combine([&parts[0].0, &parts[1].0, &parts[2].0]), [0; 100]);
    assert_eq!(mpc::combine([&parts[0].1, &parts[1].1, &parts[2].1]), [0; 100]);
    assert!(parts.iter().all(|(one, other)| one.iter().zip(other).all(|(x, y)| x != y && *x != 0)));
}
