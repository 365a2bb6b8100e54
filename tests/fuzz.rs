//! Fuzz targets for everything that reads bytes of others: none may panic, hang or take memory by a length that nothing covers.
//!
//! Samples are made by the program; a seeded mutator damages them. An input whose outcome is new becomes a sample. For long runs:
//! `TRISHADE_FUZZ_SECONDS=600 cargo test --release --test fuzz`, one more target's name to run it alone. A failure prints the seed
//! (`TRISHADE_FUZZ_SEED` repeats it) and the bytes; where the process itself is lost they are in `target/tmp/fuzz-NAME`.
#![allow(missing_docs, reason = "tests")]

use content::Content;
use std::{
    collections::HashSet,
    env, fs,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime},
};
use trishade::{
    Error, Result,
    data::images,
    device::Device,
    fixed::Fixed,
    net::fuzz,
    nn::{
        Graph, Tensor,
        builder::Builder,
        lower, onnx,
        ops::{Gate, Sum},
    },
    party::{Party, Progress, Remote},
    protocol as mpc,
    shape::Shape,
};

/// The command line's readers of data, and what they need of the command line.
#[path = "../src/bin/trishade/inputs/content.rs"]
#[allow(dead_code, reason = "files are read by path there")]
mod content;
#[path = "../src/bin/trishade/failure.rs"]
#[allow(dead_code, reason = "the command line ends with it")]
mod failure;
#[path = "../src/bin/trishade/files.rs"]
#[allow(dead_code, reason = "files are written there")]
mod files;
#[path = "../src/bin/trishade/npy.rs"]
#[allow(dead_code, reason = "files are written there")]
mod npy;
#[path = "../src/bin/trishade/npz.rs"]
#[allow(dead_code, reason = "files are written there")]
mod npz;
#[path = "../src/bin/trishade/inputs/table.rs"]
#[allow(dead_code, reason = "a table is understood there")]
mod table;

mod terminal {
    pub fn escaped(text: &str) -> String {
        text.into()
    }
}

/// Time of one input that is taken for a hang.
const HANG: Duration = Duration::from_secs(20);

#[test]
fn record() {
    let bodies = [fuzz::hellos(), controls()].concat();
    let samples = [fuzz::record_bytes(&bodies[..9]), fuzz::record_bytes(&[bodies[0].clone(), vec![1; 300], vec![2; 40]])];
    run("record", &samples, fuzz::records);
}

#[test]
fn hello() {
    run("hello", &fuzz::hellos(), fuzz::hello);
}

#[test]
fn control() {
    run("control", &controls(), |bytes| {
        let written = fuzz::control(bytes)?;
        assert_eq!(fuzz::control(&written).ok().as_ref(), Some(&written), "what is written is read again");
        Ok(())
    });
}

#[test]
fn architecture() {
    let bytes = |graph: &Graph| fuzz::architecture_bytes(&lower(graph, Fixed::default()).unwrap().program).unwrap();
    let samples: Vec<_> = graphs().iter().map(bytes).collect();
    run("architecture", &samples, fuzz::architecture);
}

#[test]
fn onnx_model() {
    let samples: Vec<_> = graphs().iter().map(|graph| onnx::export(graph, "sample").unwrap()).collect();
    run("onnx_model", &samples, |bytes| onnx::import(bytes)?.shapes(2).map(drop));
}

#[test]
fn data_file() {
    let array = |descr: &str, extents: &str, bytes: usize| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({extents}), }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &vec![1; bytes]].concat()
    };
    let mut samples =
        vec![array("<f4", "2, 3", 24), array(">f8", "3,", 24), array("|u1", "2, 2, 2", 8), array("<i8", "3,", 24), array("<f2", "3,", 6)];
    let mut archive = io::Cursor::new(Vec::new());
    let member = |name| npz::Member { name, extents: &[2], values: &[1.0, 2.0], whole: false };
    npz::write(&mut archive, &[member("a"), member("b")]).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&samples[0]).unwrap();
    samples.extend([archive.into_inner(), packed.finish().unwrap()]);
    samples.extend([vec![0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 2, 7, 9], vec![0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0], vec![9; 3073]]);
    samples.extend([b"a,b,label\n1,2,x\n3,\"4\",y\n".to_vec(), b",0,1\n0,5,1e3\n".to_vec(), b"1 2\n3 4".to_vec()]);
    let picture = image::RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 9]));
    for format in [image::ImageFormat::Png, image::ImageFormat::Jpeg, image::ImageFormat::WebP, image::ImageFormat::Bmp] {
        let mut bytes = io::Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        samples.push(bytes.into_inner());
    }
    run("data_file", &samples, |bytes| match content::recognised(bytes.to_vec(), "fuzz")? {
        Content::Image(bytes) => images::input(&bytes, "fuzz", &[3, 2, 2], images::Preprocess::Unit).map(drop),
        Content::Archive(mut archive) => archive.names().to_vec().iter().try_for_each(|name| archive.array(name).map(drop)),
        Content::Table(text) => table::read(&text, "fuzz", None, None).map(drop).map_err(|e| Error::File(e.to_string())),
        Content::Array(numbers) => {
            assert_eq!(numbers.extents.iter().product::<usize>(), numbers.values.len());
            Ok(())
        }
        Content::Batch(batch) => {
            assert_eq!(batch.pixels.len(), batch.labels.len() * 3072);
            Ok(())
        }
    });
}

