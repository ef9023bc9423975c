// SPDX-License-Identifier: GPL-2.0-only
//! C10: a speculative fault that succeeds writes nothing that faults of other leaves
//! write.
//!
//! Three ways to see it, each with a mistake that it must find:
//!
//! - Hashes of what they share, before and after many faults: whether anything is
//!   another than it was. What is written with the value it had is not seen, nor what
//!   is as before when the fault is over.
//! - The same while a fault stands at each point of its way: what it has counted up
//!   or locked there. What it does between two points is not seen.
//! - Watchpoints of the processor on each word of the space: any store, also of the
//!   same value. Of the space only: it is not known where regions are.
//!
//! None sees nodes of the maple tree and of the XArray, whose readers have nothing to
//! write there, nor what is the core's, as the count in the window's area.
//!
//! Exceptions by design, which the tests keep away from: a processor that has no stock
//! of pages takes one (see The page limit in ARCHITECTURE.md); a new leaf takes the
//! XArray's lock, once for 2 MiB; and pages of one large folio share its count.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::thread;

use super::query::must_add_up;
use crate::counts::Counts;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, reads};
use crate::selftest::files;
use crate::selftest::overlap::{EARLY, LATE, TIME};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, at, bytes, window};
use crate::selftest::sys::points::Stopping;
use crate::selftest::sys::watch::Watch;
use crate::{Advice, Policy, Prot, Source, Space, sys};

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "purity":
    faults_leave_what_is_shared_as_it_is,
    faults_hold_nothing_that_is_shared,
    faults_write_to_no_word_of_the_space,
];

const RW: Prot = Prot::READ_WRITE;
/// Pages that are there first: with so many, a processor has a stock.
const THERE: usize = 513;
/// Pages of the leaf behind them are made first, one each, so that there is a leaf.
const FRESH: usize = 514;
/// Below what a processor has in its stock, when so many have just gone.
const FEW: usize = 24;
/// All pages.
const ALL: usize = 1024;

/// What faults of all leaves share, hashed.
#[derive(Debug, PartialEq, Eq)]
struct Hashes(Vec<String>);

/// The lines of the space that the module's build with hooks shows.
fn lines(space: &Space, prefix: &str) -> Result<Vec<String>, Stop> {
    let fd = space.as_fd().as_raw_fd();
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{fd}"))?;
    let lines = text.lines().filter(|line| line.starts_with(prefix));
    Ok(lines.map(str::to_owned).collect())
}

impl Hashes {
    fn of(arena: &Arena) -> Result<Hashes, Stop> {
        let hashes = lines(&arena.space, "faultline-hash-")?;
        ensure_eq!(hashes.len(), 3, "hashes that the module shows");
        Ok(Hashes(hashes))
    }

    fn must_hold(&self, arena: &Arena, what: &str) -> Outcome {
        ensure_eq!(Hashes::of(arena)?, *self, "{what}");
        Ok(())
    }
}

/// A space with pages in each leaf that faults will be in, and with [`FEW`] in the stock of
/// the one processor that the caller stays on.
fn far_from_limit() -> Result<Arena, Stop> {
    sys::pin_to_nth_cpu(0)?;
    let arena = Arena::new(ALL, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.stamp(1, THERE, 1)?;
    arena.stamp(FRESH, FEW, 1)?;
    arena.advise(FRESH, FEW, Advice::DontNeed)?;
    Ok(arena)
}

/// Runs `accesses` in another thread, which must take so many speculative faults that
/// succeed, and no others.
fn succeed(arena: &Arena, faults: usize, accesses: impl FnOnce() -> Outcome + Send) -> Outcome {
    let before = arena.space.stats()?;
    thread::scope(|scope| scope.spawn(accesses).join())
        .unwrap_or_else(|_| Err(Stop::fail("the accessing thread panicked")))?;
    let after = arena.space.stats()?;
    let successes = Counts::of(&after).successes() - Counts::of(&before).successes();
    ensure_eq!(
        (successes, after.faults - before.faults),
        (faults as u64, faults as u64),
        "successes, and faults"
    );
    must_add_up(&arena.space)
}

fn faults_leave_what_is_shared_as_it_is() -> Outcome {
    let arena = far_from_limit()?;
    let other = window(&arena.space, BASE, ALL)?;
    let before = Hashes::of(&arena)?;
    before.must_hold(&arena, "looked at twice")?;
    succeed(&arena, THERE, || {
        Arena::holds(&other, 1, THERE, 1, "page that is there")
    })?;
    before.must_hold(&arena, "behind faults on pages that are there")?;
    succeed(&arena, FEW, || {
        arena.stamp(FRESH, FEW / 2, 5).and_then(|()| {
            (FRESH + FEW / 2..FRESH + FEW)
                .try_for_each(|page| reads(arena.window.load(page * PAGE), 0, "page"))
        })
    })?;
    before.must_hold(&arena, "behind first touches")?;
    succeed(&arena, FEW / 2, || arena.stamp(FRESH + FEW / 2, FEW / 2, 5))?;
    before.must_hold(&arena, "behind stores to pages that were read-only")?;

    for source in ["memfd", "file"] {
        let (memfd, scratch) = (files::memfd(FEW, 40)?, files::Scratch::stamped(FEW, 40)?);
        let from: Source<'_> = match source {
            "memfd" => files::shared(&memfd, 0),
            _ => files::private(&scratch.file, 0),
        };
        let arena = far_from_limit()?;
        arena.place(FRESH, FEW, RW, from)?;
        let before = Hashes::of(&arena)?;
        succeed(&arena, FEW, || {
            (0..FEW).try_for_each(|page| {
                let there = (FRESH + page) * PAGE;
                reads(arena.window.load(there), 40 + page as u64, source)
            })
        })?;
        before.must_hold(&arena, &format!("behind faults on pages of a {source}"))?;
    }
    Ok(())
}

