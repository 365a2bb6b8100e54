//! Meaning of shares: everything that decides which numbers the stored words stand for and what is computed of them. It is stored
//! with them, sent with them, and compared wherever they are used: words read under another meaning would give scores that are
//! wrong and look right.

use super::{config::Cluster, wire::unpack};
use crate::{
    Error, Result,
    nn::{Program, program::Unchecked},
};
use serde::{Deserialize, Serialize};

/// Format of an architecture, as `postcard` writes a [`Program`]: raised with every change of it.
pub const PROGRAM_FORMAT: u32 = 2;

/// Format of the shares of a tensor, as [`Input`](crate::protocol::Input) writes them: raised with every change of it.
pub const SHARE_FORMAT: u32 = 1;

/// Meaning of the shares of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// Format of the architecture.
    pub program_format: u32,
    /// Format of the shares.
    pub share_format: u32,
    /// Bits of the ring.
    pub ring_bits: u32,
    /// Fraction bits of fixed-point numbers.
    pub fraction_bits: u32,
    /// The most bits that a comparison looks at.
    pub range_bits: u32,
}

impl Meaning {
    /// Meaning of the shares of a program in a cluster.
    pub fn of(program: &Program, cluster: &Cluster) -> Self {
        Self {
            program_format: PROGRAM_FORMAT,
            share_format: SHARE_FORMAT,
            ring_bits: cluster.ring_bits,
            fraction_bits: program.fixed().fraction_bits(),
            range_bits: program.range_bits(),
        }
    }

    /// The program of an architecture, if its shares mean here what they meant when they were made.
    ///
    /// [`Error::Model`] names the field that differs, both values and the remedy.
    pub fn program(&self, architecture: &[u8], cluster: &Cluster) -> Result<Program> {
        let this = "this version of trishade reads";
        // an architecture of another format would be read as another network
        expect("program_format", self.program_format, PROGRAM_FORMAT, this)?;
        expect("share_format", self.share_format, SHARE_FORMAT, this)?;
        expect("ring_bits", self.ring_bits, cluster.ring_bits, "cluster.toml says")?;
        expect("fraction_bits", self.fraction_bits, cluster.fraction_bits, "cluster.toml says")?;
        // in two steps, so that an error says what is wrong
        let program: Program = unpack::<Unchecked>(architecture)?.try_into()?;
        expect("fraction_bits", self.fraction_bits, program.fixed().fraction_bits(), "its architecture has")?;
        expect("range_bits", self.range_bits, program.range_bits(), "its architecture has")?;
        Ok(program)
    }
}

