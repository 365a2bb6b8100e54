//! The results of an inference and its costs, for people and as JSON.

use crate::{args::Reveal, terminal};
use serde_json::json;
use trishade::{
    Error, Result,
    nn::{Answer, answer},
};

/// An error if only the index of the largest of one score is asked for: it is 0 whatever the score.
pub fn worth_an_index(scores: usize, reveal: Reveal) -> Result<()> {
    match (scores, reveal) {
        (1, Reveal::Argmax) => {
            Err(Error::Input("--reveal argmax: the model gives one score, whose index says nothing; reveal logits".into()))
        }
        _ => Ok(()),
    }
}

/// The score from which on an input with one score is of class 1: a probability of one half, or the score that stands for it.
fn threshold(answer: &Answer) -> Option<f32> {
    let one = answer.logits.first().is_some_and(|row| row.len() == 1);
    one.then(|| if answer.probabilities().is_some() { 0.5 } else { 0.0 })
}

/// The class of each input: that of its largest score, or of two by its only one, or that which the model finds.
fn classes_of(answer: &Answer) -> Vec<usize> {
    match threshold(answer) {
        Some(threshold) if answer.class_labels().is_none() => answer.outputs().iter().map(|row| usize::from(row[0] > threshold)).collect(),
        _ => answer.predictions.clone(),
    }
}

/// The share of an answer's classes that are right.
pub fn right(labels: Option<&[usize]>, answer: &Answer) -> Option<f64> {
    labels.map(|labels| {
        let found = classes_of(answer);
        // labels that are numbers are those of the model, where it has such
        let number = |class: usize| answer.class_labels().map_or(class as i64, |labels| labels.number(class));
        labels.iter().zip(&found).filter(|(label, found)| **label as i64 == number(**found)).count() as f64 / found.len().max(1) as f64
    })
}

/// Prints one JSON object on standard output; `range_check` are the seconds that a look at the range took beforehand.
pub fn print(answer: &Answer, accuracy: Option<f64>, range_check: Option<f64>, device: &str) {
    let (cost, probabilities) = (&answer.cost, answer.probabilities());
    let others: serde_json::Map<_, _> = answer.others.iter().map(|other| (other.name.clone(), json!(other.values))).collect();
    let mut object = json!({
        "predictions": if answer.logits.is_empty() { answer.predictions.clone() } else { classes_of(answer) },
        "logits": if probabilities.is_some() { answer.logits.clone() } else { answer.outputs() },
        "others": others,
        "accuracy": accuracy,
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
    terminal::print(&object.to_string());
}

/// The best classes of the first inputs, or their only scores.
pub fn predictions(answer: &Answer, names: &[String], classes: &[String], top: usize) {
    let only = threshold(answer).filter(|_| answer.class_labels().is_none()).map(|_| answer.outputs());
    for (i, prediction) in answer.predictions.iter().enumerate().take(20) {
        let name = names.get(i).cloned().unwrap_or_else(|| format!("input {i}"));
        if let Some(scores) = &only {
            terminal::say(&format!("  {name}: {:.6}", scores[i][0]));
            continue;
        }
        let line = |class: usize| {
            let score = answer.logits.get(i).and_then(|row| row.get(class)).map_or(String::new(), |score| format!("  (score {score:.4})"));
            // the model's own labels, unless names are given
            let label = answer.class_labels().filter(|_| classes.is_empty()).map(|labels| format!("class {}", labels.text(class)));
            let known = || format!("class {class}{}", classes.get(class).map_or(String::new(), |name| format!(" {name}")));
            format!("{}{score}", label.unwrap_or_else(known))
        };
        let best = match answer.logits.get(i) {
            Some(row) if top > 1 => answer::best(row, top),
            _ => vec![*prediction],
        };
        match &best[..] {
            [one] => terminal::say(&format!("  {name}: {}", line(*one))),
            many => {
                terminal::say(&format!("  {name}:"));
                many.iter().for_each(|&class| terminal::say(&format!("    {}", line(class))));
            }
        }
    }
    if answer.predictions.len() > 20 {
        terminal::say(&format!("  and {} more; --json prints all", answer.predictions.len() - 20));
    }
}

/// The table of an inference: accuracy, costs, device.
pub fn report(answer: &Answer, accuracy: Option<f64>, device: &str) {
    let mut rows = vec![];
    if let Some(accuracy) = accuracy {
        let where_from = threshold(answer).map_or(String::new(), |threshold| format!(" (class 1 above {threshold})"));
        rows.push(("accuracy", format!("{:.2} %{where_from}", accuracy * 100.0)));
    }
    rows.extend(costs(answer));
    rows.push(("device", device.to_owned()));
    terminal::table(&rows);
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
