//! Files that people bring as inputs, through the program: each kind as the tools that write it write it.
//!
//! `tests/data/images` was made with Pillow 13.0: `expected.npz` has what `convert("RGB")` and `convert("L")` make of each.
#![allow(missing_docs, reason = "tests")]

#[path = "common/program.rs"]
mod program;

use program::*;
use std::{
    io::{Cursor, Write},
    path::Path,
    process::Output,
};
use trishade::{
    data::images::{self, Preprocess},
    nn::{
        Graph,
        graph::{GraphInput, InputKind},
        onnx,
        ops::Sum,
    },
};

/// A model whose output is its input, of these extents.
fn identity(folder: &Folder, extents: &[usize]) -> String {
    folder.model(&format!("identity{extents:?}.onnx"), &Graph::new(extents).with_outputs(&[("y", 0)]))
}

fn infer<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["infer", "--model", model, "--device", "cpu", "--json", "--input"], more].concat()
}

/// The numbers that a model whose output is its input has been given.
fn taken(output: &Output) -> Vec<f64> {
    json(output)["logits"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()).map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn close(found: &[f64], wanted: &[f64]) {
    let off = found.iter().zip(wanted).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max);
    assert!(found.len() == wanted.len() && off < 1e-5, "{found:?} is not {wanted:?}");
}

fn npy(descr: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    header += &" ".repeat(63 - (header.len() + 10) % 64);
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn idx(code: u8, extents: &[u32], data: &[u8]) -> Vec<u8> {
    [&[0, 0, code, extents.len() as u8], &extents.iter().flat_map(|e| e.to_be_bytes()).collect::<Vec<u8>>()[..], data].concat()
}

fn png(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb(colour(x, y))).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The arrays of `expected.npz`.
fn expected(name: &str) -> Vec<f32> {
    let file = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images/expected.npz")).unwrap();
    let mut zip = zip::ZipArchive::new(file).unwrap();
    let array = npyz::NpyFile::new(zip.by_name(&format!("{name}.npy")).unwrap()).unwrap();
    array.into_vec::<u8>().unwrap().into_iter().map(f32::from).collect()
}

#[test]
fn images_are_those_of_pil() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let mut names: Vec<String> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".npz"));
    assert_eq!(names.len(), 19);
    for name in names {
        let bytes = std::fs::read(folder.join(&name)).unwrap();
        for (mode, channels) in [("rgb", 3), ("l", 1)] {
            let found = images::input(&bytes, &name, &[channels, 6, 8], Preprocess::Raw);
            if name == "grey_16.png" {
                assert!(found.unwrap_err().to_string().contains("16 bits"));
                continue;
            }
            let (found, wanted) = (found.unwrap(), expected(&format!("{}_{mode}", name.replace('.', "_"))));
            let off = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // decoders of formats with losses differ in the last digits
            let most = if name.ends_with(".jpg") || name == "lossy.webp" { 3.0 } else { 0.0 };
            assert!(found.len() == wanted.len() && off <= most, "{name} {mode}: {off}");
        }
    }
}

#[test]
fn a_colour_image_for_a_grey_network_is_rec_601() {
    let folder = Folder::new("grey");
    let colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [12, 200, 99]];
    let picture = folder.write("picture.png", png(4, 1, |x, _| colours[x as usize]));
    let output = trishade(&infer(&identity(&folder, &[1, 1, 4]), &[&picture]));
    // 0.299 R + 0.587 G + 0.114 B
    close(&taken(&output), &[76.0, 150.0, 29.0, 132.0].map(|v| v / 255.0));
    assert!(err(&output).contains("pixels divided by 255"), "{}", err(&output));
    close(&taken(&trishade(&infer(&identity(&folder, &[1, 1, 4]), &[&picture, "--preprocess", "raw"]))), &[76.0, 150.0, 29.0, 132.0]);
}