fn expect(field: &str, found: u32, wanted: u32, says: &str) -> Result<()> {
    match found == wanted {
        true => Ok(()),
        false => Err(Error::Model(format!(
            "the shares of the model were made with {field} = {found}, {says} {wanted}: they would be read as other numbers; let its \
             owner upload the model again"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixed::Fixed,
        net::{config::SignChoice, secrets::sha256, wire::pack},
        nn::{RangeOrigin, Ranges, builder::Builder, calibrate::ranged, lower},
    };

    fn cluster(fraction_bits: u32) -> Cluster {
        Cluster { ring_bits: 64, fraction_bits, sign: SignChoice::Auto, network: None, party: Vec::new(), client: Vec::new() }
    }

    #[test]
    fn each_field_that_differs_is_refused_by_its_name() {
        let graph = Builder::new(&[3], 1).unwrap().linear(2).unwrap().relu().unwrap().build();
        let lowered = lower(&graph, Fixed::default()).unwrap();
        let program = ranged(&lowered, Some(0.0..=1.0), &[], |_| {}).unwrap();
        let (meaning, bytes) = (Meaning::of(&program, &cluster(20)), pack(&program).unwrap());
        assert!(meaning.range_bits < 64);
        assert_eq!(meaning.program(&bytes, &cluster(20)).unwrap(), program);
        type Change = fn(&mut Meaning) -> &mut u32;
        let fields: [(&str, Change); 5] = [
            ("program_format", |m| &mut m.program_format),
            ("share_format", |m| &mut m.share_format),
            ("ring_bits", |m| &mut m.ring_bits),
            ("fraction_bits", |m| &mut m.fraction_bits),
            ("range_bits", |m| &mut m.range_bits),
        ];
        for (name, field) in fields {
            for other in [0, 12, u32::MAX] {
                let mut changed = meaning;
                *field(&mut changed) = other;
                let error = changed.program(&bytes, &cluster(20)).unwrap_err().to_string();
                assert!(error.contains(&format!("{name} = {other}")) && error.contains("upload the model again"), "{error}");
            }
        }
        let error = meaning.program(&bytes, &cluster(12)).unwrap_err().to_string();
        assert!(error.contains("fraction_bits = 20, cluster.toml says 12"), "{error}");
        // both say so, and the architecture does not
        let both = Meaning { fraction_bits: 12, ..meaning }.program(&bytes, &cluster(12)).unwrap_err().to_string();
        assert!(both.contains("its architecture has 20"), "{both}");
    }

    #[test]
    fn a_description_that_somebody_has_made_up_is_refused_or_cleaned() {
        let lowered = lower(&Builder::new(&[3], 1).unwrap().linear(2).unwrap().build(), Fixed::default()).unwrap();
        let meaning = Meaning::of(&lowered.program, &cluster(20));
        // the same bytes, and nothing is checked
        let unchecked = || unpack::<Unchecked>(&pack(&lowered.program).unwrap()).unwrap();
        let read = |unchecked: &Unchecked| meaning.program(&pack(unchecked).unwrap(), &cluster(20));
        assert_eq!(read(&unchecked()).unwrap(), lowered.program);
        for bounds in
            [vec![], vec![[1.0, 0.0]], vec![[f32::NAN, 1.0]], vec![[0.0, f32::NAN]], vec![[f32::NEG_INFINITY, 0.0]], vec![[0.0, 1.0]; 2]]
        {
            let ranges = Some(Ranges { bounds, origin: RangeOrigin::Proven });
            let error = read(&Unchecked { ranges, ..unchecked() }).unwrap_err().to_string();
            assert!(error.contains("bounds of"), "{error}");
        }
        let words = format!("\u{1b}[2J\n\u{202e}{}", "x".repeat(5000));
        let mut steered = unchecked();
        (steered.steps[0].name, steered.inputs[0].name, steered.outputs[0].name) = (words.clone(), words.clone(), words);
        let program = read(&steered).unwrap();
        for name in [&program.steps()[0].name, &program.inputs()[0].name, &program.outputs()[0].name] {
            assert!(name.starts_with("\\u{1b}[2J\\u{a}\\u{202e}xx") && name.len() <= 503, "{name:?}");
        }
    }

    /// Bytes of an architecture with every step, and of a share: whoever changes them raises the format as well.
    #[test]
    fn the_formats_are_those_of_their_numbers() {
        let stem = Builder::new(&[2, 8, 8], 1).unwrap().conv(2, 3, 1, 1).unwrap().relu().unwrap().max_pool(2, 2, 0).unwrap();
        let first = stem.value();
        let side = stem.relu6().unwrap().average_pool(3, 1, 1).unwrap().sum_with(first).unwrap();
        let second = side.value();
        let moved = side.product_with(first).unwrap().concat(&[first, second]).unwrap().gather(&[4], vec![0, 9, 17, 30].into()).unwrap();
        let program = lower(&moved.linear(3).unwrap().build(), Fixed::default()).unwrap().program;
        let digest = sha256(&[&pack(&program).unwrap()]);
        let wanted = (2, [22, 178, 163, 66]);
        let found = (PROGRAM_FORMAT, [digest[0], digest[1], digest[2], digest[3]]);
        assert_eq!(found, wanted, "an architecture has other bytes: if its format has changed, raise PROGRAM_FORMAT; then note them here");
        let share = crate::protocol::promise(&crate::shape::Shape::new([3]).unwrap()).unwrap().of_lead();
        let mut bytes = Vec::new();
        share.write(&mut bytes).unwrap();
        assert_eq!((SHARE_FORMAT, bytes.len()), (1, 66), "the format of shares has changed: raise SHARE_FORMAT");
    }
}
