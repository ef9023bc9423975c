// SPDX-License-Identifier: GPL-2.0-only
//! Faults beside changes of other parts of the same memory.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::bounds::{Bound, Goal, Place};
use super::cases::{Case, GIB, KIB, MIB};
use super::{DUE, FAULT_RATE};
use crate::PAGE_SIZE;
use crate::bench::memory::{Arena, On, Piece};
use crate::bench::pace::{CommonRate, Pace};
use crate::bench::team::{beside, spin};

/// What is changed, in bytes, and where in a space.
pub(crate) const CHUNK: u64 = 64 * KIB;
const CHUNK_AT: u64 = GIB;
/// What is touched before it is emptied again, in bytes.
const BURST: u64 = 8 * MIB;
/// The addresses of both, in bytes.
pub(crate) const ARENA: u64 = 2 * GIB;
/// Changes a second that are wanted.
const WANTED: f64 = 20_000.0;
/// The part of the slowest one's rate that all are held to, if it is lower.
const PART: f64 = 0.5;

const PACED: &str = "faults beside paced changes";
const UNPACED: &str = "changes beside faults";
const ALONE: &str = "changes beside a spinning thread";
const QUIET_RATE: &str = "faults/s quiet";
const OF_QUIET: &str = "of quiet";
const CHANGE_RATE: &str = "changes/s";

pub(super) const NOTE: &str = "faults beside paced changes: one thread touches 8 MiB, page by \
page, and empties them again (not timed); another maps, touches and unmaps 64 KiB of the same \
space or process at 20,000/s, or, where not all can do that, at half the rate that the slowest \
reaches unpaced; changes/s is what was reached of what was \
due (figures are comparable only if that is the same). Quiet: the other thread spins. \
Linux maps where it likes, which may join what is changed to what is touched. changes beside \
faults: the same, unpaced; beside a spinning thread: what nobody is in the way of.";

pub(super) const GOALS: [Goal; 3] = [
    Goal {
        figure: Place::new(PACED, "spf-range", OF_QUIET),
        against: None,
        bound: Bound::AtLeast(0.85),
    },
    Goal {
        figure: Place::new(PACED, "spf-range", OF_QUIET),
        against: Some(Place::new(PACED, "linux", OF_QUIET)),
        bound: Bound::AtLeast(1.0),
    },
    Goal {
        figure: Place::new(UNPACED, "spf-range", CHANGE_RATE),
        against: Some(Place::new(UNPACED, "linux", CHANGE_RATE)),
        bound: Bound::AtLeast(2.0),
    },
];

pub(super) fn cases(subjects: &[On]) -> Vec<Case> {
    let subjects: Rc<[On]> = subjects.into();
    let common = Rc::new(CommonRate::default());
    let mut cases = Vec::new();
    for &on in &*subjects {
        let (subjects, common) = (subjects.clone(), common.clone());
        cases.push(Case::new(PACED, on.name(), move |time| {
            let rate = common.get(WANTED, PART, || {
                let unpaced = |&on: &On| Ok(beside_changes(on, Rate::Most, time)?.1);
                subjects.iter().map(unpaced).collect()
            })?;
            let (quiet, _) = beside_changes(on, Rate::None, time)?;
            let (faults, changes) = beside_changes(on, Rate::Paced(rate), time)?;
            Ok(vec![
                (OF_QUIET, faults / quiet),
                (FAULT_RATE, faults),
                (QUIET_RATE, quiet),
                (CHANGE_RATE, changes),
                (DUE, rate),
            ])
        }));
    }
    for &on in &*subjects {
        cases.push(Case::new(UNPACED, on.name(), move |time| {
            let (faults, changes) = beside_changes(on, Rate::Most, time)?;
            Ok(vec![(CHANGE_RATE, changes), (FAULT_RATE, faults)])
        }));
    }
    for &on in &*subjects {
        cases.push(Case::new(ALONE, on.name(), move |time| {
            Ok(vec![(CHANGE_RATE, changes_alone(on, time)?)])
        }));
    }
    cases
}

/// How often the other thread changes something.
#[derive(Clone, Copy, Debug)]
enum Rate {
    /// Never: it only spins.
    None,
    /// So many times a second.
    Paced(f64),
    /// As often as it can.
    Most,
}

/// Faults a second of touching, and changes a second.
fn beside_changes(on: On, rate: Rate, time: Duration) -> io::Result<(f64, f64)> {
    let arena = Arena::new(on, ARENA, (BURST + CHUNK) / PAGE_SIZE)?;
    let burst = arena.map(0, BURST)?;
    let rates = beside(
        time,
        |stop| touch_bursts(&arena, &burst, stop),
        |stop| match rate {
            Rate::None => {
                spin(stop);
                Ok(0.0)
            }
            Rate::Paced(rate) => change(&arena, CHUNK_AT, Some(Pace::new(rate)), stop),
            Rate::Most => change(&arena, CHUNK_AT, None, stop),
        },
    )?;
    arena.unmap(burst)?;
    Ok(rates)
}

/// Changes a second beside a thread that does nothing.
fn changes_alone(on: On, time: Duration) -> io::Result<f64> {
    let arena = Arena::new(on, ARENA, CHUNK / PAGE_SIZE)?;
    let peer = |stop: &AtomicBool| {
        spin(stop);
        Ok(())
    };
    Ok(beside(time, |stop| change(&arena, CHUNK_AT, None, stop), peer)?.0)
}

/// Touches and empties until told to stop; returns the pages a second of touching.
pub(super) fn touch_bursts(arena: &Arena, burst: &Piece, stop: &AtomicBool) -> io::Result<f64> {
    let mut spent = Duration::ZERO;
    let mut pages = 0;
    loop {
        let began = Instant::now();
        burst.touch();
        let took = began.elapsed();
        // Relaxed: nothing hangs on it. The peer may have ended in this burst,
        // which then counts only if there is no other.
        let is_last = stop.load(Ordering::Relaxed);
        if !is_last || pages == 0 {
            spent += took;
            pages += burst.len() / PAGE_SIZE;
        }
        if is_last {
            return Ok(pages as f64 / spent.as_secs_f64());
        }
        arena.empty(burst)?;
    }
}

/// Maps, touches and unmaps a chunk until told to stop; returns how often a second.
pub(super) fn change(
    arena: &Arena,
    at: u64,
    pace: Option<Pace>,
    stop: &AtomicBool,
) -> io::Result<f64> {
    let began = Instant::now();
    let mut count = 0;
    // Relaxed: as above.
    while !stop.load(Ordering::Relaxed) {
        if pace.is_some_and(|pace| !pace.wait(count, stop)) {
            break;
        }
        change_once(arena, at, CHUNK)?;
        count += 1;
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Maps, touches and unmaps `length` bytes.
pub(crate) fn change_once(arena: &Arena, at: u64, length: u64) -> io::Result<()> {
    let piece = arena.map(at, length)?;
    piece.touch();
    arena.unmap(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_alone_and_beside_changes() {
        let time = Duration::from_millis(20);
        let (quiet, none) = beside_changes(On::Linux, Rate::None, time).unwrap();
        assert!(quiet > 0.0 && none == 0.0);
        // On a busy machine the other thread may get no turn in so short a time.
        let is_changed = |n| {
            let paced = beside_changes(On::Linux, Rate::Paced(1000.0), time * (1_u32 << n));
            let (faults, changes) = paced.unwrap();
            assert!(faults > 0.0);
            changes > 0.0
        };
        assert!((0..10).any(is_changed));
    }
}
