//! The inputs of a command line, whatever files they come in.

use crate::{args::Preprocess, npy};
use std::path::{Path, PathBuf};
use trishade::{
    Error, Result,
    data::{cifar, idx, images},
    nn::graph::{GraphInput, InputKind},
    shape::Shape,
};

/// A batch of inputs that fit a network.
pub struct Inputs {
    /// How many.
    pub count: usize,
    /// The numbers of all, one input after the other.
    pub values: Vec<f32>,
    /// Names of the files, if each holds one input.
    pub names: Vec<String>,
    /// True classes, if the files or folders say them.
    labels: Option<Vec<usize>>,
    /// Names of the classes, if folders say them.
    classes: Vec<String>,
}

impl Inputs {
    /// The true classes: of a file if one is given, else those that the inputs' files say.
    pub fn true_classes(&self, file: Option<&Path>) -> Result<Option<Vec<usize>>> {
        match file {
            Some(file) => labels(file, self.count).map(Some),
            None => Ok(self.labels.clone()),
        }
    }

    /// The names of classes: of a file if one is given, else those that the inputs' folders say.
    pub fn class_names(&self, file: Option<&Path>) -> Result<Vec<String>> {
        match file {
            Some(file) => classes(file),
            None => Ok(self.classes.clone()),
        }
    }
}

/// Reads the inputs of a network: the files of its only one, or `NAME=FILE` for each of several.
pub fn read(arguments: &[PathBuf], inputs: &[GraphInput], preprocess: Option<Preprocess>) -> Result<Inputs> {
    let (mut files, mut unnamed) = (vec![Vec::new(); inputs.len()], Vec::new());
    for argument in arguments {
        match named(argument, inputs) {
            Some((input, file)) => files[input].push(file),
            None => unnamed.push(argument.clone()),
        }
    }
    if inputs.len() == 1 {
        files[0].append(&mut unnamed);
    }
    if !unnamed.is_empty() || files.iter().any(Vec::is_empty) {
        let all = inputs.iter().map(|input| format!("{}=FILE for {}", input.name, shape_of(&input.extents)));
        let all = all.collect::<Vec<_>>().join(", ");
        return Err(Error::Input(format!("the model takes {} inputs, each with its name: --input {all}", inputs.len())));
    }
    let mut parts = Vec::new();
    for (input, files) in inputs.iter().zip(&files) {
        // whole numbers are taken as they are
        let preprocess = preprocess.or((input.kind == InputKind::Integers).then_some(Preprocess::Raw));
        parts.push(of_one(files, &input.extents, preprocess)?);
    }
    together(parts, inputs)
}

/// The input that an argument `NAME=FILE` names, and the file. A file of that whole name is no such argument.
fn named(argument: &Path, inputs: &[GraphInput]) -> Option<(usize, PathBuf)> {
    let name_and_file = argument.to_str().filter(|_| !argument.exists());
    // a name may have the sign in it as well
    inputs.iter().enumerate().find_map(|(i, input)| {
        let file = name_and_file?.strip_prefix(&input.name)?.strip_prefix('=')?;
        Some((i, file.into()))
    })
}

/// Items of several inputs: those of one item one after another.
fn together(mut parts: Vec<Inputs>, inputs: &[GraphInput]) -> Result<Inputs> {
    if parts.len() == 1 {
        return Ok(parts.remove(0));
    }
    let count = parts[0].count;
    if let Some((input, part)) = inputs.iter().zip(&parts).find(|(_, part)| part.count != count) {
        let first = &inputs[0].name;
        return Err(Error::Input(format!("{} items of input '{}', but {count} of '{first}'", part.count, input.name)));
    }
    let item = |i: usize| parts.iter().flat_map(move |part| &part.values[part.values.len() / count * i..][..part.values.len() / count]);
    let values = (0..count).flat_map(item).copied().collect();
    let labels = parts.iter_mut().find_map(|part| part.labels.take());
    Ok(Inputs { count, values, names: Vec::new(), labels, classes: Vec::new() })
}

