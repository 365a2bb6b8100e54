//! The short sign: `[a > b']` of 63 bits, `a` known to the lead, `b'` to the pair, by one deal and one answer.
//!
//! `x = A + B`; the carry into bit 63 is `[a > b']` with `a` the low bits of `A` and `b'` the complement of those of `B`.
//! Both are cut into 21 blocks of 3 bits. The lead deals each block as residues `T_t = [a_i >= t]` modulo 23, `t` from 1 to 7
//! (the one-hot form, summed from above); `T_0 = 1` and `T_8 = 0`. With its own block `w` each of the pair has halves of
//! `[a_i > w] = T_{w+1}`, `[a_i < w] = 1 - T_w` and `[a_i != w] = 1 - T_w + T_{w+1}`. For a random direction `beta` it forms
//! `c_i = 1 - hit_i + (blocks above i that differ)`: `hit_i = [a_i > w_i]`, or if `beta` is 1 `[a_i < w_i]`, in the lowest block
//! `[a_i <= w_i]`. One `c_i` is 0 if the tested relation holds, else none, and all are below 23. Each half is multiplied by
//! `s_i` from 1 to 22, masked by `r_i` or `-r_i`, and the list is rotated. The lead adds both halves: `found`, a zero is there,
//! is `carry ^ beta`. Shader: `shaders/short.wgsl`. One item is a group of 64 elements; at the end a tile of 512.
//!
//! *Layout.* Seven residues are the digits of a number below 23^7 in a `u32`, the lowest first. A buffer of `K` numbers an
//! element (21 dealt, 3 answered) holds, group by group, number by number, those of the group's elements; the last group only
//! as many as there are. *In a stream* element `e` owns the blocks from `k e`, `k` 4 for the deal and 1 for the others. Number
//! `j` comes from their 32-bit words `3j .. 3j + 3` as `floor(n m / 2^96)`, `n` being these 96 bits: each of the `m` values has
//! probability `1 / m` up to 2^-96.

mod answer;
mod deal;
mod digits;
mod layout;
mod open;
mod steps;

pub use layout::{ShortParams, answer_words, dealt_words};
pub use steps::{SHORT_DEAL, SHORT_OPEN, SHORT_PAIR, short_deal, short_open, short_pair};
