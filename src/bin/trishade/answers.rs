//! The results of an inference for people and as JSON, and its costs.

use crate::{
    args::Reveal,
    inputs::Truth,
    outputs::{self, Outline, Output},
    terminal::{self, To, escaped},
};
use serde_json::json;
use trishade::{
    Error, Result,
    nn::{Answer, answer, graph::GraphInput},
    shape::Shape,
};

/// Items that are shown on a terminal.
const SHOWN: usize = 20;

/// Numbers of an item that are shown where they are no scores of classes.
const SHORT: usize = 8;

/// An error if an index is asked for that says nothing: of the only score, or over several axes; or targets are given for one.
pub fn worth_an_index(first: &Outline, truth: Option<&Truth>, reveal: Reveal) -> Result<()> {
    let bad = |what: &str| Err(Error::Input(format!("--reveal argmax: {what}; reveal logits")));
    match reveal {
        Reveal::Logits => Ok(()),
        Reveal::Argmax if first.numbers() == 1 && !first.gives_index() => bad("the model gives one score, whose index says nothing"),
        Reveal::Argmax if !first.reveals_row() => bad(&format!("output '{}' is no row of scores", first.name)),
        Reveal::Argmax if matches!(truth, Some(Truth::Targets(_))) => bad("an index is not compared with targets"),
        Reveal::Argmax => Ok(()),
    }
}

/// Results of an inference.
pub struct Results<'a> {
    answer: &'a Answer,
    first: &'a Outline,
    /// All outputs.
    pub outputs: Vec<Output>,
    /// The class of each item, where there are classes.
    predictions: Option<Vec<usize>>,
    quality: Option<Quality>,
}

/// How near the results are to what is known.
enum Quality {
    /// The share of classes that are right.
    Accuracy(f64),
    /// Mean absolute error, and the root of the mean squared one.
    Errors(f64, f64),
}

/// Texts that items and classes are shown with.
pub struct Names<'a> {
    /// Names of the items, or none.
    pub items: &'a [String],
    /// Names of the classes, or none.
    pub classes: &'a [String],
    /// Classes of an item that are shown.
    pub top: usize,
}

impl<'a> Results<'a> {
    /// Those of an answer for inputs of which something may be known; `named` if somebody has named classes.
    pub fn new(answer: &'a Answer, outlines: &'a [Outline], inputs: &[GraphInput], truth: Option<&Truth>, named: bool) -> Self {
        let (first, outputs) = (&outlines[0], outputs::of(answer, outlines));
        let asked = named || matches!(truth, Some(Truth::Classes(_)));
        let targets = matches!(truth, Some(Truth::Targets(_)));
        let rows = || outputs[0].values.chunks(first.numbers().max(1));
        let predictions = if answer.logits.is_empty() || answer.class_labels().is_some() {
            Some(answer.predictions.clone())
        } else if first.is_row() && !targets && (asked || first.is_of_classes(inputs)) {
            Some(match (first.gives_index(), first.has_moved()) {
                (true, _) => rows().map(|row| row[0] as usize).collect(),
                (false, true) => rows().map(|row| answer::best(row, 1)[0]).collect(),
                // before softmax: far from one another probabilities are equal
                (false, false) => answer.predictions.clone(),
            })
        } else if first.numbers() == 1 && !targets && (asked || first.gives_probability()) {
            Some(rows().map(|row| usize::from(row[0] > first.threshold())).collect())
        } else {
            None
        };
        let quality = truth.and_then(|truth| match (truth, &predictions) {
            (Truth::Classes(classes), Some(found)) => {
                // labels that are numbers are those of the model, where it has such
                let number = |class: usize| answer.class_labels().map_or(class as i64, |labels| labels.number(class));
                let right = classes.iter().zip(found).filter(|(class, found)| **class as i64 == number(**found)).count();
                Some(Quality::Accuracy(right as f64 / found.len().max(1) as f64))
            }
            (Truth::Targets(targets), _) => Some(errors(targets, &outputs[0].values)),
            _ => None,
        });
        Self { answer, first, outputs, predictions, quality }
    }

    /// Prints one JSON object on standard output; `range_check` are the seconds that a look at the range took beforehand.
    pub fn print(&self, range_check: Option<f64>, device: &str) {
        let (answer, cost, probabilities) = (self.answer, &self.answer.cost, self.answer.probabilities());
        let others: serde_json::Map<_, _> = answer.others.iter().map(|other| (other.name.clone(), json!(other.values))).collect();
        let outputs: Vec<_> = self.outputs.iter().map(|output| json!({"name": output.name, "shape": output.extents})).collect();
        let (accuracy, [mae, rmse]) = match self.quality {
            Some(Quality::Accuracy(share)) => (Some(share), [None; 2]),
            Some(Quality::Errors(mae, rmse)) => (None, [Some(mae), Some(rmse)]),
            None => (None, [None; 2]),
        };
        let mut object = json!({
            "predictions": self.predictions,
            "logits": if probabilities.is_some() { answer.logits.clone() } else { answer.outputs() },
            "others": others,
            "outputs": outputs,
            "accuracy": accuracy,
            "mae": mae,
            "rmse": rmse,
            "rounds": cost.rounds,
            "bytes_sent": cost.bytes_sent,
            "bytes_from_owners": cost.bytes_from_owners,
            "bytes_to_owner": cost.bytes_to_owner,
            "bytes_prepared": cost.bytes_prepared,
            "seconds": {"range_check": range_check, "prepare": cost.seconds.prepare, "share": cost.seconds.share, "compute": cost.seconds.compute, "reveal": cost.seconds.reveal, "total": cost.seconds.total()},
            "device": device,
            "parties": 3,
        });
        if let Some(probabilities) = probabilities {
            object["probabilities"] = json!(probabilities);
        }
        if let (Some(labels), Some(all)) = (answer.labels(), answer.class_labels()) {
            object["labels"] = json!(labels);
            object["classes"] = (0..all.len()).map(|class| all.text(class)).collect();
        }
        terminal::print_json(&object);
    }

