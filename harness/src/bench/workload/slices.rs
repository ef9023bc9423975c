// SPDX-License-Identifier: GPL-2.0-only
//! RadixVM's mapbench: pages of one thread, pages that go from one to the next, and pages
//! that all touch.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Kind, USUAL};
use crate::PAGE_SIZE;
use crate::bench::KIB;
use crate::bench::goals::churn::change_once;
use crate::bench::memory::{Arena, Piece};
use crate::bench::slot::Slot;
use crate::bench::steps::Steps;
use crate::bench::target::Subject;
use crate::bench::team::Go;
use crate::bench::turn::{APART, Outcome, Turn};
use crate::rng::Rng;

/// What a thread maps when all touch it, in bytes.
const SLICE: u64 = 64 * KIB;
/// Places that a thread uses in turn: the page that it handed on last may still be
/// mapped, and the one before that.
const PLACES: u64 = 4;
/// From one place to the next, in bytes: a leaf each.
const STRIDE: u64 = 2 << 20;

pub(super) static KINDS: [Kind; 3] = [
    Kind {
        name: "mapbench_local",
        about: |_| "each thread maps a page, stores to it and unmaps it".to_owned(),
        unit: "page stores",
        run: local,
        ..USUAL
    },
    Kind {
        name: "mapbench_pipeline",
        about: |_| {
            "each thread maps a page, stores to it and hands it to the next thread, which stores \
             to it and unmaps it"
                .to_owned()
        },
        unit: "page stores",
        unfit: alone,
        run: pipeline,
        ..USUAL
    },
    Kind {
        name: "mapbench_global",
        about: |_| {
            "each thread maps 64 KiB; when all have, each stores to all pages of all in random \
             order; when all have, each unmaps its own"
                .to_owned()
        },
        unit: "page stores",
        unfit: alone,
        run: global,
        ..USUAL
    },
];

fn alone(_: Subject, threads: u32) -> Option<&'static str> {
    (threads == 1).then_some("one thread shares nothing: see mapbench_local")
}

fn local(turn: &Turn<'_>) -> io::Result<Outcome> {
    let arena = turn.arena(PAGE_SIZE)?;
    let work = |number, (): &mut (), go: &Go<'_>| {
        let mut count = 0;
        while go.on() {
            change_once(&arena, number as u64 * APART, PAGE_SIZE)?;
            count += 1;
        }
        Ok(count)
    };
    turn.count(arena.space(), |_| Ok(()), work)
}

fn pipeline(turn: &Turn<'_>) -> io::Result<Outcome> {
    let arena = turn.arena(PLACES * PAGE_SIZE)?;
    let slots: Vec<Slot> = (0..turn.threads).map(|_| Slot::new(PAGE_SIZE)).collect();
    let work = |number: usize, (): &mut (), go: &Go<'_>| {
        let next = &slots[(number + 1) % slots.len()];
        let mut count = 0;
        for place in (0..PLACES).cycle() {
            if !go.on() {
                break;
            }
            let piece = arena.map(number as u64 * APART + place * STRIDE, PAGE_SIZE)?;
            piece.touch();
            count += 1;
            if !wait_until(go, || next.is_empty()) {
                arena.unmap(piece)?;
                break;
            }
            next.put(piece);
            if !wait_until(go, || !slots[number].is_empty()) {
                break;
            }
            if let Some(piece) = slots[number].take() {
                piece.touch();
                count += 1;
                arena.unmap(piece)?;
            }
        }
        Ok(count)
    };
    let outcome = turn.count(arena.space(), |_| Ok(()), work)?;
    slots
        .iter()
        .filter_map(Slot::take)
        .try_for_each(|piece| arena.unmap(piece))?;
    Ok(outcome)
}

/// False if the time is over before that.
fn wait_until(go: &Go<'_>, is_so: impl Fn() -> bool) -> bool {
    /// Looks before the processor is left to others, of whom there may be more.
    const SPINS: u32 = 1000;
    for look in 0_u32.. {
        if is_so() {
            return true;
        }
        if go.is_over() {
            return false;
        }
        match look % SPINS {
            0 if look > 0 => thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
    true
}

fn global(turn: &Turn<'_>) -> io::Result<Outcome> {
    let threads = turn.threads as u64;
    let arena = turn.arena(SLICE)?;
    let slots: Vec<Slot> = (0..threads).map(|_| Slot::new(SLICE)).collect();
    let steps = Steps::new(turn.threads);
    let is_last = AtomicBool::new(false);
    let prepare = |number| Ok(order(threads * SLICE / PAGE_SIZE, turn.seed, number));
    turn.count(arena.space(), prepare, |number: usize, order, go| {
        let walker = steps.walker();
        let mut count = 0;
        loop {
            slots[number].put(arena.map(number as u64 * SLICE, SLICE)?);
            if !walker.meet() {
                break;
            }
            count += touch_all(&slots, order, go);
            if number == 0 {
                // Relaxed: the others see it behind the next meeting.
                is_last.store(go.is_over(), Ordering::Relaxed);
            }
            let is_over = !walker.meet() || is_last.load(Ordering::Relaxed);
            unmap_one(&arena, slots[number].take())?;
            if is_over {
                break;
            }
        }
        Ok(count)
    })
}

/// Stores to the pages in this order; how many, until the time is over.
fn touch_all(slots: &[Slot], order: &[u64], go: &Go<'_>) -> u64 {
    const PAGES: u64 = SLICE / PAGE_SIZE;
    let mut count = 0;
    for page in order {
        if !go.on() {
            break;
        }
        if let Some(slice) = slots[(page / PAGES) as usize].see() {
            slice.touch_part(page % PAGES * PAGE_SIZE, PAGE_SIZE);
            count += 1;
        }
    }
    count
}

fn unmap_one(arena: &Arena, slice: Option<Piece>) -> io::Result<()> {
    slice.map_or(Ok(()), |slice| arena.unmap(slice))
}

/// The numbers below `count` in a random order of this thread's own.
fn order(count: u64, seed: u64, thread: usize) -> Vec<u64> {
    let mut rng = Rng::new(seed, thread as u64);
    let mut order: Vec<u64> = (0..count).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, rng.below(last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_has_each_page_once() {
        let mut first = order(64, 7, 0);
        assert_ne!(first, order(64, 7, 1), "threads differ");
        assert_eq!(first, order(64, 7, 0), "seeds repeat");
        first.sort_unstable();
        assert!(first.into_iter().eq(0..64));
    }
}
