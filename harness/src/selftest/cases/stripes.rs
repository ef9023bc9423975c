// SPDX-License-Identifier: GPL-2.0-only
//! Windows of several areas, and windows at places of the caller's choice.

use std::fs;

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE};
use crate::{PAGE_SIZE, Prot, Window, WindowOptions};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "stripes":
    are_areas_side_by_side,
    stay_apart_when_regions_join_across_them,
    dropped_ones_leave_nothing,
    too_many_are_refused_and_leave_nothing,
    take_the_place_that_was_asked_for,
];

/// An area of the device in this process: start, end, offset into the space.
type Place = (usize, usize, u64);

/// What /proc/self/maps has of the device.
fn areas() -> Result<Vec<Place>, Stop> {
    let text = fs::read_to_string("/proc/self/maps")?;
    let of_device = text.lines().filter(|line| line.ends_with("/dev/faultline"));
    let parsed = of_device.map(|line| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let offset = number(words.nth(1)?)?;
        Some((number(start)? as usize, number(end)? as usize, offset))
    });
    parsed
        .collect::<Option<_>>()
        .ok_or_else(|| Stop::fail(format!("cannot read {text}")))
}

/// Those of `window`.
fn areas_of(window: &Window) -> Result<Vec<Place>, Stop> {
    let start = window.ptr().addr();
    let inside = |&(from, to, _): &Place| start < to && from < start + window.len();
    Ok(areas()?.into_iter().filter(inside).collect())
}

/// What `window` should be made of, if it has stripes of so many bytes.
fn stripes(window: &Window, stripe: usize) -> Vec<Place> {
    let start = window.ptr().addr();
    let stripes = (0..window.len()).step_by(stripe).map(|at| {
        let end = window.len().min(at + stripe);
        (start + at, start + end, window.offset() + at as u64)
    });
    stripes.collect()
}

fn are_areas_side_by_side() -> Outcome {
    let arena = Arena::new(7, Prot::READ_WRITE)?;
    for stripe in [1, 2, 3, 7, 100] {
        let window = arena.space.striped_window(BASE, 7 * PAGE, stripe * PAGE)?;
        let expected = stripes(&window, stripe * PAGE);
        ensure_eq!(areas_of(&window)?, expected, "stripes of {stripe} pages");
    }
    Ok(())
}

/// The kernel joins areas when one beside is mapped, unmapped or changed.
fn stay_apart_when_regions_join_across_them() -> Outcome {
    let arena = Arena::empty(6)?;
    let window = arena.space.striped_window(BASE, 6 * PAGE, 2 * PAGE)?;
    for page in 0..6 {
        arena.remap(page, 1, Prot::READ_WRITE)?;
        window.store(page * PAGE, 1 + page as u64)?;
    }
    ensure_eq!(arena.shape()?, [(0, 6, Prot::READ_WRITE)], "regions");
    let whole = arena.space.window(BASE, 6 * PAGE)?;
    for page in 0..6 {
        reads(whole.load(page * PAGE), 1 + page as u64, "one area")?;
    }
    drop(whole);
    arena.protect(1, 4, Prot::READ)?;
    arena.protect(1, 4, Prot::READ_WRITE)?;
    let expected = stripes(&window, 2 * PAGE);
    ensure_eq!(areas_of(&window)?, expected, "stripes");
    arena.unmap(1, 4)?;
    for page in 1..5 {
        raises(window.load(page * PAGE), Signal::Bus, "after UNMAP")?;
    }
    reads(window.load(5 * PAGE), 6, "the last page")
}

fn dropped_ones_leave_nothing() -> Outcome {
    let arena = Arena::new(6, Prot::READ_WRITE)?;
    let before = areas()?;
    let first = arena.space.striped_window(BASE, 6 * PAGE, PAGE)?;
    let second = arena.space.striped_window(BASE, 6 * PAGE, 2 * PAGE)?;
    ensure_eq!(areas()?.len(), before.len() + 6 + 3, "areas of both");
    second.store(5 * PAGE, 7)?;
    let kept = areas_of(&second)?;
    drop(first);
    ensure_eq!(areas_of(&second)?, kept, "areas of the other");
    ensure_eq!(areas()?.len(), before.len() + 3, "areas");
    reads(second.load(5 * PAGE), 7, "the other")?;
    drop(second);
    ensure_eq!(areas()?, before, "areas");
    reads(arena.window.load(5 * PAGE), 7, "the first window")
}

/// The number of areas that a process may have, lowered until dropped.
struct MaxMapCount(String);

impl MaxMapCount {
    const FILE: &str = "/proc/sys/vm/max_map_count";

    fn lower(to: usize) -> Result<MaxMapCount, Stop> {
        let skip = |error| Stop::skip(format!("{}: {error}", MaxMapCount::FILE));
        let before = fs::read_to_string(MaxMapCount::FILE).map_err(skip)?;
        fs::write(MaxMapCount::FILE, to.to_string()).map_err(skip)?;
        Ok(MaxMapCount(before))
    }
}

impl Drop for MaxMapCount {
    fn drop(&mut self) {
        fs::write(MaxMapCount::FILE, &self.0).expect("it was written before");
    }
}

fn too_many_are_refused_and_leave_nothing() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 5)?;
    let before = areas()?;
    let count = 1000;
    let few = MaxMapCount::lower(count)?;
    let result = arena.space.striped_window(0, 2 * count * PAGE, PAGE);
    fails(result, libc::ENOMEM, "more stripes than areas")?;
    ensure_eq!(areas()?, before, "areas after the failure");
    let fits = arena.space.striped_window(0, count / 2 * PAGE, PAGE)?;
    ensure_eq!(areas_of(&fits)?.len(), count / 2, "areas that fit");
    drop(few);
    let more = arena.space.striped_window(0, 2 * count * PAGE, PAGE)?;
    ensure_eq!(
        areas_of(&more)?.len(),
        2 * count,
        "areas, with as many allowed"
    );
    Arena::holds(&arena.window, 0, 2, 5, "first window")
}

fn take_the_place_that_was_asked_for() -> Outcome {
    const ALIGNMENT: usize = 1 << 30;
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 1)?;
    let options = WindowOptions::new().align(ALIGNMENT).stripe(PAGE);
    let window = options.open(&arena.space, BASE, 4 * PAGE)?;
    let place = window.ptr().addr();
    ensure!(place % ALIGNMENT == 0, "{place:#x} is not aligned");
    ensure_eq!(areas_of(&window)?, stripes(&window, PAGE), "stripes");

    let at = WindowOptions::new().at(place);
    let over = at.open(&arena.space, BASE, 4 * PAGE);
    fails(over, libc::EEXIST, "a window over a window")?;
    reads(window.load(3 * PAGE), 4, "the one that was there")?;
    drop(window);
    let window = at.open(&arena.space, BASE + PAGE_SIZE, 3 * PAGE)?;
    ensure_eq!(window.ptr().addr(), place, "address");
    reads(window.load(2 * PAGE), 4, "the one that took its place")
}
