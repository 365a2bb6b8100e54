//! Labels of items: classes by number or name, or target values; and which of these they are for a model's first output.

use super::{
    content::{Content, Source},
    table,
};
use crate::{failure::Failure, outputs::Outline};
use std::path::Path;
use trishade::{
    Error, Result,
    data::{Kind, Numbers},
};

/// Labels as files have them.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// One number an item or, with further extents, several.
    Numbers(Numbers),
    /// One name an item.
    Names(Vec<String>),
}

/// Knowledge of each item.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// Its class.
    Classes(Vec<usize>),
    /// The numbers that its first output should be.
    Targets(Vec<f32>),
}

impl Labels {
    /// The labels of a file of their own: an array, an IDX file, or a table.
    pub fn read(argument: &Path, label_column: Option<&str>) -> std::result::Result<Self, Failure> {
        let source = Source::new(argument);
        let name = source.name();
        match source.read()? {
            Content::Table(text) => {
                let table = table::read(&text, &name, None, label_column)?;
                let columns = table.columns;
                Ok(match table.labels {
                    Some(labels) => Self::of_texts(labels),
                    None if columns == 1 => {
                        Self::Numbers(Numbers { extents: vec![table.rows], kind: kind_of(&table.values), values: table.values })
                    }
                    None => Self::Numbers(Numbers { extents: vec![table.rows, columns], kind: Kind::Floats, values: table.values }),
                })
            }
            _ if label_column.is_some() => Err(Failure::Usage(format!("--label-column: {name} is no table with columns"))),
            Content::Array(numbers) => Ok(Self::Numbers(numbers)),
            Content::Archive(mut archive) => Ok(Self::Numbers(archive.only(Some("labels"))?)),
            Content::Batch(batch) => Ok(Self::of_classes(&batch.labels)),
            Content::Image(_) => Err(Error::Input(format!("{name}: an image has no labels; an array, an IDX file or a table has")).into()),
        }
    }

    /// Classes by number.
    pub fn of_classes(classes: &[usize]) -> Self {
        let values = classes.iter().map(|&class| class as f32).collect();
        Self::Numbers(Numbers { extents: vec![classes.len()], kind: Kind::Integers, values })
    }

    /// Texts of a column: integers if all are, else numbers if all are, else names.
    pub fn of_texts(texts: Vec<String>) -> Self {
        let numbers: Option<Vec<f32>> = texts.iter().map(|text| text.parse().ok().filter(|v: &f32| v.is_finite())).collect();
        match numbers {
            Some(values) => {
                let whole = texts.iter().all(|text| text.parse::<i64>().is_ok());
                let kind = if whole { Kind::Integers } else { Kind::Floats };
                Self::Numbers(Numbers { extents: vec![values.len()], kind, values })
            }
            None => Self::Names(texts),
        }
    }

    /// These and those of a further file.
    pub fn and(self, more: Self, name: &str) -> Result<Self> {
        let unlike = || Error::Input(format!("{name}: labels unlike those of the file before"));
        match (self, more) {
            (Self::Names(mut names), Self::Names(more)) => {
                names.extend(more);
                Ok(Self::Names(names))
            }
            (Self::Numbers(mut all), Self::Numbers(more)) if all.extents[1..] == more.extents[1..] => {
                all.extents[0] += more.extents[0];
                all.values.extend(more.values);
                all.kind = if all.kind == more.kind { all.kind } else { Kind::Floats };
                Ok(Self::Numbers(all))
            }
            _ => Err(unlike()),
        }
    }

    /// Meaning of the labels of so many items for a model's first output. `at` is where they are from, for errors.
    pub fn truth(self, count: usize, first: &Outline, classes: &[String], at: &str) -> Result<Truth> {
        let bad = |what: String| Error::Input(format!("{at}: {what}"));
        let scores = first.numbers();
        let numbers = match self {
            Self::Names(names) if names.len() == count => return of_names(&names, classes).map(Truth::Classes).map_err(bad),
            Self::Names(names) => return Err(bad(format!("{} labels for {count} inputs", names.len()))),
            Self::Numbers(numbers) => numbers,
        };
        let there = numbers.values.len();
        let one_each = there == count;
        if one_each && first.is_row() {
            return of_numbers(&numbers, first.classes()).map(Truth::Classes).map_err(bad);
        }
        let agrees = numbers.extents.first() == Some(&count) && there == count * scores;
        match agrees.then(|| one_hot(&numbers, scores)).flatten().filter(|_| first.is_row()) {
            Some(classes) => Ok(Truth::Classes(classes)),
            None if one_each && scores == 1 && is_yes_or_no(&numbers) => {
                Ok(Truth::Classes(numbers.values.iter().map(|&v| v as usize).collect()))
            }
            None if agrees || (one_each && scores == 1) => finite(numbers.values).map(Truth::Targets).map_err(bad),
            None => {
                let output = format!("output '{}' has {scores} numbers for each", first.name);
                Err(bad(format!("{there} labels for {count} inputs, whose {output}; one label each, or a target for each number")))
            }
        }
    }
}

fn kind_of(values: &[f32]) -> Kind {
    if values.iter().all(|v| v.fract() == 0.0) { Kind::Integers } else { Kind::Floats }
}

fn of_names(labels: &[String], classes: &[String]) -> std::result::Result<Vec<usize>, String> {
    let class = |label: &String| {
        let found = classes.iter().position(|class| class == label);
        found.ok_or_else(|| match classes {
            [] => format!(
                "labels are names, such as '{label}': give the names in the order of the model's scores, one a line, with --classes"
            ),
            _ => format!("the label '{label}' is none of the {} names of --classes", classes.len()),
        })
    };
    labels.iter().map(class).collect()
}

