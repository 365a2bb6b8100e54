//! The protocols, one file for each figure of PROTOCOLS: costs are bits an element over all links and rounds.
//!
//! Components are counted from the lead of the run. Protocols are infallible: a dead peer or a lost device ends the run.

mod choice;
mod injection;
mod io;
mod linear;
mod maximum;
mod movement;
mod product;
mod relu;
mod reshare;
mod short;
mod sign;
mod truncation;

pub use choice::{choose, seconds};
pub use injection::{inject, lift};
pub use io::{
    BinaryInput, Input, Promise, combine, combine_binary, input, input_binary, open, promise, public, reveal, reveal_binary, share,
    share_binary,
};
#[cfg(feature = "seeded")]
pub use io::{promise_seeded, share_seeded};
pub use linear::{accumulate, add, add_public, add_public_split, scale, sub, xor};
pub use maximum::{argmax, max, max_pool};
pub use movement::{concat, select, window_sum};
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
