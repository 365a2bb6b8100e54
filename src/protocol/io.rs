//! Inputs and openings: how secrets come in and results go out.

use crate::{
    Error, Result,
    device::Buffer,
    kernels::{
        Masked,
        draw::{draw, mask},
        linear,
    },
    party::{Label, Op, Party, Role},
    ring::Word,
    shape::Shape,
    share::{Arith, Binary},
    stream::Stream,
};
use std::{
    io::{Read, Write},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The share that an outside owner sends to one party: its two components, a component as a seed or as words.
#[derive(Clone)]
pub struct Input {
    shape: Shape,
    own: Component,
    next: Component,
}

#[derive(Clone)]
enum Component {
    Seed(Zeroizing<[u32; 8]>),
    Words(Arc<Zeroizing<Vec<Word>>>),
}

impl Input {
    /// Bytes that the owner sends.
    pub fn bytes(&self) -> u64 {
        [&self.own, &self.next].iter().map(|c| if let Component::Words(words) = c { words.len() as u64 * 8 } else { 32 }).sum()
    }

    /// Shape of the tensor.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Writes both components, each as a byte that says which kind it is, and 32 bytes of a seed or 8 bytes a word.
    pub fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        for component in [&self.own, &self.next] {
            match component {
                Component::Seed(seed) => {
                    to.write_all(&[SEED])?;
                    to.write_all(bytemuck::cast_slice(&seed[..]))?;
                }
                Component::Words(words) => {
                    to.write_all(&[WORDS])?;
                    to.write_all(bytemuck::cast_slice(&words[..]))?;
                }
            }
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) has written of a tensor of this shape.
    ///
    /// [`Error::Input`] if it is too short or no share.
    pub fn read(shape: &Shape, from: &mut impl Read) -> Result<Self> {
        let short = |e: std::io::Error| Error::Input(format!("a share of shape {shape}: {e}"));
        let mut component = || {
            let mut kind = [0];
            from.read_exact(&mut kind).map_err(short)?;
            match kind {
                [SEED] => {
                    let mut seed = Zeroizing::new([0u32; 8]);
                    from.read_exact(bytemuck::cast_slice_mut(&mut seed[..])).map_err(short)?;
                    Ok(Component::Seed(seed))
                }
                [WORDS] => {
                    // as much again as has come: the shape is not the sender's word for it
                    let mut words = Zeroizing::new(vec![0u64; shape.elements().min(AT_ONCE)]);
                    from.read_exact(bytemuck::cast_slice_mut(&mut words[..])).map_err(short)?;
                    while words.len() < shape.elements() {
                        let come = words.len();
                        let mut more = Zeroizing::new(Vec::with_capacity(shape.elements().min(2 * come)));
                        more.extend_from_slice(&words);
                        more.resize(shape.elements().min(2 * come), 0);
                        from.read_exact(bytemuck::cast_slice_mut(&mut more[come..])).map_err(short)?;
                        words = more;
                    }
                    Ok(Component::Words(Arc::new(words)))
                }
                [other] => Err(Error::Input(format!("a share of shape {shape}: a component of kind {other}"))),
            }
        };
        Ok(Self { shape: shape.clone(), own: component()?, next: component()? })
    }
}

const SEED: u8 = 0;
const WORDS: u8 = 1;
/// Words of a share that are taken on trust.
const AT_ONCE: usize = 1 << 17;

impl Input {
    /// Reads shares of these shapes, one after another.
    pub fn read_all(shapes: &[Shape], from: &mut impl Read) -> Result<Vec<Self>> {
        shapes.iter().map(|shape| Self::read(shape, from)).collect()
    }

    /// A lead's shares of tensors to come, of these shapes.
    pub fn promised(shapes: &[Shape]) -> Result<Vec<Self>> {
        shapes.iter().map(|shape| Ok(promise(shape)?.of_lead())).collect()
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input{}", self.shape)
    }
}

/// The share of words under XOR that an outside owner sends to one party.
#[derive(Clone, Debug)]
pub struct BinaryInput(Input);

/// Shares a tensor among three parties: two seeds from the operating system and one tensor, `x_2 = x - x_0 - x_1`.
pub fn share(shape: &Shape, words: &[Word]) -> Result<[Input; 3]> {
    promise(shape)?.keep(words)
}

/// Shares words bit by bit: `x_2 = x ^ x_0 ^ x_1`.
pub fn share_binary(shape: &Shape, words: &[Word]) -> Result<[BinaryInput; 3]> {
    check_size(shape, words)?;
    Ok(share_from(shape, words, fresh_seeds()?, |x, r| x ^ r).map(BinaryInput))
}

/// The shares of a tensor that does not exist yet: the lead's two components are seeds, so it can run ahead.
pub struct Promise {
    shape: Shape,
    seeds: Seeds,
}

/// Chooses the seeds of a tensor to come. It is kept once: two tensors with the same seeds would tell their difference.
pub fn promise(shape: &Shape) -> Result<Promise> {
    Ok(Promise { shape: shape.clone(), seeds: fresh_seeds()? })
}

/// The same with seeds that follow from a number: for tests that compare devices bit for bit, and for nothing else.
#[cfg(feature = "seeded")]
pub fn promise_seeded(shape: &Shape, seed: u64) -> Promise {
    Promise { shape: shape.clone(), seeds: seeds_of(seed) }
}

impl Promise {
    /// The share that the owner sends to party 0 beforehand.
    pub fn of_lead(&self) -> Input {
        let [own, next] = self.seeds.clone().map(Component::Seed);
        Input { shape: self.shape.clone(), own, next }
    }

    /// The promise whose seeds the lead has chosen.
    ///
    /// [`Error::Input`] if a component is no seed.
    pub fn of(lead: Input) -> Result<Self> {
        match (lead.own, lead.next) {
            (Component::Seed(own), Component::Seed(next)) => Ok(Self { shape: lead.shape, seeds: [own, next] }),
            _ => Err(Error::Input("the promised share of a lead is two seeds".into())),
        }
    }

    /// Shares of the right sizes and of no words, for shape-only devices.
    pub(crate) fn blank(self) -> [Input; 3] {
        // fresh zeros are not even pages until they are read
        let nothing = Zeroizing::new(vec![0; self.shape.elements()]);
        inputs(&self.shape, self.seeds, nothing)
    }

    /// The tensor, shared under the seeds that were promised.
    pub fn keep(self, words: &[Word]) -> Result<[Input; 3]> {
        check_size(&self.shape, words)?;
        Ok(share_from(&self.shape, words, self.seeds, Word::wrapping_sub))
    }
}

impl std::fmt::Debug for Promise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Promise{}", self.shape)
    }
}

