//! Extents that a model leaves free: as the command line gives them, else as the inputs at hand have them.

use super::content::{Content, Source, file_for};
use crate::{args::NamedShape, files};
use std::path::PathBuf;
use trishade::{
    Error, Result,
    data::{folder, images},
    nn::onnx::{DeclaredInput, Extent, Shapes},
};

/// Shapes of inputs, the batch first: those that are given, and of free inputs without one those of its first file.
pub fn shapes(declared: &[DeclaredInput], given: &[NamedShape], files: &[PathBuf]) -> Result<Shapes> {
    let mut shapes = Shapes::new();
    for NamedShape { name, extents } in given {
        let name = match (name, declared) {
            (Some(name), _) => name.clone(),
            (None, [only]) => only.name.clone(),
            (None, _) => return Err(Error::Input(format!("--shape: the model takes {} inputs; give NAME=...", declared.len()))),
        };
        if shapes.insert(name.clone(), extents.clone()).is_some() {
            return Err(Error::Input(format!("--shape: '{name}' is given twice")));
        }
    }
    for input in declared.iter().filter(|input| input.is_free()) {
        let own = input.extents.iter().flatten().skip(1);
        let known =
            |extent: &Extent| matches!(extent, Extent::Fixed(_)) || matches!(extent, Extent::Free(name) if shapes.contains_key(name));
        if shapes.contains_key(&input.name) || (input.extents.is_some() && own.clone().all(known)) {
            continue;
        }
        if let Some(item) = of_files(input, &files_of(input, declared, files))? {
            shapes.insert(input.name.clone(), [&[1], &item[..]].concat());
        }
    }
    Ok(shapes)
}

/// The files of an input: `NAME=FILE` where there are several, all where there is one.
fn files_of(input: &DeclaredInput, declared: &[DeclaredInput], files: &[PathBuf]) -> Vec<PathBuf> {
    let alone = declared.len() == 1;
    files.iter().filter_map(|file| file_for(file, &input.name).or_else(|| alone.then(|| file.clone()))).collect()
}

/// Extents of an item as the first file has them.
fn of_files(input: &DeclaredInput, files: &[PathBuf]) -> Result<Option<Vec<usize>>> {
    let files = match files {
        [folder] if folder.is_dir() => folder::read(folder)?.files,
        files => files.to_vec(),
    };
    let Some(first) = files.first() else { return Ok(None) };
    match Source::new(first).read()? {
        Content::Image(bytes) => of_images(input, &bytes, &files).map(Some),
        Content::Array(numbers) => Ok(of_item(&numbers.extents)),
        Content::Archive(mut archive) => Ok(of_item(&archive.only(Some(&input.name))?.extents)),
        Content::Batch(batch) => Ok(Some(batch.extents.to_vec())),
        // how many columns are labels is not known before the model
        Content::Table(_) => Ok(None),
    }
}

/// Extents of an item of an array; a batch of images of one channel need not say so.
fn of_item(extents: &[usize]) -> Option<Vec<usize>> {
    match *extents {
        [_, height, width] => Some(vec![1, height, width]),
        _ => extents.get(1..).map(<[usize]>::to_vec),
    }
}

/// Extents of the images of these files, which have one size.
fn of_images(input: &DeclaredInput, first: &[u8], files: &[PathBuf]) -> Result<Vec<usize>> {
    let name = |file: &PathBuf| file.display().to_string();
    let [height, width] = images::size(first, &name(&files[0]))?;
    for other in &files[1..] {
        let [h, w] = images::size(&files::read(other)?, &name(other))?;
        if [h, w] != [height, width] {
            return Err(Error::Input(format!(
                "{} has {h} x {w} pixels and {} {height} x {width}: the model takes images of one size in a run; --shape {}=... gives that to which all are resized",
                other.display(),
                files[0].display(),
                input.name
            )));
        }
    }
    Ok(of_pixels(input, height, width))
}

/// Extents of an image for an input with its channels last, if it says so, or first.
fn of_pixels(input: &DeclaredInput, height: usize, width: usize) -> Vec<usize> {
    let channels = |at: usize| match input.extents.as_deref() {
        Some(all @ [_, _, _, _]) => match all[at] {
            Extent::Fixed(channels @ (1 | 3)) => Some(channels),
            _ => None,
        },
        _ => None,
    };
    match (channels(1), channels(3)) {
        (None, Some(channels)) => vec![height, width, channels],
        (first, _) => vec![first.unwrap_or(3), height, width],
    }
}
