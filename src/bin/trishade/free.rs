//! Extents that a model leaves free: as the command line gives them, else as the inputs at hand have them.

use crate::{args::NamedShape, npy};
use std::path::{Path, PathBuf};
use trishade::{
    Error, Result,
    data::{idx, images},
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
    let named = |file: &PathBuf| {
        let text = file.to_str().filter(|_| !file.exists())?;
        Some(text.strip_prefix(&input.name)?.strip_prefix('=')?.into())
    };
    let alone = declared.len() == 1;
    files.iter().filter_map(|file| named(file).or_else(|| alone.then(|| file.clone()))).collect()
}

/// Extents of an item as the first file has them.
fn of_files(input: &DeclaredInput, files: &[PathBuf]) -> Result<Option<Vec<usize>>> {
    let files = match files {
        [folder] if folder.is_dir() => images::in_folder(folder)?.files,
        files => files.to_vec(),
    };
    match files.first() {
        None => Ok(None),
        Some(file) if !images::is(file) => of_array(file),
        Some(first) => {
            let size = |file: &PathBuf| images::size(&npy::read(file)?, &file.display().to_string());
            let [height, width] = size(first)?;
            for other in &files[1..] {
                let [h, w] = size(other)?;
                if [h, w] != [height, width] {
                    return Err(Error::Input(format!(
                        "{} has {h} x {w} pixels and {} {height} x {width}: the model takes images of one size in a run; --shape {}=... gives that to which all are resized",
                        other.display(),
                        first.display(),
                        input.name
                    )));
                }
            }
            Ok(Some(of_pixels(input, height, width)))
        }
    }
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

/// Extents of an item of an array; of other kinds of files none, which the reader of inputs names.
fn of_array(file: &Path) -> Result<Option<Vec<usize>>> {
    let (bytes, name) = (npy::read(file)?, file.display().to_string());
    let extents = if idx::is(&bytes) {
        match idx::read(&bytes, &name)?.0[..] {
            // images of one channel do not say so
            [count, height, width] => vec![count, 1, height, width],
            ref own => own.to_vec(),
        }
    } else {
        npy::inputs(bytes, &name, None)?.0.extents().to_vec()
    };
    Ok(extents.get(1..).map(<[usize]>::to_vec))
}
