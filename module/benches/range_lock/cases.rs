// SPDX-License-Identifier: GPL-2.0-only

//! What one thread alone does, for both benchmarks that measure it.

use core::hint::black_box;

use faultline_portable::{interval::Interval, range_lock::Mode};

use crate::peers::Peer;

/// What is taken.
#[derive(Clone, Copy)]
pub(crate) enum Taken {
    One(Interval),
    Two([Interval; 2]),
}

/// What is done, again and again.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) mode: Mode,
    pub(crate) taken: Taken,
}

/// Pages of 128 MiB.
const LARGE: u64 = 1 << 15;

fn pages(start: u64, length: u64) -> Interval {
    Interval::new(start, start + length).expect("not empty")
}

/// All cases, with their names.
pub(crate) fn cases() -> Vec<(String, Case)> {
    let page = Taken::One(pages(0x1234, 1));
    let two = Taken::Two([pages(0x1234, 4), pages(0x9_8765, 4)]);
    let large = Taken::One(pages(5 * LARGE, LARGE));
    [
        ("write page", Mode::Write, page),
        ("read page", Mode::Read, page),
        ("write two ranges", Mode::Write, two),
        ("write 128 MiB", Mode::Write, large),
        ("write everything", Mode::Write, Taken::One(Interval::ALL)),
    ]
    .map(|(name, mode, taken)| (name.to_owned(), Case { mode, taken }))
    .into()
}

/// Does a case once; false if the peer cannot.
#[inline(always)]
pub(crate) fn once<P: Peer>(peer: &P, case: Case) -> bool {
    match case.taken {
        Taken::One(range) => {
            peer.with(case.mode, black_box(range), || ());
            true
        }
        Taken::Two(ranges) => peer.with_two(case.mode, black_box(ranges), || ()).is_some(),
    }
}
