//! What several tests share.
#![allow(dead_code, reason = "each test uses a part")]

use std::{future::Future, pin::Pin};
use trishade::{
    device::Device,
    party::{Party, Tag, tagged},
    protocol as mpc,
    ring::Word,
    shape::Shape,
    share::Arith,
};

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A protocol's future, boxed.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Three parties on one CPU device whose masks follow from a seed for each component.
pub fn seeded(seeds: [u64; 3]) -> [Party; 3] {
    let device = Device::cpu(1).unwrap();
    Party::local_with_component_seeds([device.clone(), device.clone(), device], 20, seeds)
}

pub fn shape(n: usize) -> Shape {
    Shape::new([n]).unwrap()
}

/// A share with these components, made of public values under each lead in turn: a fixed sharing, no randomness.
pub async fn components(p: &Party, words: &[Vec<Word>; 3]) -> Arith {
    let mut parts = Vec::new();
    for (lead, words) in words.iter().enumerate() {
        let public = async { mpc::public(p, &shape(words.len()), words) };
        parts.push(tagged(p, Tag { lead: Some(lead), ..Tag::default() }, public).await);
    }
    mpc::add(p, &mpc::add(p, &parts[0], &parts[1]), &parts[2])
}

/// The value behind a share, by the way results go out.
pub async fn revealed(p: &Party, x: &Arith) -> Vec<Word> {
    let part = mpc::reveal(p, x);
    p.device().download(&[&part]).await.unwrap().remove(0)
}

/// The GPU that `TRISHADE_GPU` names, or Mesa's software Vulkan. None, with a note, if there is none of that name or if it has not what the prelude needs.
#[cfg(feature = "gpu")]
pub fn gpu(prelude: Option<trishade::device::gpu::Prelude>) -> Option<Device> {
    let selector = std::env::var("TRISHADE_GPU").unwrap_or("llvmpipe".into());
    let opened = match prelude {
        Some(prelude) => Device::gpu_with(&selector, prelude),
        None => Device::gpu(&selector),
    };
    match opened {
        Ok(device) => Some(device),
        Err(why) if std::env::var("TRISHADE_REQUIRE_GPU").is_ok_and(|v| v == "1") => panic!("{why}"),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}
