//! Fixed point: a real `v` is the ring element `round(v 2^f)`.

use crate::{Error, Result, ring::Word};

/// The number of fraction bits `f` of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    fraction_bits: u32,
}

impl Default for Fixed {
    fn default() -> Self {
        Self { fraction_bits: 20 }
    }
}

impl Fixed {
    /// `f` in 8..=26. More leaves too little room for products: values must stay below 2^(62-2f).
    pub fn new(fraction_bits: u32) -> Result<Self> {
        if !(8..=26).contains(&fraction_bits) {
            return Err(Error::Input(format!("{fraction_bits} fraction bits: choose 8 to 26 (default 20)")));
        }
        Ok(Self { fraction_bits })
    }

    /// `f`.
    pub fn fraction_bits(self) -> u32 {
        self.fraction_bits
    }

    /// `2^f`.
    pub fn scale(self) -> f64 {
        f64::powi(2.0, self.fraction_bits as i32)
    }

    /// The first absolute value that no longer fits: 2^(62-2f), so that a product stays below 2^62.
    pub fn limit(self) -> f64 {
        f64::powi(2.0, 62 - 2 * self.fraction_bits as i32)
    }

    /// `round(v 2^f)`. Errors name `what`, the index and the value's defect, and never the value itself.
    pub fn encode(self, what: &str, values: &[f32]) -> Result<Vec<Word>> {
        let scale = self.scale();
        let limit = self.limit();
        values
            .iter()
            .enumerate()
            .map(|(i, &v)| {
                let v = f64::from(v);
                if v.is_nan() {
                    Err(Error::Range(format!("{what}: element {i} is not a number (NaN)")))
                } else if v.abs() >= limit {
                    Err(Error::Range(format!(
                        "{what}: element {i} is {}, outside the fixed-point range of +-{limit} at {} fraction bits; scale the data or use fewer fraction bits",
                        if v.is_infinite() { "infinite" } else { "too large" },
                        self.fraction_bits
                    )))
                } else {
                    Ok((v * scale).round() as i64 as u64)
                }
            })
            .collect()
    }

    /// The real number of a ring element.
    pub fn decode(self, x: Word) -> f32 {
        (x as i64 as f64 / self.scale()) as f32
    }

    /// [`decode`](Self::decode) of each word.
    pub fn decode_all(self, words: &[Word]) -> Vec<f32> {
        decode_all(words, self.fraction_bits)
    }
}

/// The real numbers of ring elements with so many fraction bits: `w / 2^fraction_bits`.
pub fn decode_all(words: &[Word], fraction_bits: u32) -> Vec<f32> {
    let scale = f64::powi(2.0, fraction_bits as i32);
    words.iter().map(|&x| (x as i64 as f64 / scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_does_not_fit() {
        let fixed = Fixed::default();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 4_194_304.0, -4.2e6] {
            let error = fixed.encode("weights", &[0.0, bad]).unwrap_err().to_string();
            assert!(error.contains("weights") && error.contains("element 1"), "{error}");
        }
        assert!(fixed.encode("x", &[4_194_303.0, -4_194_303.0]).is_ok());
        assert!(Fixed::new(7).is_err() && Fixed::new(27).is_err());
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(v in -1000.0f32..1000.0, f in 8u32..=26) {
            let fixed = Fixed::new(f).unwrap();
            let back = fixed.decode(fixed.encode("v", &[v]).unwrap()[0]);
            prop_assert!((back - v).abs() <= 1.0 / (1u32 << f) as f32 + v.abs() * 1e-6);
        }
    }
}
