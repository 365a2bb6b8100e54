//! Ranges of a model's inputs: bounds within which its values stay in the range of the fixed-point numbers. They are public.

use crate::Error;

/// Bounds of a model's inputs, and how they were found.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub struct Ranges {
    /// The least and the greatest number of each input, in the order of the inputs.
    pub bounds: Vec<[f32; 2]>,
    /// How they were found.
    pub origin: RangeOrigin,
}

/// How bounds of inputs were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "net", derive(serde::Serialize, serde::Deserialize))]
pub enum RangeOrigin {
    /// The model's owner has said them; whether values overflow within them is not known.
    Stated,
    /// Sample inputs with these bounds have passed: no value overflowed.
    Calibrated,
    /// No input within them can make a value overflow: interval arithmetic on the weights says so.
    Proven,
}

impl Ranges {
    /// The fault of bounds for so many inputs, if they have one: another number of them, or no numbers, or the greater first.
    pub(super) fn check(&self, inputs: usize) -> Result<(), String> {
        let found = self.bounds.len();
        if found != inputs {
            return Err(format!("bounds of {found} inputs for a model of {inputs}"));
        }
        match self.bounds.iter().position(|[low, high]| !(low.is_finite() && high.is_finite() && low <= high)) {
            Some(input) => Err(format!("bounds of input {input} that are not two numbers, the smaller first")),
            None => Ok(()),
        }
    }

    /// Error of a number of an item that is outside the bounds of an input.
    pub(super) fn outside(&self, name: &str, item: usize, element: usize, [low, high]: [f32; 2]) -> Error {
        let origin = match self.origin {
            RangeOrigin::Stated => "that its owner has stated",
            RangeOrigin::Calibrated => "for which it was calibrated",
            RangeOrigin::Proven => "for which it is proven",
        };
        Error::Range(format!(
            "input '{name}' of item {item}: element {element} is outside {low} to {high}, the range of the model {origin}; prepare inputs \
             as its owner does, or let the owner upload it again for such inputs"
        ))
    }
}