/// Classes by number, of so many.
fn of_numbers(numbers: &Numbers, most: usize) -> std::result::Result<Vec<usize>, String> {
    let class = |(i, &v): (usize, &f32)| match v {
        _ if v.fract() != 0.0 => Err(format!("label {i} is {v}, which is no class; targets are as many as the scores")),
        _ if v < 0.0 => Err(format!("label {i} is negative: {v}")),
        _ if v >= most as f32 => Err(format!("label {i} is {v}; the model has the classes 0 to {}", most - 1)),
        _ => Ok(v as usize),
    };
    numbers.values.iter().enumerate().map(class).collect()
}

/// Integers, each of them 0 or 1.
fn is_yes_or_no(numbers: &Numbers) -> bool {
    numbers.kind != Kind::Floats && numbers.values.iter().all(|v| *v == 0.0 || *v == 1.0)
}

/// The place of the only one in each row of zeros.
fn one_hot(numbers: &Numbers, row: usize) -> Option<Vec<usize>> {
    let place = |row: &[f32]| {
        let clean = row.iter().all(|v| *v == 0.0 || *v == 1.0) && row.iter().sum::<f32>() == 1.0;
        row.iter().position(|v| *v == 1.0).filter(|_| clean)
    };
    (row > 1).then(|| numbers.values.chunks(row).map(place).collect()).flatten()
}

fn finite(values: Vec<f32>) -> std::result::Result<Vec<f32>, String> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("target {i} is no finite number")),
        None => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(extents: &[usize], kind: Kind, values: &[f32]) -> Labels {
        Labels::Numbers(Numbers { extents: extents.to_vec(), kind, values: values.to_vec() })
    }

    #[test]
    fn labels_are_classes_or_targets_as_the_output_is() {
        use Kind::*;
        use Truth::*;
        let cases: [(Labels, &[usize], Truth); 9] = [
            (numbers(&[2], Integers, &[2.0, 0.0]), &[3], Classes(vec![2, 0])),
            (numbers(&[2], Floats, &[2.0, 0.0]), &[3, 1, 1], Classes(vec![2, 0])),
            (numbers(&[2, 1], Bytes, &[1.0, 0.0]), &[2], Classes(vec![1, 0])),
            (numbers(&[2, 3], Floats, &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]), &[3], Classes(vec![1, 0])),
            (numbers(&[2, 2], Floats, &[0.5, 1.0, 0.0, 1.0]), &[2], Targets(vec![0.5, 1.0, 0.0, 1.0])),
            (numbers(&[2], Integers, &[1.0, 0.0]), &[1], Classes(vec![1, 0])),
            (numbers(&[2], Integers, &[151.0, 75.0]), &[1], Targets(vec![151.0, 75.0])),
            (numbers(&[2], Floats, &[1.0, 0.0]), &[], Targets(vec![1.0, 0.0])),
            (numbers(&[2, 2, 2], Bytes, &[0.0; 8]), &[2, 2], Targets(vec![0.0; 8])),
        ];
        for (labels, extents, truth) in cases {
            assert_eq!(labels.clone().truth(2, &Outline::of("y", extents), &[], "l").unwrap(), truth, "{labels:?} {extents:?}");
        }
        let names = Labels::of_texts(vec!["b".into(), "a".into()]);
        let classes = ["a", "b"].map(String::from);
        assert_eq!(names.truth(2, &Outline::of("y", &[2]), &classes, "l").unwrap(), Classes(vec![1, 0]));
    }

    #[test]
    fn labels_that_do_not_fit_are_errors() {
        use Kind::*;
        let cases: [(Labels, &[usize], &str); 8] = [
            (numbers(&[3], Integers, &[0.0; 3]), &[2], "3 labels for 2 inputs"),
            (numbers(&[2], Integers, &[0.0, 2.0]), &[2], "label 1 is 2; the model has the classes 0 to 1"),
            (numbers(&[2], Integers, &[0.0, -1.0]), &[2], "negative"),
            (numbers(&[2], Floats, &[0.0, 0.5]), &[2], "label 1 is 0.5"),
            (numbers(&[2], Floats, &[0.0, f32::NAN]), &[1], "target 1"),
            (numbers(&[2], Integers, &[0.0, 1.0]), &[2, 2], "4 numbers for each"),
            (Labels::of_texts(vec!["a".into(), "b".into()]), &[2], "--classes"),
            (Labels::of_texts(vec!["a".into()]), &[2], "1 labels for 2"),
        ];
        for (labels, extents, words) in cases {
            let error = labels.truth(2, &Outline::of("y", extents), &[], "l.npy").unwrap_err().to_string();
            assert!(error.starts_with("l.npy: ") && error.contains(words), "{error}");
        }
    }

    #[test]
    fn texts_are_integers_numbers_or_names() {
        let texts = |all: &[&str]| Labels::of_texts(all.iter().map(|&text| text.into()).collect());
        assert_eq!(texts(&["1", "-2"]), numbers(&[2], Kind::Integers, &[1.0, -2.0]));
        assert_eq!(texts(&["1.0", "2"]), numbers(&[2], Kind::Floats, &[1.0, 2.0]));
        assert_eq!(texts(&["1", "nan"]), Labels::Names(vec!["1".into(), "nan".into()]));
        assert_eq!(texts(&["1"]).and(texts(&["2"]), "x").unwrap(), numbers(&[2], Kind::Integers, &[1.0, 2.0]));
        assert!(texts(&["1"]).and(texts(&["a"]), "x").is_err());
    }
}
