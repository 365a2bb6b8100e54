//! The protocols, one file for each figure: what parties compute on shares. Costs are bits an element over all links, and rounds.
//!
//! Sharing and products are those of Araki, Furukawa, Lindell, Nof and Ohara, *High-Throughput Semi-Honest Secure Three-Party
//! Computation with an Honest Majority* (CCS 2016); one party leads and two follow, so that the lead sends without waiting.
//! docs/architecture.md follows a ReLU through its messages, docs/security.md says why they reveal nothing, docs/costs.md lists the
//! costs.
//!
//! Components are counted from the lead of the run. Protocols are infallible: a dead peer or a lost device ends the run.
//!
//! The same program runs at each party; here all three in one process:
//!
//! ```
//! use trishade::{
//!     device::Device,
//!     fixed::Fixed,
//!     party::{Party, Transport, run},
//!     protocol as mpc,
//!     shape::Shape,
//! };
//!
//! # fn main() -> trishade::Result<()> {
//! let fixed = Fixed::default();
//! let device = Device::cpu(1)?;
//! let parties = Party::local([device.clone(), device.clone(), device], fixed.fraction_bits())?;
//! // two owners share their numbers
//! let shape = Shape::new([3])?;
//! let prices = mpc::share(&shape, &fixed.encode("prices", &[1.5, -2.0, 8.0])?)?;
//! let amounts = mpc::share(&shape, &fixed.encode("amounts", &[2.0, 4.0, 0.125])?)?;
//! let parts = pollster::block_on(run(&parties, Transport::Handover, |p| async {
//!     let (x, y) = (mpc::input(p, &prices[p.number()]), mpc::input(p, &amounts[p.number()]));
//!     let product = mpc::split(p, mpc::product(p, &x, &y)).await;
//!     let z = mpc::activate(p, &product, p.fraction_bits()).await; // truncation and ReLU in one
//!     p.device().download(&[&mpc::reveal(p, &z)]).await
//! }))?;
//! // the owner of the result adds the three summands
//! let [a, b, c] = parts;
//! let z = fixed.decode_all(&mpc::combine([&a?[0], &b?[0], &c?[0]]));
//! // a truncation is exact up to one unit of the last bit
//! let close = |a: f32, b: f32| (a - b).abs() <= 1.0 / fixed.scale() as f32;
//! assert!(z.iter().zip([3.0, 0.0, 1.0]).all(|(&a, b)| close(a, b)));
//! # Ok(())
//! # }
//! ```

mod choice;
mod circuits;
mod injection;
mod io;
mod labels;
mod layout;
mod linear;
mod maximum;
mod product;
mod relu;
mod reshare;
mod short;
mod sign;
mod truncation;

pub use choice::{Sign, Signs, choose, seconds};
pub use injection::{inject, lift};
pub use io::{
    BinaryInput, Input, Promise, combine, combine_binary, input, input_binary, open, promise, public, reveal, reveal_binary, share,
    share_binary,
};
#[cfg(feature = "seeded")]
pub use io::{promise_seeded, share_seeded};
pub use layout::{concat, gather, window_sum};
pub use linear::{accumulate, add, add_products, add_public, add_public_split, add_to_each, scale, sub, xor};
pub use maximum::{argmax, max, max_pool};
pub use product::{and, convolution, matmul, mul, product};
pub use relu::{activate, activate_clip, clip, relu, rescale};
pub use reshare::{reshare, split, split_of_share};
pub use sign::{all_bits, bit, nonnegative, not, sign};
pub use truncation::truncate;

pub use crate::kernels::{
    gather::{NONE, Table},
    linear::Broadcast,
    matmul::Layout,
};