type Seeds = [Zeroizing<[u32; 8]>; 2];

fn check_size(shape: &Shape, words: &[Word]) -> Result<()> {
    match words.len() == shape.elements() {
        true => Ok(()),
        false => Err(Error::Input(format!("{} values for a tensor of shape {shape}", words.len()))),
    }
}

/// Two seeds from the operating system.
fn fresh_seeds() -> Result<Seeds> {
    let mut random = Zeroizing::new([0u8; 64]);
    getrandom::fill(&mut *random).map_err(|e| Error::Device(format!("the operating system gives no randomness: {e}")))?;
    let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|j| random[4 * i + j]));
    Ok([0, 8].map(|at| Zeroizing::new(std::array::from_fn(|i| word(at + i)))))
}

/// The same with seeds that follow from a number: for tests that compare devices bit for bit, and for nothing else.
#[cfg(feature = "seeded")]
pub fn share_seeded(shape: &Shape, words: &[Word], seed: u64) -> [Input; 3] {
    share_from(shape, words, seeds_of(seed), Word::wrapping_sub)
}

#[cfg(feature = "seeded")]
fn seeds_of(seed: u64) -> Seeds {
    [1, 2].map(|component| Zeroizing::new([seed as u32, (seed >> 32) as u32, component, 0, 0, 0, 0, 0]))
}

/// The third component is what `without` leaves of the words when the two drawn ones are taken away.
fn share_from(shape: &Shape, words: &[Word], seeds: Seeds, without: fn(Word, Word) -> Word) -> [Input; 3] {
    let mut rest = Zeroizing::new(words.to_vec());
    let mut drawn = Zeroizing::new(vec![0; words.len()]);
    for seed in &seeds {
        crate::device::vector::keystream(&Stream { key: **seed, nonce: [0; 4] }, 0, &mut drawn);
        rest.iter_mut().zip(drawn.iter()).for_each(|(x, r)| *x = without(*x, *r));
    }
    inputs(shape, seeds, rest)
}

/// Two components as seeds, the third as words.
fn inputs(shape: &Shape, [first, second]: Seeds, rest: Zeroizing<Vec<Word>>) -> [Input; 3] {
    let components = [Component::Seed(first), Component::Seed(second), Component::Words(Arc::new(rest))];
    std::array::from_fn(|i| Input { shape: shape.clone(), own: components[i].clone(), next: components[(i + 1) % 3].clone() })
}

/// A tensor that is known to all, as a share: component 0 of the lead is the value.
pub fn public(p: &Party, shape: &Shape, words: &[Word]) -> Arith {
    let zero = || p.device().upload(&vec![0; words.len()]);
    let value = || p.device().upload(words);
    let (own, next) = match p.role() {
        Role::Lead => (value(), zero()),
        Role::First => (zero(), zero()),
        Role::Second => (zero(), value()),
    };
    Arith { shape: shape.clone(), own, next }
}

/// Takes in what an owner has shared. No message between the parties.
pub fn input(p: &Party, input: &Input) -> Arith {
    let [own, next] = [&input.own, &input.next].map(|component| component.place(p, input.shape.elements()));
    Arith { shape: input.shape.clone(), own, next }
}

/// The same for words under XOR.
pub fn input_binary(p: &Party, BinaryInput(input): &BinaryInput) -> Binary {
    let [own, next] = [&input.own, &input.next].map(|component| component.place(p, input.shape.elements()));
    Binary { shape: input.shape.clone(), own, next }
}