/// Reads arrays, collections or images of an input of these extents.
fn of_one(paths: &[PathBuf], extents: &[usize], preprocess: Option<Preprocess>) -> Result<Inputs> {
    match paths {
        [folder] if folder.is_dir() => {
            let images::Folder { files, labels, classes } = images::in_folder(folder)?;
            Ok(Inputs { labels, classes, ..photographs(&files, extents, preprocess)? })
        }
        [file] if !images::is(file) => array(file, extents, preprocess),
        files => photographs(files, extents, preprocess),
    }
}

fn photographs(files: &[PathBuf], extents: &[usize], preprocess: Option<Preprocess>) -> Result<Inputs> {
    let preprocess = match preprocess {
        None | Some(Preprocess::Unit) => images::Preprocess::Unit,
        Some(Preprocess::Imagenet) => images::Preprocess::Imagenet,
        Some(Preprocess::Caffe) => images::Preprocess::Caffe,
        Some(Preprocess::Raw) => return Err(Error::Input("--preprocess raw is for arrays; images become numbers by another one".into())),
    };
    let mut values = Vec::new();
    for file in files {
        values.extend(images::input(&npy::read(file)?, &file.display().to_string(), extents, preprocess)?);
    }
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Inputs { count: files.len(), values, names: files.iter().map(name).collect(), labels: None, classes: Vec::new() })
}

/// A .npy file, an IDX file, or one of CIFAR's.
fn array(file: &Path, extents: &[usize], preprocess: Option<Preprocess>) -> Result<Inputs> {
    let (bytes, name) = (npy::read(file)?, file.display().to_string());
    let factor = match preprocess {
        Some(Preprocess::Imagenet | Preprocess::Caffe) => {
            return Err(Error::Input(format!("{name}: --preprocess imagenet and caffe are for images; arrays are taken raw or as unit")));
        }
        Some(Preprocess::Raw) => 1.0,
        _ => 1.0 / 255.0,
    };
    let scaled = |pixels: &[u8]| pixels.iter().map(|&v| f32::from(v) * factor).collect();
    let (shape, values, labels): (Shape, Vec<f32>, _) = if idx::is(&bytes) {
        let (own, pixels) = idx::read(&bytes, &name)?;
        // images of one channel do not say so
        let grey = own.len() == 3 && extents.len() == 3;
        let own = if grey { vec![own[0], 1, own[1], own[2]] } else { own };
        (Shape::new(own)?, scaled(pixels), None)
    } else if file.extension().is_some_and(|ending| ending == "bin") {
        let batch = cifar::read(&bytes, 1, &name).or_else(|first| cifar::read(&bytes, 2, &name).map_err(|_| first))?;
        let shape = Shape::new([&[batch.labels.len()], &batch.extents[..]].concat())?;
        (shape, scaled(&batch.pixels), Some(batch.labels))
    } else {
        let (shape, values) = npy::inputs(bytes, &name, preprocess)?;
        (shape, values, None)
    };
    let count = check(extents, &shape, &name)?;
    Ok(Inputs { count, values, names: Vec::new(), labels, classes: Vec::new() })
}

/// The number of inputs, if their shape is the model's.
fn check(extents: &[usize], shape: &Shape, name: &str) -> Result<usize> {
    match shape.extents() {
        [count, own @ ..] if own == extents => Ok(*count),
        _ => Err(Error::Input(format!("{name}: an array {shape}; the model takes {}", shape_of(extents)))),
    }
}

/// The shape of a batch.
fn shape_of(extents: &[usize]) -> String {
    let extents: Vec<String> = extents.iter().map(|extent| format!(", {extent}")).collect();
    format!("(N{})", extents.concat())
}

/// The true classes: a .npy file of integers, or an IDX file.
fn labels(file: &Path, count: usize) -> Result<Vec<usize>> {
    let (bytes, name) = (npy::read(file)?, file.display().to_string());
    if !idx::is(&bytes) {
        return npy::labels(bytes, &name, count);
    }
    match idx::read(&bytes, &name)? {
        (extents, classes) if extents == [count] => Ok(classes.iter().map(|&class| class.into()).collect()),
        (extents, _) => Err(Error::File(format!("{name}: labels of extents {extents:?} for {count} inputs"))),
    }
}

/// Names of classes, one a line.
fn classes(file: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(npy::read(file)?).map_err(|_| Error::File(format!("{}: not UTF-8 text", file.display())))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}
