// SPDX-License-Identifier: GPL-2.0-only
//! `ebizzy -mT`: each thread maps a chunk, touches every page, and unmaps it.

use std::io;
use std::time::Duration;

use super::Figure;
use super::bounds::{Bound, Goal, Place};
use super::cases::{Case, GIB, KIB};
use super::churn::change_once;
use super::counts::{ABORTS, FALSE_ABORTS};
use super::measure::rate;
use crate::PAGE_SIZE;
use crate::bench::memory::{Arena, On};
use crate::counts::Counts;

const WORK: &str = "ebizzy, 2 threads";
const THREADS: usize = 2;
/// What is mapped at a time, in bytes.
pub(crate) const CHUNK: u64 = 512 * KIB;
/// Where each thread works, in bytes from the one before.
pub(crate) const APART: u64 = GIB;

pub(super) const NOTE: &str = "ebizzy: each thread maps 512 KiB, touches every page and unmaps it, \
both in one space or process.";

pub(super) const GOALS: [Goal; 2] = [at_most(ABORTS, 1.0), at_most(FALSE_ABORTS, 0.1)];

const fn at_most(figure: &'static str, most: f64) -> Goal {
    Goal {
        figure: Place {
            work: WORK,
            on: "spf-range",
            figure,
        },
        against: None,
        bound: Bound::AtMost(most),
    }
}

pub(super) fn cases(subjects: &[On]) -> Vec<Case> {
    subjects
        .iter()
        .map(|&on| Case::new(WORK, on.name(), move |time| chunks(on, time)))
        .collect()
}

fn chunks(on: On, time: Duration) -> io::Result<Vec<Figure>> {
    let threads = THREADS as u64;
    let arena = Arena::new(on, threads * APART, threads * CHUNK / PAGE_SIZE)?;
    let mut counts = Counts::default();
    let chunks = counts.during(arena.space(), || {
        rate(THREADS, time, |number| {
            change_once(&arena, number as u64 * APART, CHUNK)
        })
    })?;
    let mut figures = vec![("chunks/s", chunks)];
    figures.extend(counts.figures());
    Ok(figures)
}
