// SPDX-License-Identifier: GPL-2.0-only
//! First touches: by one thread, and by two in parts of one region.

use std::io;
use std::time::Duration;

use super::bounds::{Bound, Goal, Place};
use super::cases::{Case, MIB};
use super::counts::ABORTS;
use super::{FAULT_RATE, Figure};
use crate::PAGE_SIZE;
use crate::bench::memory::{Arena, On, Piece, Show, thread_faults};
use crate::bench::team::{Workers, together};
use crate::counts::Counts;

/// What is touched at a time, in bytes.
const SIZE: u64 = 128 * MIB;
const PAGES: u64 = SIZE / PAGE_SIZE;
const THREADS: usize = 2;

const FIRST: &str = "first touch, 1 thread";
const PFT: &str = "pft, 2 threads";
/// What is done with a process for each thread.
const APART: &str = "2 processes";
const APART_SPF_RANGE: &str = "spf-range, 2 processes";

pub(super) const NOTE: &str = "first touch, pft: a byte is stored to each 4 KiB page of 128 MiB \
that were mapped afresh, with a new file or space and window. Only the stores are timed; mapping \
and unmapping are not. Huge pages are off, and each store is checked to have taken a fault. pft \
takes the time from the first thread's start to the last one's end.";

pub(super) const GOALS: [Goal; 5] = [
    first_touch("linux memfd", 1.30),
    first_touch("linux", 1.0),
    first_touch("global", 0.97),
    Goal {
        figure: Place::new(PFT, "spf-range", FAULT_RATE),
        against: Some(Place::new(PFT, APART_SPF_RANGE, FAULT_RATE)),
        bound: Bound::AtLeast(0.95),
    },
    Goal {
        figure: Place::new(PFT, "spf-range", ABORTS),
        against: None,
        bound: Bound::AtMost(0.0),
    },
];

const fn first_touch(against: &'static str, least: f64) -> Goal {
    Goal {
        figure: Place::new(FIRST, "spf-range", FAULT_RATE),
        against: Some(Place::new(FIRST, against, FAULT_RATE)),
        bound: Bound::AtLeast(least),
    }
}

pub(super) fn cases(subjects: &[On]) -> Vec<Case> {
    let mut cases: Vec<Case> = subjects
        .iter()
        .map(|&on| {
            Case::new(FIRST, on.name(), move |time| {
                shared(on, 1, Show::Whole, time)
            })
        })
        .collect();
    for &on in subjects {
        cases.push(Case::new(PFT, on.name(), move |time| {
            shared(on, THREADS, Show::Whole, time)
        }));
        if matches!(on, On::Space(_)) {
            let stripe = Show::Striped((SIZE / THREADS as u64) as usize);
            let name = format!("{}, striped", on.name());
            cases.push(Case::new(PFT, name, move |time| {
                shared(on, THREADS, stripe, time)
            }));
        }
        let name = format!("{}, {APART}", on.name());
        cases.push(Case::new(PFT, name, move |time| apart(on, time)));
    }
    cases
}

/// Threads of one process each touch their part of one region.
fn shared(on: On, threads: usize, show: Show, time: Duration) -> io::Result<Vec<Figure>> {
    let mut counts = Counts::default();
    let rate = repeat(time, || {
        let arena = Arena::shown(on, SIZE, PAGES, show)?;
        let piece = arena.map(0, SIZE)?;
        let touch = |number, (): &mut ()| touch_part(&piece, number, threads);
        let took = counts.during(arena.space(), || {
            together(Workers::Threads, threads, |_| Ok(()), touch)
        })?;
        arena.unmap(piece)?;
        Ok(took)
    })?;
    let mut figures = vec![(FAULT_RATE, rate)];
    figures.extend(counts.figures());
    Ok(figures)
}

/// As [`shared`], but each in a process with a region of its own.
fn apart(on: On, time: Duration) -> io::Result<Vec<Figure>> {
    let rate = repeat(time, || {
        let prepare = |_| {
            let arena = Arena::new(on, SIZE, PAGES)?;
            let piece = arena.map(0, SIZE)?;
            Ok((arena, piece))
        };
        let touch = |number, state: &mut (Arena, Piece)| touch_part(&state.1, number, THREADS);
        // What is mapped goes with the processes.
        together(Workers::Processes, THREADS, prepare, touch)
    })?;
    Ok(vec![(FAULT_RATE, rate)])
}

/// Pages a second: takes samples until they took `time` together.
fn repeat(time: Duration, mut sample: impl FnMut() -> io::Result<Duration>) -> io::Result<f64> {
    let mut spent = Duration::ZERO;
    let mut pages = 0;
    while spent < time {
        spent += sample()?;
        pages += PAGES;
    }
    Ok(pages as f64 / spent.as_secs_f64())
}

/// Touches the part of this number of so many equal ones.
fn touch_part(piece: &Piece, number: usize, parts: usize) -> io::Result<()> {
    let part = piece.len() / parts as u64;
    let before = thread_faults()?;
    piece.touch_part(number as u64 * part, part);
    let (faults, pages) = (thread_faults()? - before, part / PAGE_SIZE);
    if faults < pages {
        // Huge pages, or a fault that mapped several: no comparison of faults.
        return Err(io::Error::other(format!(
            "{pages} pages took {faults} faults only"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_all_samples() {
        let mut took = [30, 10].map(Duration::from_millis).into_iter();
        let rate = repeat(Duration::from_millis(31), || Ok(took.next().expect("two")));
        assert_eq!(rate.unwrap(), 2.0 * PAGES as f64 / 0.04);
    }

    #[test]
    fn a_page_that_is_there_is_found_out() {
        let arena = Arena::new(On::Linux, SIZE, PAGES).unwrap();
        let piece = arena.map(0, 2 * MIB).unwrap();
        crate::bench::memory::forbid_huge_pages().unwrap();
        touch_part(&piece, 1, 2).unwrap();
        assert!(touch_part(&piece, 1, 2).is_err(), "the second touch");
        touch_part(&piece, 0, 2).unwrap();
    }
}