#[test]
fn frame() {
    // what the second hears of a square, truncated; the first byte of an input says which of the frames it replaces
    let heard = frames_of_a_square();
    let samples: Vec<_> = heard.iter().enumerate().map(|(i, (_, frame))| [&[i as u8], &frame[..]].concat()).collect();
    run("frame", &samples, |bytes| {
        let (at, frame) = bytes.split_first().map_or((0, bytes), |(at, frame)| (*at as usize % heard.len(), frame));
        let mut remote = party(SECOND);
        for (i, (from, valid)) in heard.iter().enumerate() {
            turn(&mut remote, &mut |_, _| {})?;
            remote.deliver(*from, if i == at { frame } else { valid })?;
        }
        turn(&mut remote, &mut |_, _| {}).map(drop)
    });
}

/// Networks with every kind of layer that the builder has.
fn graphs() -> Vec<Graph> {
    let first = || Builder::new(&[2, 6, 6], 3).unwrap();
    let block = first().conv(2, 3, 1, 1).unwrap().batch_norm().unwrap().relu().unwrap();
    let value = block.value();
    let branch = first().conv(3, 1, 1, 0).unwrap();
    let shortcut = branch.value();
    let joined = block.conv(2, 3, 1, 1).unwrap().sum_with(value).unwrap().relu6().unwrap().concat(&[value]).unwrap();
    vec![
        first().conv(3, 3, 2, 1).unwrap().max_pool(2, 1, 0).unwrap().relu().unwrap().flatten().unwrap().linear(4).unwrap().build(),
        joined.average_pool(2, 2, 0).unwrap().flatten().unwrap().gather(&[5], [4, 3, 2, 1, 0].into()).unwrap().build(),
        branch.at(0).conv(3, 3, 1, 1).unwrap().sum_with(shortcut).unwrap().relu().unwrap().build(),
        first().grouped_conv(4, 3, 1, 0, 2).unwrap().global_average_pool().unwrap().flatten().unwrap().linear(2).unwrap().build(),
        compared(),
    ]
}

/// A value that a constant is added to, and one that is let through by it.
fn compared() -> Graph {
    let mut graph = Graph::new(&[2, 3]);
    let constant = graph.constant(Tensor::new([6], vec![0.5; 6]).unwrap());
    let sum = graph.push("sum", Sum::of_two(), &[0, constant]);
    let gate = graph.push("gate", Gate, &[0, sum]);
    graph.with_outputs(&[("y", gate)])
}

/// A control message of each kind: of many short inputs those that are read, as this side writes them.
fn controls() -> Vec<Vec<u8>> {
    let mut random = Random(1);
    let mut samples = Vec::new();
    for kind in 0..64 {
        let tries = (0..2000).map(|_| {
            let length = random.below(120);
            let byte = |random: &mut Random| [0, 1, 1, 2, 16, b'a'][random.below(6)];
            [vec![kind], (0..length).map(|_| byte(&mut random)).collect()].concat()
        });
        // what follows a message is cut off: the length is not known before
        let read = |bytes: Vec<u8>| (1..=bytes.len()).find_map(|length| fuzz::control(&bytes[..length]).ok());
        samples.extend(tries.filter_map(read).take(2));
    }
    assert!(samples.len() > 20, "{} samples of control messages", samples.len());
    samples
}

const SECOND: usize = 2;

/// A party that squares a few numbers and truncates, whose peers are elsewhere.
fn party(number: usize) -> Remote<Vec<u64>> {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| Device::cpu(1).unwrap());
    let [zero, one, two] = Party::local_seeded([DEVICE.clone(), DEVICE.clone(), DEVICE.clone()], 16, 5);
    let party = [zero, one, two].into_iter().nth(number).unwrap();
    let words = [1 << 16, 5, u64::MAX];
    let [a, b, c] = mpc::share_seeded(&Shape::new([3]).unwrap(), &words, 9);
    let share = [a, b, c].into_iter().nth(number).unwrap();
    Remote::begin(party, |p| async move {
        let x = mpc::input(&p, &share);
        let product = mpc::split(&p, mpc::product(&p, &x, &x)).await;
        let y = mpc::truncate(&p, &product, 16).await;
        p.device().download(&[&mpc::reveal(&p, &y)]).await.unwrap().remove(0)
    })
}

