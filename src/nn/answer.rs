//! The result of an inference: predictions, scores, costs.

use super::{
    clear::Labels,
    finish::{self, Finish, finished, gives_probabilities},
    graph::GraphOutput,
    profile::Profile,
};
use crate::{Error, Result, fixed::decode_all, party::Meter, ring::Word};

/// The part of the result that the owner of the inputs learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum Reveal {
    /// All scores.
    #[default]
    Logits,
    /// Only the index of the largest, the first of equal ones.
    Argmax,
}

impl Reveal {
    /// [`Error::Input`] where only the index of the largest score is asked for and functions at the end of the output, of so many scores an
    /// item, make another class of the scores.
    pub fn check(self, output: &GraphOutput, scores: usize) -> Result<()> {
        match self {
            Self::Argmax if !finish::keeps_largest(&output.finish, scores) => Err(Error::Input(format!(
                "only the index of the largest score is asked for, which is not the class that the output '{}' gives; reveal all scores",
                output.name
            ))),
            _ => Ok(()),
        }
    }
}

/// The knowledge that the owner of the inputs has gained, and its cost.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// Class of each input: the index of its largest score, or the class that functions at the end of the model find.
    pub predictions: Vec<usize>,
    /// The scores of each input; empty if only the index was revealed.
    pub logits: Vec<Vec<f32>>,
    /// Outputs of the model besides the first; none if only the index was revealed.
    pub others: Vec<OtherOutput>,
    /// Functions that end the first output; see [`outputs`](Self::outputs).
    pub finish: Vec<Finish>,
    /// Its cost.
    pub cost: Cost,
    /// The same by layer, if the session keeps it ([`Session::with_profile`](super::Session::with_profile)).
    pub profile: Option<Profile>,
}

/// A further output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OtherOutput {
    /// Name in the model.
    pub name: String,
    /// The values of each input, with the functions that end them.
    pub values: Vec<Vec<f32>>,
}

/// Costs of an inference.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Rounds, the one that reveals included.
    pub rounds: u32,
    /// Bytes that each party has sent to the other two, headers included, since there were inputs.
    pub bytes_sent: [u64; 3],
    /// Bytes that the lead had sent before.
    pub bytes_prepared: u64,
    /// Bytes that the owners of model and inputs have sent to the parties.
    pub bytes_from_owners: u64,
    /// Bytes that the parties have sent to the owner of the inputs.
    pub bytes_to_owner: u64,
    /// Seconds of encoding and sharing, of computing, of revealing.
    pub seconds: Seconds,
}

/// Where the time went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seconds {
    /// The lead's work before there were inputs; not in the total.
    pub prepare: f64,
    /// Encoding and sharing the inputs.
    pub share: f64,
    /// The protocols.
    pub compute: f64,
    /// Opening the result to the owner.
    pub reveal: f64,
}

impl Seconds {
    /// From the inputs to the answer.
    pub fn total(&self) -> f64 {
        self.share + self.compute + self.reveal
    }
}

/// The classes of the largest scores, the largest first, of equal ones the first.
pub fn best(scores: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(count);
    order
}

impl Answer {
    /// The first output of each input as the model gives it: softmax, sigmoid and the like that end it are computed here, in the clear.
    pub fn outputs(&self) -> Vec<Vec<f32>> {
        self.logits.iter().map(|row| finished(&self.finish, row)).collect()
    }

    /// The same if it ends with probabilities.
    pub fn probabilities(&self) -> Option<Vec<Vec<f32>>> {
        gives_probabilities(&self.finish).then(|| self.outputs())
    }

    /// Labels of the classes, in their order, if the model brings them.
    pub fn class_labels(&self) -> Option<&Labels> {
        finish::labels(&self.finish)
    }

    /// The label of each input's class, if the model brings labels.
    pub fn labels(&self) -> Option<Vec<String>> {
        self.class_labels().map(|labels| self.predictions.iter().map(|&class| labels.text(class)).collect())
    }
}

impl Answer {
    /// The answer to more inputs, after these.
    pub fn append(&mut self, more: Self) {
        self.predictions.extend(more.predictions);
        self.logits.extend(more.logits);
        for (i, other) in more.others.into_iter().enumerate() {
            match self.others.get_mut(i) {
                Some(before) => before.values.extend(other.values),
                None => self.others.push(other),
            }
        }
        self.finish = more.finish;
        let (cost, other) = (&mut self.cost, more.cost);
        cost.rounds += other.rounds;
        cost.bytes_sent.iter_mut().zip(other.bytes_sent).for_each(|(sum, bytes)| *sum += bytes);
        cost.bytes_prepared += other.bytes_prepared;
        cost.bytes_from_owners += other.bytes_from_owners;
        cost.bytes_to_owner += other.bytes_to_owner;
        cost.seconds.prepare += other.seconds.prepare;
    }

    /// The revealed words of `count` inputs.
    pub(super) fn take(&mut self, words: &[Word], count: usize, reveal: Reveal, fraction_bits: u32) {
        match reveal {
            Reveal::Argmax => self.predictions.extend(words.iter().map(|&i| i as usize)),
            Reveal::Logits => {
                for row in words.chunks(words.len() / count) {
                    let (scores, largest) = (decode_all(row, fraction_bits), (0..row.len()).rev().max_by_key(|&i| row[i] as i64));
                    let plain = finish::keeps_largest(&self.finish, row.len());
                    self.predictions.push(if plain { largest.unwrap_or(0) } else { finish::class(&self.finish, &scores) });
                    self.logits.push(scores);
                }
            }
        }
    }

    /// The revealed words of `count` inputs of a further output.
    pub(super) fn take_other(&mut self, index: usize, output: &GraphOutput, words: &[Word], count: usize, fraction_bits: u32) {
        if self.others.len() <= index {
            self.others.push(OtherOutput { name: output.name.clone(), values: Vec::new() });
        }
        let values = words.chunks(words.len() / count).map(|row| finished(&output.finish, &decode_all(row, fraction_bits)));
        self.others[index].values.extend(values);
    }
}

impl Cost {
    pub(super) fn add(&mut self, meters: [Meter; 3]) {
        self.rounds += 1 + meters.iter().map(|m| m.rounds).max().unwrap_or(0);
        for (sent, meter) in self.bytes_sent.iter_mut().zip(&meters) {
            *sent += meter.bytes();
        }
    }
}
