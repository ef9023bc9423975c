// SPDX-License-Identifier: GPL-2.0-only
//! Small changes at fixed times beside large ones: how long each takes from
//! when it was due.

use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::bounds::{Bound, Goal, Place};
use super::cases::{Case, GIB, MIB};
use super::churn::change_once;
use super::{DUE, Figure};
use crate::bench::latency::Record;
use crate::bench::memory::{Arena, On};
use crate::bench::pace::{CommonRate, Pace};
use crate::bench::team::{beside, spin};
use crate::{PAGE_SIZE, Space};

const BESIDE_SPIN: &str = "small beside a spinning thread";
const BESIDE_BIG: &str = "small beside big";
const BESIDE_OTHER: &str = "small beside big of another space";
const P999: &str = "p99.9, us";
const STALLED: &str = "stalled, ms/s";

/// What the peer maps, in bytes, if a space may hold that much.
const BIG: u64 = GIB;
/// Where it maps it in a space; what is small is at 0.
const BIG_AT: u64 = GIB;
/// Small changes a second that are wanted.
const WANTED: f64 = 2_000.0;
/// The part of the slowest one's rate that all are held to, if it is lower:
/// little, so that what is measured is not a queue.
const PART: f64 = 0.25;
/// A turn takes at least so long.
const LEAST: Duration = Duration::from_secs(2);
/// Operations in a turn, below which the 99.9th percentile is the maximum.
const ENOUGH: f64 = 1_000.0;
/// A turn is not made longer than this for their sake.
const LONG: Duration = Duration::from_secs(15);
/// Nor, for want of room, does it record more than this.
const MOST: Duration = Duration::from_secs(60);
/// What is a stall.
const STALL: Duration = Duration::from_millis(5);

pub(super) const NOTE: &str = "small beside big: one thread maps, touches and unmaps 4 KiB at fixed \
times, 2,000/s, or a quarter of the rate that the slowest reaches without a pause beside a spinning thread. Latency counts \
from when an operation was due. Stalled: the time during which an operation was overdue by more \
than 5 ms, each moment counted once. The peer maps 1 GiB (or what a space may hold, in steps of 64 \
MiB) of the same space or process, fills it (WILLNEED, MADV_POPULATE_WRITE), touches every page \
and unmaps it; or it spins; or it does that in a space of its own, which shows what \
of the latency is for processors, memory and translations that they share. A turn takes 2 s, or up to 15 for 1,000 samples, and one loop \
of the peer at least.";

pub(super) const GOALS: [Goal; 2] = [
    Goal {
        figure: Place::new(BESIDE_BIG, "spf-range", P999),
        against: Some(Place::new(BESIDE_SPIN, "spf-range", P999)),
        bound: Bound::AtMost(2.5),
    },
    Goal {
        figure: Place::new(BESIDE_BIG, "spf-range", STALLED),
        against: Some(Place::new(BESIDE_BIG, "global", STALLED)),
        bound: Bound::AtMost(0.1),
    },
];

pub(super) fn cases(subjects: &[On]) -> Vec<Case> {
    let subjects: Rc<[On]> = subjects.into();
    let common = Rc::new(CommonRate::default());
    let mut cases = Vec::new();
    for (work, peer) in [
        (BESIDE_SPIN, Peer::Spin),
        (BESIDE_BIG, Peer::Big),
        (BESIDE_OTHER, Peer::BigElsewhere),
    ] {
        let has_it = |on: &&On| peer != Peer::BigElsewhere || matches!(on, On::Space(_));
        for &on in subjects.iter().filter(has_it) {
            let (subjects, common) = (subjects.clone(), common.clone());
            cases.push(Case::new(work, on.name(), move |time| {
                let rate = common.get(WANTED, PART, || {
                    subjects.iter().map(|&on| without_pause(on, time)).collect()
                })?;
                latencies(on, peer, rate, turn(time, rate))
            }));
        }
    }
    cases
}

/// How long a turn takes in which enough is due at this rate.
fn turn(time: Duration, rate: f64) -> Duration {
    let enough = Duration::from_secs_f64(ENOUGH / rate);
    time.max(LEAST).max(enough.min(LONG))
}

/// What the other thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Spin,
    Big,
    /// The same, with nothing of faultline's in common.
    BigElsewhere,
}