    /// Shows the results on standard output: classes, or numbers, or of many numbers how large they are.
    pub fn show(&self, names: &Names<'_>) {
        let (count, row) = (self.answer.predictions.len(), self.first.numbers());
        let row_of_classes = self.first.is_row() || self.answer.logits.is_empty() || self.answer.class_labels().is_some();
        let of_classes = self.predictions.as_ref().filter(|_| row_of_classes);
        if of_classes.is_none() && row > SHORT {
            self.outputs.iter().for_each(|output| terminal::show(&summary(output)));
            return;
        }
        let shown = if terminal::is_shown() { count.min(SHOWN) } else { count };
        for i in 0..shown {
            let name = names.items.get(i).map_or_else(|| format!("input {i}"), |name| escaped(name));
            match of_classes {
                Some(predictions) => self.show_classes(&name, i, predictions[i], names),
                None => {
                    let numbers: Vec<String> = self.outputs[0].values[i * row..][..row].iter().map(|v| format!("{v:.6}")).collect();
                    terminal::show(&format!("{name}: {}", numbers.join(" ")));
                }
            }
        }
        if shown < count {
            terminal::show(&format!("and {} more; -o FILE and --json have all", count - shown));
        }
        self.outputs.iter().skip(1).for_each(|output| terminal::show(&summary(output)));
    }

    fn show_classes(&self, name: &str, item: usize, class: usize, names: &Names<'_>) {
        let scores = match (self.first.has_moved(), self.answer.logits.get(item)) {
            (true, Some(_)) if !self.first.gives_index() => {
                Some(&self.outputs[0].values[item * self.first.numbers()..][..self.first.numbers()])
            }
            (_, logits) => logits.map(|row| &row[..]),
        };
        let line = |class: usize| {
            let score = scores.and_then(|row| row.get(class)).map_or(String::new(), |score| format!("  (score {score:.4})"));
            // the model's own labels, unless names are given
            let label = match self.answer.class_labels().filter(|_| names.classes.is_empty()) {
                Some(labels) => labels.text(class),
                None => class.to_string(),
            };
            let of_class = names.classes.get(class).map_or(String::new(), |name| format!(" {}", escaped(name)));
            format!("class {}{of_class}{score}", escaped(&label))
        };
        match scores.filter(|_| names.top > 1) {
            None => terminal::show(&format!("{name}: {}", line(class))),
            Some(row) => {
                terminal::show(&format!("{name}:"));
                answer::best(row, names.top).into_iter().for_each(|class| terminal::show(&format!("  {}", line(class))));
            }
        }
    }

    /// The table of an inference: accuracy or errors, costs, device.
    pub fn report(&self, device: &str) {
        let mut rows = vec![];
        match self.quality {
            Some(Quality::Accuracy(share)) => {
                let found = self.first.gives_index() || self.answer.class_labels().is_some();
                let one = self.first.numbers() == 1 && !found;
                let above = if one { format!(" (class 1 above {})", self.first.threshold()) } else { String::new() };
                rows.push(("accuracy", format!("{:.2} %{above}", share * 100.0)));
            }
            Some(Quality::Errors(mae, rmse)) => {
                rows.push(("mean absolute error", format!("{mae:.6}")));
                rows.push(("root mean squared error", format!("{rmse:.6}")));
            }
            None => (),
        }
        rows.extend(costs(self.answer));
        rows.push(("device", device.to_owned()));
        To::Error.table(&rows);
    }
}

fn errors(targets: &[f32], values: &[f32]) -> Quality {
    let apart = || targets.iter().zip(values).map(|(target, value)| f64::from(value - target));
    let count = targets.len().max(1) as f64;
    Quality::Errors(apart().map(f64::abs).sum::<f64>() / count, (apart().map(|d| d * d).sum::<f64>() / count).sqrt())
}

/// An output in one line: its shape and how large its numbers are.
fn summary(output: &Output) -> String {
    let least = output.values.iter().copied().fold(f32::INFINITY, f32::min);
    let largest = output.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mean = output.values.iter().map(|&v| f64::from(v)).sum::<f64>() / output.values.len().max(1) as f64;
    let shape = Shape::new(output.extents.clone()).map_or(String::new(), |shape| format!(" {shape}"));
    format!("{}{shape}: least {least:.6}, mean {mean:.6}, largest {largest:.6}", escaped(&output.name))
}

/// Rows that every report has.
pub fn costs(answer: &Answer) -> Vec<(&'static str, String)> {
    let cost = &answer.cost;
    let sent = cost.bytes_sent.map(terminal::bytes).join(" + ");
    let s = &cost.seconds;
    let seconds = [s.share, s.compute, s.reveal].map(terminal::seconds);
    let mut rows = vec![
        ("time", format!("{} (share {}, compute {}, reveal {})", terminal::seconds(s.total()), seconds[0], seconds[1], seconds[2])),
        ("rounds", cost.rounds.to_string()),
        ("sent by the parties", sent),
        ("shared out by the owners", terminal::bytes(cost.bytes_from_owners)),
    ];
    if cost.bytes_prepared > 0 {
        rows.push(("prepared by the lead", format!("{} in {}", terminal::bytes(cost.bytes_prepared), terminal::seconds(s.prepare))));
    }
    rows
}