impl Component {
    fn place(&self, p: &Party, n: usize) -> Buffer {
        match self {
            Self::Seed(seed) => draw(p.device(), n, Stream { key: **seed, nonce: [0; 4] }),
            Self::Words(words) => p.device().upload(words),
        }
    }
}

/// The summand that this party sends to the owner of the result: `x_i + F_i - F_{i+1}`. The three sum to `x` and are otherwise fresh,
/// so the owner learns `x` and nothing of the sharing it came from. One round, 192 bits (to the owner).
pub fn reveal(p: &Party, x: &Arith) -> Buffer {
    let op = p.op(Label::REVEAL);
    fresh_summand(&op, &x.own).words().clone()
}

/// `z + F_i - F_{i+1}` for this party's components.
fn fresh_summand(op: &Op<'_>, z: &Buffer) -> Masked {
    let component = op.role() as usize;
    let (_, plus) = mask(op.device(), z, op.pad(component, 0));
    let sum = linear::add(op.device(), z, &plus);
    mask(op.device(), &sum, op.pad((component + 1) % 3, 0)).0
}

/// The same for words under XOR: `x_i ^ F_i ^ F_{i+1}`.
pub fn reveal_binary(p: &Party, x: &Binary) -> Buffer {
    let op = p.op(Label::REVEAL);
    let component = op.role() as usize;
    let [plus, minus] = [component, (component + 1) % 3].map(|component| mask(p.device(), &x.own, op.pad(component, 0)).1);
    linear::xor(p.device(), &linear::xor(p.device(), &x.own, &plus), &minus)
}

/// The words that the three parties have revealed under XOR.
pub fn combine_binary(parts: [&[Word]; 3]) -> Vec<Word> {
    parts[0].iter().zip(parts[1]).zip(parts[2]).map(|((a, b), c)| a ^ b ^ c).collect()
}

/// The sum of what the three parties have revealed.
pub fn combine(parts: [&[Word]; 3]) -> Vec<Word> {
    parts[0].iter().zip(parts[1]).zip(parts[2]).map(|((a, b), c)| a.wrapping_add(*b).wrapping_add(*c)).collect()
}

const COMPONENT: u8 = 0;
const DIGEST: u8 = 1;
const KEY: u8 = 2;

/// Opens to all three: party `i` sends `x_i` to party `i + 1`, which lacks it. One round, 192 bits, and a digest of the same
/// component from its second holder, keyed by what the sender does not know, so that a wrong component is noticed.
///
/// The result is public; the party must not branch on anything else.
pub async fn open(p: &Party, x: &Arith) -> Vec<Word> {
    let op = p.op(Label::OPEN);
    let (n, role) = (x.own.len(), op.role() as usize);
    let (after, before) = (of(role + 1), of(role + 2));
    op.send(after, COMPONENT, &Masked::component(x.own.clone()));
    let words = match p.device().download(&[&x.own, &x.next]).await {
        Ok(words) => Zeroizing::new(words),
        Err(error) => return failed(p, n, error),
    };
    // `next` is also held by party `role + 1`, which sends it to `role + 2`: this party vouches for it there.
    let digest_of_next = digest(&op, (role) % 3, &words[1]);
    op.send(before, DIGEST, &Masked::component(p.device().upload(&digest_of_next)));
    let from = op.receive(before, COMPONENT, n);
    let component = from.await;
    let vouched = op.receive(after, DIGEST, 2).await;
    let received = match p.device().download(&[&component, &vouched]).await {
        Ok(words) => Zeroizing::new(words),
        Err(error) => return failed(p, n, error),
    };
    if !p.device().is_shape_only() && received[1] != digest(&op, (role + 1) % 3, &received[0]) {
        let error =
            Error::OutOfStep(format!("opening: party {} sent a component that its second holder does not have", (p.number() + 2) % 3));
        return failed(p, n, error);
    }
    combine([&words[0], &words[1], &received[0]])
}

fn failed(p: &Party, n: usize, error: Error) -> Vec<Word> {
    p.fail(error);
    vec![0; n]
}

fn of(role: usize) -> Role {
    [Role::Lead, Role::First, Role::Second][role % 3]
}

/// Two words that bind a tensor: `sum_e k_e (x_e mod 2^32) + k'_e (x_e >> 32)` with fresh words `k`, twice over; collisions of
/// chosen tensors have probability 2^-32 for each.
fn digest(op: &Op<'_>, component: usize, words: &[Word]) -> [Word; 2] {
    [0, 1].map(|which| {
        let mut key = Zeroizing::new(vec![0; 2 * words.len() + 1]);
        crate::device::vector::keystream(&op.known(component, KEY + which), 0, &mut key);
        let start = key[2 * words.len()];
        words
            .iter()
            .zip(key.chunks(2))
            .fold(start, |sum, (x, k)| sum.wrapping_add(k[0].wrapping_mul(x & 0xffff_ffff)).wrapping_add(k[1].wrapping_mul(x >> 32)))
    })
}
