//! The inputs of a command line, whatever files they come in, and the labels that belong to them.

mod content;
mod free;
mod items;
mod labels;
mod table;

pub use free::shapes;
pub use labels::Truth;

use crate::{
    args::{Classes, Preprocess},
    failure::Failure,
    files,
    outputs::Outline,
    terminal,
};
use content::{Content, Source, file_for};
use items::{How, Items, shape_of};
use labels::Labels;
use std::path::{Path, PathBuf};
use trishade::{Error, Result, nn::graph::GraphInput};

/// A batch of inputs that fit a network.
pub struct Inputs {
    /// How many.
    pub count: usize,
    /// The numbers of all, one input after the other.
    pub values: Vec<f32>,
    /// Names of the files, if each holds one input.
    pub names: Vec<String>,
    /// Labels, if the files or folders have them.
    labels: Option<Labels>,
    /// Names of the classes, if folders have them.
    classes: Vec<String>,
    /// How elements became numbers, for people.
    notes: Vec<String>,
}

impl Inputs {
    /// Says on standard error how elements became numbers.
    pub fn tell(&self) {
        self.notes.iter().for_each(|note| terminal::note(note));
    }

    /// Knowledge of each item for the first output: from a file if one is given, else from the inputs' files.
    pub fn truth(&self, options: &Classes, first: &Outline) -> std::result::Result<Option<Truth>, Failure> {
        let classes = self.class_names(options)?;
        let truth = match (&options.labels, &self.labels) {
            (Some(file), _) => {
                let labels = Labels::read(file, options.label_column.as_deref())?;
                labels.truth(self.count, first, &classes, &file.display().to_string())?
            }
            (None, Some(labels)) => labels.clone().truth(self.count, first, &classes, "labels of the inputs")?,
            (None, None) if options.label_column.is_some() => {
                return Err(Failure::Usage("--label-column: no input is a table with columns".into()));
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(truth))
    }

    /// The names of classes: of a file if one is given, else those that the inputs' folders have.
    pub fn class_names(&self, options: &Classes) -> Result<Vec<String>> {
        match &options.classes {
            Some(file) => classes(file),
            None => Ok(self.classes.clone()),
        }
    }
}

/// Reads the inputs of a network: the files of its only one, `NAME=FILE` for each of several, or an archive with arrays of their names.
pub fn read(
    arguments: &[PathBuf],
    inputs: &[GraphInput],
    preprocess: Option<Preprocess>,
    options: Option<&Classes>,
) -> std::result::Result<Inputs, Failure> {
    let (mut files, mut unnamed) = (vec![Vec::new(); inputs.len()], Vec::new());
    for argument in arguments {
        match inputs.iter().enumerate().find_map(|(i, input)| Some((i, file_for(argument, &input.name)?))) {
            Some((input, file)) => files[input].push(file),
            None => unnamed.push(argument.clone()),
        }
    }
    if inputs.len() == 1 {
        files[0].append(&mut unnamed);
    }
    for archive in std::mem::take(&mut unnamed) {
        let found = of_archive(&archive, inputs)?;
        if found.is_empty() {
            unnamed.push(archive);
        }
        found.into_iter().for_each(|(input, array)| files[input].push(array));
    }
    if !unnamed.is_empty() || files.iter().any(Vec::is_empty) {
        let all = inputs.iter().map(|input| format!("{}=FILE for {}", input.name, shape_of(&input.extents)));
        let all = all.collect::<Vec<_>>().join(", ");
        return Err(Error::Input(format!("the model takes {} inputs, each with its name: --input {all}", inputs.len())).into());
    }
    // a column that the labels' own file has is none of the inputs'
    let label_column = options.filter(|options| options.labels.is_none()).and_then(|options| options.label_column.as_deref());
    let (mut parts, mut notes) = (Vec::new(), Vec::new());
    for (input, files) in inputs.iter().zip(&files) {
        parts.push(items::read(files, &How { input, preprocess, label_column }, &mut notes)?);
    }
    Ok(Inputs { notes, ..together(parts, inputs)? })
}

/// The inputs of which an archive has arrays, and these; none if it is no archive.
fn of_archive(argument: &Path, inputs: &[GraphInput]) -> Result<Vec<(usize, PathBuf)>> {
    if !argument.is_file() {
        return Ok(Vec::new());
    }
    let Content::Archive(archive) = (Source { path: argument.into(), array: None }).read()? else { return Ok(Vec::new()) };
    let array = |input: &GraphInput| {
        let name = archive.names().iter().find(|name| **name == input.name)?;
        let mut source = argument.as_os_str().to_owned();
        source.push(format!(":{name}"));
        Some(source.into())
    };
    Ok(inputs.iter().enumerate().filter_map(|(i, input)| Some((i, array(input)?))).collect())
}

/// Items of several inputs: those of one item one after another.
fn together(mut parts: Vec<Items>, inputs: &[GraphInput]) -> Result<Inputs> {
    if parts.len() == 1 {
        let Items { count, values, names, labels, classes } = parts.remove(0);
        return Ok(Inputs { count, values, names, labels, classes, notes: Vec::new() });
    }
    let count = parts[0].count;
    if let Some((input, part)) = inputs.iter().zip(&parts).find(|(_, part)| part.count != count) {
        let first = &inputs[0].name;
        return Err(Error::Input(format!("{} items of input '{}', but {count} of '{first}'", part.count, input.name)));
    }
    let item = |i: usize| parts.iter().flat_map(move |part| &part.values[part.values.len() / count * i..][..part.values.len() / count]);
    let values = (0..count).flat_map(item).copied().collect();
    let labels = parts.iter_mut().find_map(|part| part.labels.take());
    Ok(Inputs { count, values, names: Vec::new(), labels, classes: Vec::new(), notes: Vec::new() })
}

/// Names of classes, one a line.
fn classes(file: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(files::read(file)?).map_err(|_| Error::File(format!("{}: not UTF-8 text", file.display())))?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}
