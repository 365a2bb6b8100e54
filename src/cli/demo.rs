//! `trishade demo`: 100 handwritten digits and a trained LeNet, both secret, beside the same network in the clear.

use super::{CheckFailed, Failure, args::Demo, engine, infer::costs, npy, paint};
use crate::nn::{Reveal, onnx, plain};

static MODEL: &[u8] = include_bytes!("../../examples/models/lenet_mnist.onnx");
static IMAGES: &[u8] = include_bytes!("../../examples/data/mnist100.npy");
static LABELS: &[u8] = include_bytes!("../../examples/data/mnist100_labels.npy");

/// Digits drawn.
const DRAWN: usize = 5;

/// A difference of scores above this is a failure: the fixed point has 20 bits after the point.
const TOLERANCE: f32 = 1e-3;

pub fn run(options: &Demo) -> Result<(), Failure> {
    let graph = onnx::import(MODEL)?;
    let (shape, images) = npy::inputs(IMAGES.to_vec(), "the bundled images", None)?;
    let count = shape.extents()[0];
    let labels = npy::labels(LABELS.to_vec(), "the bundled labels", count)?;
    let session = engine::session(&options.engine)?;
    let device = session.parties()[0].device().name();
    paint::say(&format!("\nA trained LeNet reads {count} handwritten digits. Network and images are secret-shared among"));
    paint::say(&format!("three parties in this process, which compute on their shares ({device}) and see neither.\n"));

    let model = session.load(&graph)?;
    let bar = paint::progress(count as u64, "private inference");
    let answer = engine::wait(session.infer(&model, &images, 10, Reveal::Logits, |done| bar.set_position(done as u64)));
    bar.finish_and_clear();
    let answer = answer?;
    let plain = plain::run_f32(&graph, &images, count)?;

    let row = plain.values.len() / count;
    let rows: Vec<&[f32]> = plain.values.chunks(row).collect();
    let in_clear: Vec<usize> =
        rows.iter().map(|row| (0..row.len()).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)).collect();
    draw(&images, &answer.predictions, &in_clear, images.len() / count);

    let agree = |others: &[usize]| answer.predictions.iter().zip(others).filter(|(a, b)| a == b).count();
    let (right, same) = (agree(&labels), agree(&in_clear));
    let difference = answer.logits.iter().flatten().zip(&plain.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let mut table = vec![
        ("right", format!("{right} of {count}")),
        ("same as the plain network", format!("{same} of {count}")),
        ("largest score difference", format!("{difference:.6}")),
    ];
    table.extend(costs(&answer));
    table.push(("device", format!("{device}, three parties in one process")));
    paint::table(&table);
    let expected = options.engine.fraction_bits != 20 || (same == count && difference <= TOLERANCE);
    if expected { Ok(()) } else { Err(Failure::Check(CheckFailed("the private results differ from those in the clear".into()))) }
}

/// The first digits side by side, with what both networks say.
fn draw(images: &[f32], private: &[usize], plain: &[usize], pixels: usize) {
    let width = pixels.isqrt();
    let shown: Vec<&[f32]> = images.chunks(pixels).take(DRAWN).collect();
    paint::images(&shown, pixels / width, width);
    let said: Vec<String> =
        (0..shown.len()).map(|i| format!("{:^width$} ", format!("private {}  plain {}", private[i], plain[i]))).collect();
    paint::say(&format!("  {}\n", said.concat().trim_end()));
}
