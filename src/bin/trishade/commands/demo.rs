//! `trishade demo`: trained networks and what they look at, both secret, beside the same networks in the clear: LeNet on 100
//! handwritten digits, SqueezeNet on photographs.

use crate::{
    answers,
    args::{Demo, Shown},
    engine,
    failure::Failure,
    npy, progress,
    terminal::{self, To},
};
use std::sync::Arc;
use trishade::{
    data::{Numbers, images},
    nn::{Reveal, Weights, answer::best, onnx, reference, zoo},
};

static MODEL: &[u8] = include_bytes!("../../../../examples/models/lenet_mnist.onnx");
static IMAGES: &[u8] = include_bytes!("../../../../examples/data/mnist100.npy");
static LABELS: &[u8] = include_bytes!("../../../../examples/data/mnist100_labels.npy");

static SQUEEZENET: &[u8] = include_bytes!("../../../../examples/models/squeezenet1_1.safetensors");
static CLASSES: &str = include_str!("../../../../examples/data/imagenet_classes.txt");
static PHOTOGRAPHS: [(&str, &[u8]); 2] = [
    ("chelsea.png", include_bytes!("../../../../examples/data/chelsea.png")),
    ("rocket.jpg", include_bytes!("../../../../examples/data/rocket.jpg")),
];

/// Digits drawn.
const DRAWN: usize = 2;

/// A difference of scores above this is a failure: the fixed point has 20 bits after the point.
const TOLERANCE: f32 = 1e-3;

pub fn run(options: &Demo) -> Result<(), Failure> {
    match options.model {
        Shown::Lenet => digits(options),
        Shown::Squeezenet => photographs(options),
    }
}

fn digits(options: &Demo) -> Result<(), Failure> {
    let graph = onnx::import(MODEL)?;
    let Numbers { extents, values, .. } = npy::numbers(IMAGES, "the bundled images")?;
    let (count, images) = (extents[0], values.iter().map(|v| v / 255.0).collect::<Vec<f32>>());
    let labels: Vec<usize> = npy::numbers(LABELS, "the bundled labels")?.values.iter().map(|&class| class as usize).collect();
    let session = engine::session(&options.engine)?;
    let device = session.parties()[0].device().name();
    terminal::say(&format!("\nA trained LeNet reads {count} handwritten digits. Network and images are"));
    terminal::say("secret-shared among three parties in this process, which compute on their");
    terminal::say(&format!("shares ({device}) and see neither.\n"));

    let model = session.load(&graph)?;
    let answer = progress::of("private inference", |bar| {
        engine::wait(session.infer(&model, &images, 10, Reveal::Logits, |now| bar.set(now.share)))
    })?;
    let plain = reference::run_f32(&graph, &images, count)?;

    let in_clear: Vec<usize> = plain.values.chunks(plain.values.len() / count).map(|row| best(row, 1)[0]).collect();
    draw(&images, &answer.predictions, &in_clear, images.len() / count);

    let agree = |others: &[usize]| answer.predictions.iter().zip(others).filter(|(a, b)| a == b).count();
    let (right, same) = (agree(&labels), agree(&in_clear));
    let difference = answer.logits.iter().flatten().zip(&plain.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let mut table = vec![
        ("right", format!("{right} of {count}")),
        ("same as the plain network", format!("{same} of {count}")),
        ("largest score difference", format!("{difference:.6}")),
    ];
    table.extend(answers::costs(&answer));
    table.push(("device", format!("{device}, three parties in one process")));
    To::Error.table(&table);
    let expected = options.engine.fraction_bits != 20 || (same == count && difference <= TOLERANCE);
    if expected { Ok(()) } else { Err(Failure::Check("the private results differ from those in the clear".into())) }
}

fn photographs(options: &Demo) -> Result<(), Failure> {
    let weights = Arc::new(Weights::from_safetensors(SQUEEZENET)?);
    let graph = zoo::network_with("squeezenet", Some(weights))?;
    let classes: Vec<&str> = CLASSES.lines().collect();
    let session = engine::session(&options.engine)?;
    let device = session.parties()[0].device().name();
    terminal::say("\nA trained SqueezeNet names what is on photographs, one of 1000 classes. Network");
    terminal::say("and photographs are secret-shared among three parties in this process, which");
    terminal::say(&format!("compute on their shares ({device}) and see neither.\n"));

    let images = PHOTOGRAPHS.map(|(name, bytes)| images::input(bytes, name, graph.input_extents(), images::Preprocess::Caffe));
    let values = images.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let count = PHOTOGRAPHS.len();
    let model = session.load(&graph)?;
    let answer =
        progress::of("private inference", |bar| engine::wait(session.infer(&model, &values, 1, Reveal::Logits, |now| bar.set(now.share))))?;
    let plain = reference::run_f32(&graph, &values, count)?;

    let mut same = 0;
    let rows = plain.values.chunks(plain.values.len() / count);
    for (((name, _), private), plain) in PHOTOGRAPHS.iter().zip(&answer.logits).zip(rows) {
        let (best, in_clear) = (best(private, 5), best(plain, 5));
        same += usize::from(best == in_clear);
        let mut table = vec![[*name, "private", "in the clear"].map(String::from).to_vec()];
        let row = |&class: &usize| vec![classes[class].into(), format!("{:.4}", private[class]), format!("{:.4}", plain[class])];
        table.extend(best.iter().map(row));
        To::Error.columns(&table);
        terminal::say("");
    }
    let mut table = vec![("same five, in the same order", format!("{same} of {count}"))];
    table.extend(answers::costs(&answer));
    table.push(("device", format!("{device}, three parties in one process")));
    To::Error.table(&table);
    let expected = options.engine.fraction_bits != 20 || same == count;
    if expected { Ok(()) } else { Err(Failure::Check("the private results differ from those in the clear".into())) }
}

/// The first digits side by side, with what both networks say.
fn draw(images: &[f32], private: &[usize], plain: &[usize], pixels: usize) {
    let width = pixels.isqrt();
    let shown: Vec<&[f32]> = images.chunks(pixels).take(DRAWN).collect();
    terminal::images(&shown, pixels / width, width);
    let said: Vec<String> =
        (0..shown.len()).map(|i| format!("{:^width$} ", format!("private {}  plain {}", private[i], plain[i]))).collect();
    terminal::say(&format!("  {}\n", said.concat().trim_end()));
}
