//! Items of one input of a model, from a file.

use super::{
    content::{Content, Source},
    labels::Labels,
    table,
};
use crate::{args::Preprocess, failure::Failure};
use std::path::PathBuf;
use trishade::{
    Error, Result,
    data::{
        Batch, Kind, Numbers,
        folder::{self, Folder},
        images,
    },
    nn::graph::{GraphInput, InputKind},
    shape::Shape,
};

/// Items of one input.
#[derive(Default)]
pub struct Items {
    /// How many.
    pub count: usize,
    /// The numbers of all, one item after the other.
    pub values: Vec<f32>,
    /// Names of the files, if each holds one item.
    pub names: Vec<String>,
    /// The labels of all, if the files or folders have them.
    pub labels: Option<Labels>,
    /// Names of the classes, if folders have them.
    pub classes: Vec<String>,
}

/// How files become items.
pub struct How<'a> {
    /// The input.
    pub input: &'a GraphInput,
    /// How elements become numbers, if somebody has said it.
    pub preprocess: Option<Preprocess>,
    /// The column of a table that holds labels.
    pub label_column: Option<&'a str>,
}

/// The items of all these files, one after the other, or of a folder. `notes` are for people: what was done with the numbers.
pub fn read(arguments: &[PathBuf], how: &How<'_>, notes: &mut Vec<String>) -> std::result::Result<Items, Failure> {
    if let [folder] = arguments
        && folder.is_dir()
    {
        return Ok(of_folder(folder::read(folder)?, how, notes)?);
    }
    let mut all = Items::default();
    for (i, argument) in arguments.iter().enumerate() {
        let source = Source::new(argument);
        let items = of_content(source.read()?, &source.name(), how, notes)?;
        if i == 0 {
            all = items;
            continue;
        }
        let lone = Error::Input(format!("{}: labels for some of the files of input '{}' alone", source.name(), how.input.name));
        all.labels = match (all.labels.take(), items.labels) {
            (Some(before), Some(more)) => Some(before.and(more, &source.name())?),
            (None, None) => None,
            _ => return Err(lone.into()),
        };
        all.count += items.count;
        all.values.extend(items.values);
        all.names.extend(items.names);
    }
    if all.names.len() != all.count {
        all.names.clear();
    }
    Ok(all)
}

fn of_folder(found: Folder, how: &How<'_>, notes: &mut Vec<String>) -> Result<Items> {
    let mut items = Items::default();
    for file in &found.files {
        let source = Source { path: file.clone(), array: None };
        let image = image(&crate::files::read(file)?, &source.name(), how, notes)?;
        items.values.extend(image.values);
        items.names.extend(image.names);
    }
    if let Some(first) = found.others.first() {
        note(notes, format!("{} files that are no images, such as {}, were left out", found.others.len(), first.display()));
    }
    let labels = found.labels.map(|labels| Labels::of_classes(&labels));
    Ok(Items { count: found.files.len(), labels, classes: found.classes, ..items })
}

fn of_content(content: Content, name: &str, how: &How<'_>, notes: &mut Vec<String>) -> std::result::Result<Items, Failure> {
    match content {
        Content::Image(bytes) => Ok(image(&bytes, name, how, notes)?),
        Content::Array(numbers) => Ok(of_array(numbers, name, how, notes)?),
        Content::Archive(mut archive) => Ok(of_array(archive.only(Some(&how.input.name))?, name, how, notes)?),
        Content::Batch(Batch { extents, pixels, labels }) => {
            let extents = [&[labels.len()], &extents[..]].concat();
            let values = pixels.iter().map(|&v| v.into()).collect();
            let items = of_array(Numbers { extents, kind: Kind::Bytes, values }, name, how, notes)?;
            Ok(Items { labels: Some(Labels::of_classes(&labels)), ..items })
        }
        Content::Table(text) => {
            let extents = &how.input.extents;
            let table = table::read(&text, name, Some(extents.iter().product()), how.label_column)?;
            note(notes, format!("{name}: {}", table.said));
            let extents = [&[table.rows], &extents[..]].concat();
            let items = of_array(Numbers { extents, kind: Kind::Floats, values: table.values }, name, how, notes)?;
            Ok(Items { labels: table.labels.map(Labels::of_texts), ..items })
        }
    }
}

