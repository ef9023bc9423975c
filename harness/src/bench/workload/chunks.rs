// SPDX-License-Identifier: GPL-2.0-only
//! ebizzy, and the test of the speculative page fault series: small mappings that come
//! and go, each thread's its own.

use std::io;

use super::{Kind, USUAL};
use crate::PAGE_SIZE;
use crate::bench::KIB;
use crate::bench::goals::churn::change_once;
use crate::bench::team::Go;
use crate::bench::turn::{APART, Outcome, Turn};

/// What ebizzy maps at a time, in bytes.
const CHUNK: u64 = 512 * KIB;
/// What spf_test maps at a time: so many areas of so many bytes.
const AREAS: u64 = 2;
const AREA: u64 = 10 * PAGE_SIZE;
/// From one area to the next, in bytes: no two are joined.
const STRIDE: u64 = 16 * PAGE_SIZE;

pub(super) static KINDS: [Kind; 2] = [
    Kind {
        name: "ebizzy",
        about: |_| {
            "each thread maps 512 KiB, stores a byte to each page and unmaps them (ebizzy -mT)"
                .to_owned()
        },
        unit: "chunks",
        run: ebizzy,
        ..USUAL
    },
    Kind {
        name: "spf_test",
        about: |_| {
            "each thread maps 2 areas of 10 pages, stores a byte to each page and unmaps them"
                .to_owned()
        },
        run: spf_test,
        ..USUAL
    },
];

fn ebizzy(turn: &Turn<'_>) -> io::Result<Outcome> {
    let arena = turn.arena(CHUNK)?;
    let work = |number, (): &mut (), go: &Go<'_>| {
        let mut count = 0;
        while go.on() {
            change_once(&arena, number as u64 * APART, CHUNK)?;
            count += 1;
        }
        Ok(count)
    };
    turn.count(arena.space(), |_| Ok(()), work)
}

fn spf_test(turn: &Turn<'_>) -> io::Result<Outcome> {
    let arena = turn.arena(AREAS * AREA)?;
    let work = |number, (): &mut (), go: &Go<'_>| {
        let mut pages = 0;
        while !go.is_over() {
            let at = |area| number as u64 * APART + area * STRIDE;
            let [first, second] = [arena.map(at(0), AREA)?, arena.map(at(1), AREA)?];
            pages += first.touch_while(|| go.on());
            pages += second.touch_while(|| go.on());
            arena.unmap(first)?;
            arena.unmap(second)?;
        }
        Ok(pages)
    };
    turn.count(arena.space(), |_| Ok(()), work)
}
