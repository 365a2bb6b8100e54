//! A case of the benchmark: its name, its work, and one repetition of it.

use trishade::{
    Result,
    device::Device,
    party::{Party, Transport},
    protocol::{Sign, Signs},
};

/// The device, the network and the options that every case runs with.
pub struct Bed {
    pub device: Device,
    pub threads: usize,
    pub link: Transport,
    pub sign: Sign,
    pub repetitions: usize,
    pub micro_batch: usize,
    pub verify: bool,
}

/// One repetition.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    pub seconds: f64,
    pub rounds: u32,
    pub bytes: u64,
    /// The same with the lead's part done before: seconds of that part, seconds of the rest.
    pub prepared: Option<[f64; 2]>,
    pub signs: Signs,
    /// In a first run: bytes that it had to hold by the plan, and the most that the process has held.
    pub memory: Option<[u64; 2]>,
    /// The largest difference from the fixed-point reference's scores and the largest of these, in units of the last place.
    pub ulps: Option<[u64; 2]>,
}

/// A case: its name, its shape, and what prepares a repetition.
pub struct Case {
    pub name: String,
    pub shape: String,
    /// Multiply-adds, elements or bytes of a repetition, and the unit of their rate.
    pub work: Option<(f64, &'static str)>,
    /// Whether it has signs, and so is measured with each.
    pub signs: bool,
    pub prepare: Prepare,
}

/// Sets a case up on a bed.
pub type Prepare = Box<dyn Fn(&Bed) -> Result<Repetition>>;

/// Something that can be timed again and again.
pub type Repetition = Box<dyn FnMut() -> Result<Sample>>;

impl Sample {
    /// Seconds of the wall clock, or of the simulated one if the network is shaped.
    pub fn of(parties: &[Party; 3], wall: f64, link: Transport) -> Self {
        let meters = parties.each_ref().map(Party::meter);
        let simulated = meters.iter().map(|m| m.seconds).fold(0.0, f64::max);
        Self {
            seconds: if matches!(link, Transport::Shaped(_)) { simulated } else { wall },
            rounds: meters.iter().map(|m| m.rounds).max().unwrap_or(0),
            bytes: meters.iter().map(|m| m.bytes()).sum(),
            signs: meters[0].signs(),
            ..Self::default()
        }
    }
}
