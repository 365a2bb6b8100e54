//! The block vectors of RFC 8439, section 2.3.2 and appendix A.1, drawn as words.

use super::case::Case;
use crate::{kernels::draw, stream::Stream};

/// Name, byte of the key that is set and its value, nonce, counter, block.
type Vector = (&'static str, Option<(usize, u8)>, [u32; 3], usize, [u32; 16]);

const APPENDIX: [Vector; 5] = [
    (
        "A.1 #1",
        None,
        [0; 3],
        0,
        [
            0xade0b876, 0x903df1a0, 0xe56a5d40, 0x28bd8653, 0xb819d2bd, 0x1aed8da0, 0xccef36a8, 0xc70d778b, 0x7c5941da, 0x8d485751,
            0x3fe02477, 0x374ad8b8, 0xf4b8436a, 0x1ca11815, 0x69b687c3, 0x8665eeb2,
        ],
    ),
    (
        "A.1 #2",
        None,
        [0; 3],
        1,
        [
            0xbee7079f, 0x7a385155, 0x7c97ba98, 0x0d082d73, 0xa0290fcb, 0x6965e348, 0x3e53c612, 0xed7aee32, 0x7621b729, 0x434ee69c,
            0xb03371d5, 0xd539d874, 0x281fed31, 0x45fb0a51, 0x1f0ae1ac, 0x6f4d794b,
        ],
    ),
    (
        "A.1 #3",
        Some((31, 1)),
        [0; 3],
        1,
        [
            0x2452eb3a, 0x9249f8ec, 0x8d829d9b, 0xddd4ceb1, 0xe8252083, 0x60818b01, 0xf38422b8, 0x5aaa49c9, 0xbb00ca8e, 0xda3ba7b4,
            0xc4b592d1, 0xfdf2732f, 0x4436274e, 0x2561b3c8, 0xebdd4aa6, 0xa0136c00,
        ],
    ),
    (
        "A.1 #4",
        Some((1, 0xff)),
        [0; 3],
        2,
        [
            0xfb4dd572, 0x4bc42ef1, 0xdf922636, 0x327f1394, 0xa78dea8f, 0x5e269039, 0xa1bebbc1, 0xcaf09aae, 0xa25ab213, 0x48a6b46c,
            0x1b9d9bcb, 0x092c5be6, 0x546ca624, 0x1bec45d5, 0x87f47473, 0x96f0992e,
        ],
    ),
    (
        "A.1 #5",
        None,
        [0, 0, 0x0200_0000],
        0,
        [
            0x374dc6c2, 0x3736d58c, 0xb904e24a, 0xcd3f93ef, 0x88228b1a, 0x96a4dfb3, 0x5b76ab72, 0xc727ee54, 0x0e0e978a, 0xf3145c95,
            0x1b748ea8, 0xf786c297, 0x99c28f5f, 0x628314e8, 0x398a19fa, 0x6ded1b53,
        ],
    ),
];

const SECTION_2_3_2: [u32; 16] = [
    0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033, 0x9aaa2204, 0x4e6cd4c3, 0x466482d2, 0x09aa9f07, 0x05d7c214,
    0xa2028bd9, 0xd19c12b5, 0xb94e16de, 0xe883d0cb, 0x4e3c50a2,
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = APPENDIX
        .into_iter()
        .map(|(name, set, [a, b, c], counter, block)| {
            let mut key = [0u8; 32];
            set.into_iter().for_each(|(at, value)| key[at] = value);
            case(name, key, [a, b, c, 0], counter, block)
        })
        .collect();
    let counting = std::array::from_fn(|i| i as u8);
    cases.push(case("2.3.2", counting, [0x0900_0000, 0x4a00_0000, 0, 0], 1, SECTION_2_3_2));
    cases
}

fn case(name: &str, key: [u8; 32], nonce: [u32; 4], counter: usize, block: [u32; 16]) -> Case {
    let key = std::array::from_fn(|i| u32::from_le_bytes([key[4 * i], key[4 * i + 1], key[4 * i + 2], key[4 * i + 3]]));
    let words = block.chunks(2).map(|pair| u64::from(pair[0]) | u64::from(pair[1]) << 32).collect();
    let stream = Stream { key, nonce };
    let mut case = Case::new(format!("draw RFC 8439 {name}"), move |device| vec![draw::draw(device, 8 * counter + 8, stream)]);
    case.known = Some((8 * counter, words));
    case
}