#[test]
fn a_folder_drops_no_image() {
    let folder = Folder::new("folder");
    for i in 0..5u8 {
        folder.write(&format!("many/{i}.png"), png(1, 1, |_, _| [i; 3]));
    }
    let model = identity(&folder, &[1, 1, 1]);
    let many = folder.at("many");
    let run = |more: &[&str]| trishade(&[&infer(&model, &[&many, "--preprocess", "raw"])[..], more].concat());
    close(&taken(&run(&[])), &[0.0, 1.0, 2.0, 3.0, 4.0]);
    folder.write("many/notes.txt", "of no use");
    let output = run(&[]);
    assert!(taken(&output).len() == 5 && err(&output).contains("1 files that are no images") && err(&output).contains("notes.txt"));
    folder.write("many/thumbnails/0.png", png(1, 1, |_, _| [9; 3]));
    fails(&infer(&model, &[&many]), 1, &["5 images", "beside the folder 'thumbnails'", "a folder for each class"]);
}

#[test]
fn every_kind_of_npy_is_read() {
    let folder = Folder::new("npy");
    let model = identity(&folder, &[2, 3]);
    let halves: Vec<u8> = [0x3c00u16, 0x4000, 0x4200, 0xc400, 0x4500, 0x3800].iter().flat_map(|v| v.to_le_bytes()).collect();
    let integers: Vec<u8> = [1i64, -2, 3, 4, 5, 70000].iter().flat_map(|v| v.to_be_bytes()).collect();
    let shorts: Vec<u8> = [1u16, 2, 3, 4, 5, 65535].iter().flat_map(|v| v.to_le_bytes()).collect();
    let cases: [(&str, Vec<u8>, [f64; 6]); 5] = [
        ("f16.npy", npy("<f2", false, "(1, 2, 3)", &halves), [1.0, 2.0, 3.0, -4.0, 5.0, 0.5]),
        ("i64.npy", npy(">i8", false, "(1, 2, 3)", &integers), [1.0, -2.0, 3.0, 4.0, 5.0, 70000.0]),
        ("u16.npy", npy("<u2", false, "(1, 2, 3)", &shorts), [1.0, 2.0, 3.0, 4.0, 5.0, 65535.0]),
        ("bool.npy", npy("|b1", false, "(1, 2, 3)", &[1, 0, 1, 1, 0, 0]), [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]),
        ("fortran.npy", npy("<f4", true, "(1, 2, 3)", &floats(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ];
    for (name, bytes, wanted) in cases {
        close(&taken(&trishade(&infer(&model, &[&folder.write(name, bytes)]))), &wanted);
    }
    let object = folder.write("object.npy", npy("|O", false, "(1, 2, 3)", b"\x80\x04pickle"));
    fails(&infer(&model, &[&object]), 1, &["object.npy", "Python objects", "astype"]);
    let text = folder.write("str.npy", npy("<U1", false, "(1, 2, 3)", &[0; 24]));
    fails(&infer(&model, &[&text]), 1, &["str.npy", "texts"]);
}

#[test]
fn idx_and_cifar_are_read_packed_or_not() {
    let folder = Folder::new("idx");
    let model = identity(&folder, &[1, 2, 2]);
    let digits = idx(8, &[2, 2, 2], &[0, 51, 102, 153, 204, 255, 0, 51]);
    let wanted = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 0.0, 0.2];
    for (name, bytes) in [("t-images-idx3-ubyte", digits.clone()), ("t-images-idx3-ubyte.gz", gzip(&digits)), ("wrong.csv", digits)] {
        let output = trishade(&infer(&model, &[&folder.write(name, bytes)]));
        close(&taken(&output), &wanted);
        assert!(err(&output).contains("uint8 divided by 255 (--preprocess raw keeps them)"));
    }
    let doubles: Vec<u8> = [1.5f64, -2.0, 0.25, 8.0].iter().flat_map(|v| v.to_be_bytes()).collect();
    close(&taken(&trishade(&infer(&model, &[&folder.write("doubles", gzip(&idx(14, &[1, 2, 2], &doubles)))]))), &[1.5, -2.0, 0.25, 8.0]);
    let cifar = folder.write("data_batch_1.bin.gz", gzip(&[&[3][..], &[255; 3072]].concat()));
    let output = trishade(&infer(&identity(&folder, &[3, 32, 32]), &[&cifar, "--preprocess", "raw"]));
    fails(&infer(&identity(&folder, &[3, 32, 31]), &[&cifar]), 1, &["(1, 3, 32, 32)", "(N, 3, 32, 31)"]);
    // its labels are for scores: an output of images has none
    assert!(output.status.code() == Some(1) && err(&output).contains("1 labels for 1 inputs"), "{}", err(&output));
}

#[test]
fn bytes_of_a_table_are_no_pixels() {
    let folder = Folder::new("bytes");
    let table = folder.write("table.npy", npy("|u1", false, "(2, 2)", &[1, 2, 3, 255]));
    let output = trishade(&infer(&identity(&folder, &[2]), &[&table]));
    close(&taken(&output), &[1.0, 2.0, 3.0, 255.0]);
    assert!(err(&output).contains("uint8 taken as they are (--preprocess unit divides them by 255)"), "{}", err(&output));
    let output = trishade(&infer(&identity(&folder, &[2]), &[&table, "--preprocess", "unit"]));
    close(&taken(&output), &[1.0, 2.0, 3.0, 255.0].map(|v| v / 255.0));
    assert!(!err(&output).contains("uint8"));
}

#[test]
fn arrays_of_an_archive_are_chosen() {
    let folder = Folder::new("npz");
    let model = identity(&folder, &[2]);
    let array = |values: &[f32]| npy("<f4", false, &format!("({}, 2)", values.len() / 2), &floats(values));
    let one = folder.write("one.npz", npz(&[("anything", array(&[1.0, 2.0]))]));
    close(&taken(&trishade(&infer(&model, &[&one]))), &[1.0, 2.0]);
    let labels = npy("<i8", false, "(1,)", &1i64.to_le_bytes());
    let both = folder.write("both.npz", npz(&[("x_test", array(&[5.0, 7.0])), ("y_test", labels)]));
    fails(&infer(&model, &[&both]), 1, &["several arrays: x_test (1, 2) float32, y_test (1) int64", "both.npz:x_test"]);
    let (x, y) = (format!("{both}:x_test"), format!("{both}:y_test"));
    let object = json(&trishade(&infer(&model, &[&x, "--labels", &y])));
    assert_eq!((&object["predictions"], &object["accuracy"]), (&serde_json::json!([1]), &serde_json::json!(1.0)));
    fails(&infer(&model, &[&format!("{both}:z")]), 1, &["no array 'z'", "x_test (1, 2) float32"]);

    let input = |name: &str| GraphInput { name: name.into(), extents: vec![2], kind: InputKind::Floats };
    let mut graph = Graph::with_inputs(vec![input("ids:0"), input("mask")]);
    let sum = graph.push("sum", Sum { factors: vec![1.0, 10.0], constant: 0.0 }, &[0, 1]);
    let two = folder.write("two.onnx", onnx::export(&graph.with_outputs(&[("y", sum)]), "two").unwrap());
    let named =
        folder.write("named.npz", npz(&[("mask", array(&[3.0, 4.0])), ("ids:0", array(&[1.0, 2.0])), ("more", array(&[0.0, 0.0]))]));
    close(&taken(&trishade(&infer(&two, &[&named]))), &[31.0, 42.0]);
    fails(&infer(&two, &[&one]), 1, &["2 inputs", "ids:0=FILE"]);
}

#[test]
fn files_are_read_by_what_they_are() {
    let folder = Folder::new("names");
    let model = identity(&folder, &[1, 1, 2]);
    let array = npy("<f4", false, "(1, 1, 1, 2)", &floats(&[0.25, 0.5]));
    for name in ["array.png", "array", "array.csv", "array.bin"] {
        close(&taken(&trishade(&infer(&model, &[&folder.write(name, &array)]))), &[0.25, 0.5]);
    }
    for name in ["picture.npy", "picture"] {
        let picture = folder.write(name, png(2, 1, |x, _| [255 * x as u8; 3]));
        close(&taken(&trishade(&infer(&model, &[&picture]))), &[0.0, 1.0]);
    }
    close(&taken(&trishade(&infer(&model, &[&folder.write("table.npy", "0.5,0.75\n")]))), &[0.5, 0.75]);
    fails(&infer(&model, &[&folder.write("x.npy", b"\x89HDF\r\n\x1a\n")]), 1, &["x.npy", "HDF5"]);
    fails(&infer(&model, &[&folder.write("y.npy", "")]), 1, &["y.npy", "empty"]);
    // several files are one batch
    let output = trishade(&infer(&model, &[&folder.at("array"), &folder.at("picture"), &folder.at("table.npy")]));
    close(&taken(&output), &[0.25, 0.5, 0.0, 1.0, 0.5, 0.75]);
}

#[test]
fn tables_are_read_with_their_labels() {
    let folder = Folder::new("csv");
    let model = identity(&folder, &[2]);
    let flowers = folder.write("flowers.csv", "length,\"width, cm\",species\n1,2,b\n4.5,3,a\n");
    let names = folder.write("names.txt", "a\nb\n");
    let labelled = [&flowers[..], "--label-column", "species"];
    let output = trishade(&infer(&model, &[&labelled[..], &["--classes", &names]].concat()));
    close(&taken(&output), &[1.0, 2.0, 4.5, 3.0]);
    assert_eq!((&json(&output)["accuracy"], &json(&output)["predictions"]), (&serde_json::json!(1.0), &serde_json::json!([1, 0])));
    assert!(err(&output).contains("2 items of 2 numbers, with a header, labels from column 'species'"), "{}", err(&output));
    fails(&infer(&model, &labelled), 1, &["labels are names, such as 'b'", "--classes"]);
    let target = folder.write("target.csv", "a,b,target\n1,2,1\n4.5,3,1\n");
    assert_eq!(json(&trishade(&infer(&model, &[&target])))["accuracy"], serde_json::json!(0.5));
    let plain = folder.write("plain.csv", "1;2\n4.5;3\n");
    let labels = folder.write("labels.csv", "label\n1\n0\n");
    assert_eq!(json(&trishade(&infer(&model, &[&plain, "--labels", &labels])))["accuracy"], serde_json::json!(1.0));
    // a row of numbers for an image
    let output = trishade(&infer(&identity(&folder, &[1, 1, 2]), &[&folder.write("pixels.csv", "label,p0,p1\n0,0,255\n")]));
    assert_eq!((taken(&output), &json(&output)["accuracy"]), (vec![0.0, 255.0], &serde_json::json!(0.0)));
    let output = trishade(&infer(&identity(&folder, &[1, 1, 2]), &[&folder.write("pixels.csv", "p0,p1\n0,255\n")]));
    close(&taken(&output), &[0.0, 255.0]);
    assert!(err(&output).contains("whole numbers to 255 taken as they are"), "{}", err(&output));
}

#[test]
fn what_is_wrong_with_a_table_is_named_with_its_place() {
    let folder = Folder::new("wrong");
    let model = identity(&folder, &[2]);
    let table = |text: &str| folder.write("x.csv", text);
    fails(&infer(&model, &[&table("a,b\n1,2\n3,n/a\n")]), 1, &["x.csv: line 3, column 2 ('b') is 'n/a'"]);
    fails(&infer(&model, &[&table("1,2\n3,\n")]), 1, &["line 2, column 2 is empty"]);
    fails(&infer(&model, &[&table("1,2\n3,inf\n")]), 1, &["line 2, column 2", "no finite number"]);
    fails(&infer(&model, &[&table("1,2,3\n")]), 1, &["3 columns", "--label-column"]);
    fails(&infer(&model, &[&table("a,b,c\n1,2,3\n"), "--label-column", "d"]), 2, &["--label-column d", "'a', 'b', 'c'"]);
    let array = folder.write("x.npy", npy("<f4", false, "(1, 2)", &floats(&[1.0, 2.0])));
    fails(&infer(&model, &[&array, "--label-column", "c"]), 2, &["no input is a table"]);
    let labels = folder.write("y.npy", npy("<i8", false, "(1,)", &1i64.to_le_bytes()));
    fails(&infer(&model, &[&array, "--labels", &labels, "--label-column", "c"]), 2, &["y.npy is no table"]);
    fails(&infer(&model, &[&folder.at("nowhere.csv")]), 1, &["nowhere.csv"]);
}
