//! Every step of every circuit, at the lead and at the pair, with dealt planes drawn and received.

use super::case::{Case, SIZES, pad, stream, upload};
use crate::{
    device::{Buffer, Device},
    kernels::{
        Dealt,
        bits::{Compiled, Sources, bits, select_plane},
        circuit::{Level, Program, Tree, all_bits, masked_top, nonnegative},
        planes,
    },
};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in SIZES {
        for (name, circuit) in [
            ("sign in 5", nonnegative(Tree::Five, 64)),
            ("sign in 6", nonnegative(Tree::Six, 64)),
            ("sign of 49 bits", nonnegative(Tree::Five, 49)),
            ("all bits", all_bits()),
            ("masked top", masked_top()),
        ] {
            let steps = circuit.levels.into_iter().chain([circuit.finish]);
            for (level, Level { lead, pair }) in steps.enumerate() {
                cases.push(Case::new(format!("bits {name} level {level} {n}"), move |d| {
                    [step(d, n, &lead, true, true), step(d, n, &pair, false, true), step(d, n, &pair, false, false)].concat()
                }));
            }
        }
        cases.push(Case::new(format!("bits select {n}"), move |d| {
            let x = upload(d, planes::words(n, 3), 1);
            let wide = upload(d, planes::words(n, 600), 2);
            vec![select_plane(d, &x, n, 3, 0), select_plane(d, &x, n, 3, 2), select_plane(d, &wide, n, 600, 555)]
        }));
    }
    cases
}

fn step(d: &Device, n: usize, program: &Program, lead: bool, drawn: bool) -> Vec<Buffer> {
    let planes = |planes: usize, seed: u64| upload(d, planes::words(n, planes), seed);
    let (words, sent, received) = (upload(d, n, 1), planes(program.received, 2), planes(program.received, 3));
    let (saved, dealt) = (planes(program.saved, 4), planes(program.dealt, 5));
    let sources = Sources {
        words: program.words.then_some(&words),
        swapped: (program.received > 0).then_some((&sent, &received)),
        saved: (program.saved > 0).then_some(&saved),
        masks: if lead { vec![stream(1), stream(2)] } else { vec![stream(1)] },
        dealt: Some(if drawn { Dealt::Drawn([stream(3)]) } else { Dealt::Received([dealt]) }),
        unit: drawn,
    };
    let (message, kept) = bits(d, &Compiled::new(d, program.clone()), n, &sources, Some(pad(4)));
    message.iter().map(|message| message.words().clone()).chain([kept]).collect()
}