fn image(bytes: &[u8], name: &str, how: &How<'_>, notes: &mut Vec<String>) -> Result<Items> {
    let preprocess = match how.preprocess {
        None if how.input.kind == InputKind::Integers => images::Preprocess::Raw,
        None => {
            note(notes, "pixels divided by 255 (--preprocess raw keeps them; imagenet and caffe are of networks trained so)".into());
            images::Preprocess::Unit
        }
        Some(Preprocess::Raw) => images::Preprocess::Raw,
        Some(Preprocess::Unit) => images::Preprocess::Unit,
        Some(Preprocess::Imagenet) => images::Preprocess::Imagenet,
        Some(Preprocess::Caffe) => images::Preprocess::Caffe,
    };
    let values = images::input(bytes, name, &how.input.extents, preprocess)?;
    let file = name.rsplit(['/', std::path::MAIN_SEPARATOR]).next().unwrap_or(name);
    Ok(Items { count: 1, values, names: vec![file.into()], ..Items::default() })
}

fn of_array(mut numbers: Numbers, name: &str, how: &How<'_>, notes: &mut Vec<String>) -> Result<Items> {
    let count = fit(&mut numbers, &how.input.extents, name)?;
    if is_divided(&numbers, name, how, notes)? {
        numbers.values.iter_mut().for_each(|v| *v /= 255.0);
    }
    Ok(Items { count, values: numbers.values, ..Items::default() })
}

/// The number of items, if their shape is the model's. Grey images need not say that they have one channel.
fn fit(numbers: &mut Numbers, extents: &[usize], name: &str) -> Result<usize> {
    if let ([count, height, width], [1, h, w]) = (&numbers.extents[..], extents)
        && (height, width) == (h, w)
    {
        numbers.extents = vec![*count, 1, *height, *width];
    }
    let shape = Shape::new(numbers.extents.clone()).map_err(|e| Error::File(format!("{name}: {e}")))?;
    match (&numbers.extents[..], extents) {
        ([count, own @ ..], _) if own == extents => Ok(*count),
        ([_, height, width, channels], [c, h, w]) if (height, width, channels) == (h, w, c) => Err(Error::Input(format!(
            "{name}: an array {shape}, channels last; the model takes {}: numpy.transpose(x, (0, 3, 1, 2))",
            shape_of(extents)
        ))),
        (own, _) if own == extents => {
            let batch = format!("an array {shape} of one item; the model takes {}: x[None] is a batch of one", shape_of(extents));
            Err(Error::Input(format!("{name}: {batch}")))
        }
        _ => Err(Error::Input(format!("{name}: an array {shape}; the model takes {}", shape_of(extents)))),
    }
}

/// Whether the elements are divided by 255. Bytes are pixels where an item is an image, with three extents.
fn is_divided(numbers: &Numbers, name: &str, how: &How<'_>, notes: &mut Vec<String>) -> Result<bool> {
    let of_images = how.input.extents.len() == 3;
    match (how.preprocess, numbers.kind) {
        (Some(Preprocess::Imagenet | Preprocess::Caffe), _) => {
            Err(Error::Input(format!("{name}: --preprocess imagenet and caffe are for images; arrays are taken raw or as unit")))
        }
        (Some(Preprocess::Raw), _) => Ok(false),
        (Some(Preprocess::Unit), _) => Ok(true),
        // whole numbers are taken as they are
        (None, _) if how.input.kind == InputKind::Integers => Ok(false),
        (None, Kind::Bytes) => {
            let said = if of_images {
                "divided by 255 (--preprocess raw keeps them)"
            } else {
                "taken as they are (--preprocess unit divides them by 255)"
            };
            note(notes, format!("{name}: uint8 {said}"));
            Ok(of_images)
        }
        (None, _) => {
            let pixels = || numbers.values.iter().all(|v| v.fract() == 0.0 && (0.0..=255.0).contains(v));
            if of_images && numbers.values.iter().any(|v| *v > 1.0) && pixels() {
                note(notes, format!("{name}: whole numbers to 255 taken as they are (--preprocess unit divides them by 255)"));
            }
            Ok(false)
        }
    }
}