/// Small changes a second, one after the other, beside a spinning thread (which
/// an unmapping has to interrupt).
fn without_pause(on: On, time: Duration) -> io::Result<f64> {
    let arena = Arena::new(on, PAGE_SIZE, 1)?;
    let measured = |stop: &AtomicBool| {
        let began = Instant::now();
        let mut count = 0;
        // Relaxed: nothing hangs on it.
        while count == 0 || !stop.load(Ordering::Relaxed) {
            change_once(&arena, 0, PAGE_SIZE)?;
            count += 1;
        }
        Ok(f64::from(count) / began.elapsed().as_secs_f64())
    };
    let peer = |stop: &AtomicBool| {
        spin(stop);
        Ok(())
    };
    Ok(beside(time, measured, peer)?.0)
}

fn latencies(on: On, peer: Peer, rate: f64, time: Duration) -> io::Result<Vec<Figure>> {
    let big = big();
    let arena = Arena::new(on, BIG_AT + big, big / PAGE_SIZE + 1)?;
    let elsewhere = match peer {
        Peer::BigElsewhere => Some(Arena::new(on, BIG_AT + big, big / PAGE_SIZE)?),
        Peer::Spin | Peer::Big => None,
    };
    let theirs = elsewhere.as_ref().unwrap_or(&arena);
    let mut record = Record::new((rate * MOST.as_secs_f64()) as usize);
    let (elapsed, ()) = beside(
        time,
        |stop| small(&arena, rate, &mut record, stop),
        |stop| match peer {
            Peer::Spin => {
                spin(stop);
                Ok(())
            }
            Peer::Big | Peer::BigElsewhere => populate_and_unmap(theirs, BIG_AT, big, stop),
        },
    )?;
    let latencies = record.latencies();
    let stalled = record.stalled(STALL).as_secs_f64() / elapsed.as_secs_f64();
    Ok(vec![
        ("p50, us", latencies.percentile_us(50.0)),
        ("p99, us", latencies.percentile_us(99.0)),
        (P999, latencies.percentile_us(99.9)),
        ("max, us", latencies.max_us()),
        (STALLED, stalled * 1e3),
        (DUE, rate),
        ("samples", record.len() as f64),
    ])
}

/// Makes small changes when they are due, until told to stop or the record is
/// full; returns how long.
fn small(arena: &Arena, rate: f64, record: &mut Record, stop: &AtomicBool) -> io::Result<Duration> {
    let pace = Pace::new(rate);
    let mut number = 0;
    while pace.wait(number, stop) {
        change_once(arena, 0, PAGE_SIZE)?;
        if !record.note(pace.due(number), pace.began().elapsed()) {
            break;
        }
        number += 1;
    }
    Ok(pace.began().elapsed())
}

/// Loops until told to stop, and once at least.
fn populate_and_unmap(arena: &Arena, at: u64, length: u64, stop: &AtomicBool) -> io::Result<()> {
    loop {
        populate_once(arena, at, length)?;
        // Relaxed: nothing hangs on it.
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// Maps, fills, touches and unmaps `length` bytes.
pub(crate) fn populate_once(arena: &Arena, at: u64, length: u64) -> io::Result<()> {
    let piece = arena.map(at, length)?;
    arena.populate(&piece)?;
    piece.touch();
    arena.unmap(piece)
}

/// How large the large changes are, in bytes, with a space or without.
pub(crate) fn big() -> u64 {
    let limit = Space::open().and_then(|space| space.stats());
    limit.map_or(BIG, |stats| big_within(stats.max_pages * PAGE_SIZE))
}

/// [`BIG`], or the most that leaves room for something small.
fn big_within(limit: u64) -> u64 {
    const STEP: u64 = 64 * MIB;
    let room = limit.saturating_sub(MIB) / STEP * STEP;
    room.clamp(MIB, BIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_big_leaves_room_for_what_is_small() {
        assert_eq!(big_within(4 * GIB), GIB);
        assert_eq!(big_within(GIB), GIB - 64 * MIB);
        assert_eq!(big_within(0), MIB);
    }

    #[test]
    fn a_turn_is_long_enough_for_what_is_due() {
        let seconds = Duration::from_secs;
        assert_eq!(turn(seconds(1), 2_000.0), LEAST);
        assert_eq!(turn(seconds(1), 100.0), seconds(10));
        assert_eq!(turn(seconds(1), 1.0), LONG);
        assert_eq!(turn(seconds(20), 1.0), seconds(20));
    }

    #[test]
    fn small_changes_are_noted_until_there_is_no_room() {
        let arena = Arena::new(On::Linux, PAGE_SIZE, 1).unwrap();
        let mut record = Record::new(3);
        let never = AtomicBool::new(false);
        let began = Instant::now();
        small(&arena, 1000.0, &mut record, &never).unwrap();
        assert_eq!(record.len(), 3);
        assert!(began.elapsed() >= Duration::from_millis(2));
        let limit = Duration::from_secs(5);
        assert_eq!(record.stalled(limit), Duration::ZERO);
    }
}