/// Goes on until the party waits or has ended.
fn turn(remote: &mut Remote<Vec<u64>>, send: &mut (dyn FnMut(usize, Vec<u8>) + Send)) -> Result<bool> {
    loop {
        let progress = pollster::block_on(remote.turn(1 << 20, &mut |to, bytes| send(to, bytes.to_vec())))?;
        match progress {
            Progress::Again => {}
            Progress::Blocked => return Ok(false),
            Progress::Done(_) => return Ok(true),
        }
    }
}

/// The frames that the second hears, and from whom.
fn frames_of_a_square() -> Vec<(usize, Vec<u8>)> {
    let (mut parties, mut done) = ([0, 1, 2].map(party), [false; 3]);
    let (mut heard, mut rounds) = (Vec::new(), 0);
    while !done.iter().all(|done| *done) {
        for number in 0..3 {
            let mut sent = Vec::new();
            if !done[number] {
                done[number] = turn(&mut parties[number], &mut |to, bytes| sent.push((to, bytes))).unwrap();
            }
            for (to, frame) in sent {
                parties[to].deliver(number, &frame).unwrap();
                heard.extend((to == SECOND).then_some((number, frame)));
            }
        }
        rounds += 1;
        assert!(rounds < 100, "the run does not end");
    }
    assert!(heard.len() > 1, "{} frames", heard.len());
    heard
}

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A part of so many bytes, often a short one.
    fn part(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        let most = if self.below(4) == 0 { length } else { 16 };
        start..(start + self.below(most + 1)).min(length)
    }
}

/// Damages one of the samples.
fn mutated(samples: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = samples[random.below(samples.len())].clone();
    for _ in 0..=random.below(6) {
        let (at, value) = (random.below(bytes.len()), random.next());
        match random.below(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << (value % 8),
            1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, value as u8][random.below(6)],
            2 if !bytes.is_empty() => bytes[at] = bytes[at].wrapping_add(if value % 2 == 0 { 1 } else { 255 }),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(random.part(bytes.len()))),
            5 => {
                let part = bytes[random.part(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            6 => {
                let other = &samples[random.below(samples.len())];
                bytes.splice(at.., other[random.below(other.len())..].iter().copied());
            }
            7 => {
                // a length, a count or an extent
                let number = [0, 1, u64::from(u32::MAX), 1 << 31, 1 << 32, u64::MAX, u64::MAX >> 1, value % 1000][random.below(8)];
                let width = [2, 4, 8][random.below(3)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            _ => drop(bytes.splice(at..at, (0..random.below(5)).map(|i| (value >> (8 * i)) as u8))),
        }
    }
    bytes
}

/// Hands damaged samples to a target, for a second or as long as the environment says.
fn run(name: &str, samples: &[Vec<u8>], target: impl Fn(&[u8]) -> Result<()>) {
    let number = |key: &str| env::var(key).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{key} is no number: {text}")));
    let long = number("TRISHADE_FUZZ_SECONDS");
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
    let seed = number("TRISHADE_FUZZ_SEED").unwrap_or_else(|| if long.is_some() { clock() } else { 1 });
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
    let began = Instant::now();
    let (mut random, mut samples, mut outcomes, mut cases) = (Random(seed), samples.to_vec(), HashSet::new(), 0u64);
    for sample in &samples {
        assert!(target(sample).is_ok(), "{name}: a sample is refused: {:?}", target(sample));
    }
    while began.elapsed() < Duration::from_secs(long.unwrap_or(1)) {
        let bytes = mutated(&samples, &mut random);
        if long.is_some() {
            fs::write(&kept, &bytes).unwrap();
        }
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
        let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let Ok(outcome) = outcome else { panic!("{name}: panicked; seed {seed}, case {cases}, input {}", hex()) };
        assert!(start.elapsed() < HANG, "{name}: took {:?}; seed {seed}, case {cases}, input {}", start.elapsed(), hex());
        // numbers in an error say little of the way that led to it
        let outcome: String =
            outcome.err().iter().flat_map(|e| e.to_string().chars().collect::<Vec<_>>()).filter(|c| c.is_alphabetic()).collect();
        if bytes.len() < 1 << 16 && samples.len() < 4096 && outcomes.insert(outcome) {
            samples.push(bytes);
        }
        cases += 1;
    }
    println!("{name}: {cases} inputs, {} outcomes, seed {seed}", outcomes.len());
}