/// The shape of a batch.
pub fn shape_of(extents: &[usize]) -> String {
    let extents: Vec<String> = extents.iter().map(|extent| format!(", {extent}")).collect();
    format!("(N{})", extents.concat())
}

/// Adds a note that is not there.
fn note(notes: &mut Vec<String>, text: String) {
    if !notes.contains(&text) {
        notes.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(extents: &[usize], kind: InputKind, preprocess: Option<Preprocess>, run: impl FnOnce(&How<'_>) -> T) -> T {
        let input = GraphInput { name: "x".into(), extents: extents.to_vec(), kind };
        run(&How { input: &input, preprocess, label_column: None })
    }

    #[test]
    fn bytes_are_pixels_where_items_are_images() {
        use {InputKind::*, Preprocess::*};
        type Case<'a> = (&'a [usize], Kind, InputKind, Option<Preprocess>, f32, &'a str);
        let cases: [Case<'_>; 8] = [
            (&[1, 1, 2], Kind::Bytes, Floats, None, 255.0, "divided by 255"),
            (&[2], Kind::Bytes, Floats, None, 1.0, "taken as they are"),
            (&[1, 2], Kind::Bytes, Floats, None, 1.0, "taken as they are"),
            (&[1, 1, 2], Kind::Bytes, Floats, Some(Raw), 1.0, ""),
            (&[2], Kind::Bytes, Floats, Some(Unit), 255.0, ""),
            (&[1, 1, 2], Kind::Bytes, Integers, None, 1.0, ""),
            (&[1, 1, 2], Kind::Floats, Floats, None, 1.0, "to 255 taken as they are"),
            (&[2], Kind::Integers, Floats, None, 1.0, ""),
        ];
        for (extents, kind, of_input, preprocess, divisor, said) in cases {
            let (extents_of_all, mut notes) = ([&[1], extents].concat(), Vec::new());
            let numbers = Numbers { extents: extents_of_all, kind, values: vec![0.0, 255.0] };
            let items = with(extents, of_input, preprocess, |how| of_array(numbers, "a", how, &mut notes)).unwrap();
            assert_eq!((items.count, items.values), (1, vec![0.0, 255.0 / divisor]), "{extents:?} {kind:?}");
            assert_eq!((notes.len(), notes.concat().contains(said)), (usize::from(!said.is_empty()), true), "{notes:?}");
        }
        let floats = Numbers { extents: vec![1, 1, 1, 2], kind: Kind::Floats, values: vec![0.5, 1.0] };
        let mut notes = Vec::new();
        with(&[1, 1, 2], Floats, None, |how| of_array(floats, "a", how, &mut notes)).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
    }

    #[test]
    fn shapes_that_do_not_fit_are_errors_with_a_remedy() {
        let error = |own: &[usize], extents: &[usize]| {
            let values = vec![0.0; own.iter().product()];
            fit(&mut Numbers { extents: own.to_vec(), kind: Kind::Floats, values }, extents, "a").unwrap_err().to_string()
        };
        assert!(error(&[2, 5, 6, 3], &[3, 5, 6]).contains("(0, 3, 1, 2)"));
        assert!(error(&[3, 5, 6], &[3, 5, 6]).contains("x[None]"));
        assert!(error(&[2, 30], &[3, 5, 6]).contains("(2, 30); the model takes (N, 3, 5, 6)"));
        assert!(error(&[0, 3], &[3]).contains("zero"));
        let mut grey = Numbers { extents: vec![2, 5, 6], kind: Kind::Floats, values: vec![0.0; 60] };
        assert_eq!(fit(&mut grey, &[1, 5, 6], "a").unwrap(), 2);
    }
}