fn faults_hold_nothing_that_is_shared() -> Outcome {
    for (page, kind) in [(1, "page that is there"), (FRESH, "first touch")] {
        for point in EARLY.iter().chain(&LATE) {
            if kind != "first touch" && *point == "fault_prepared" {
                // Nothing is to be got ready.
                continue;
            }
            let arena = far_from_limit()?;
            let other = window(&arena.space, BASE, ALL)?;
            let before = Hashes::of(&arena)?;
            let stopping = Stopping::at(point, TIME)?;
            thread::scope(|scope| {
                let access = scope.spawn(|| other.load(page * PAGE));
                stopping.wait()?;
                before.must_hold(&arena, &format!("{kind}, at {point}"))?;
                ensure!(!access.is_finished(), "{kind} did not stay at {point}");
                let loaded = access.join();
                reads(
                    loaded.map_err(|_| Stop::fail("the accessing thread panicked"))?,
                    if page == 1 { 2 } else { 0 },
                    kind,
                )
            })?;
            drop(stopping);
            before.must_hold(&arena, &format!("{kind}, behind {point}"))?;
        }
    }
    Ok(())
}

fn faults_write_to_no_word_of_the_space() -> Outcome {
    const WORD: usize = 8;
    let arena = far_from_limit()?;
    let other = window(&arena.space, BASE, ALL)?;
    let line = lines(&arena.space, "faultline-space-at:")?.concat();
    let mut words = line.split_whitespace().skip(1);
    let start = words.next().and_then(|at| u64::from_str_radix(at, 16).ok());
    let length = words.next().and_then(|length| length.parse::<usize>().ok());
    let (Some(start), Some(length)) = (start, length) else {
        return Err(Stop::fail(format!("no place of the space: {line:?}")));
    };
    // That they see anything at all: a change counts itself in the space's lock.
    let mut seen_of_changes = 0;
    for first in (0..length / WORD).step_by(Watch::MOST) {
        let last = (first + Watch::MOST).min(length / WORD);
        let watches = (first..last)
            .map(|word| Watch::stores(start + (word * WORD) as u64))
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENOENT | libc::EOPNOTSUPP | libc::ENOSYS) => {
                    Stop::skip("the processor has no watchpoints")
                }
                _ => error.into(),
            })?;
        let sum = |from: &[Watch]| {
            let counts = from.iter().map(Watch::count);
            counts.collect::<std::io::Result<Vec<u64>>>()
        };
        let before = sum(&watches)?;
        reads(other.load(PAGE), 2, "page that is there")?;
        arena.window.store(FRESH * PAGE, 7)?;
        let after = sum(&watches)?;
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            ensure_eq!(
                after - before,
                0,
                "stores to byte {} of {length} of the space",
                (first + number) * WORD
            );
        }
        // Both are to be faults again.
        arena.space.advise(at(FRESH), bytes(1), Advice::DontNeed)?;
        other.advise(0, 2 * PAGE, libc::MADV_DONTNEED)?;
        seen_of_changes += sum(&watches)?.iter().sum::<u64>() - after.iter().sum::<u64>();
    }
    let groups = length.div_ceil(WORD * Watch::MOST) as u64;
    let stats = arena.space.stats()?;
    let first = (THERE + FEW) as u64;
    ensure_eq!(
        Counts::of(&stats).successes(),
        first + 2 * groups,
        "successes"
    );
    ensure!(seen_of_changes > 0, "not even a DONTNEED was seen");
    must_add_up(&arena.space)
}
