//! The inputs of a command line, whatever files they come in.

use crate::{args::Preprocess, npy};
use std::path::{Path, PathBuf};
use trishade::{
    Error, Result,
    data::{cifar, idx, images},
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

/// Reads arrays, collections or images of a network that takes `extents`.
pub fn read(paths: &[PathBuf], extents: &[usize], preprocess: Option<Preprocess>) -> Result<Inputs> {
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
        _ => {
            let wanted: Vec<String> = extents.iter().map(ToString::to_string).collect();
            Err(Error::Input(format!("{name}: an array {shape}; the model takes (N, {})", wanted.join(", "))))
        }
    }
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
