// SPDX-License-Identifier: GPL-2.0-only
//! The page fault test: all threads touch one region, each its part, and nobody changes
//! anything meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Kind, USUAL};
use crate::PAGE_SIZE;
use crate::bench::MIB;
use crate::bench::memory::{Arena, Show};
use crate::bench::slot::Slot;
use crate::bench::steps::{Steps, Walker};
use crate::bench::target::Subject;
use crate::bench::team::{Go, Worked};
use crate::bench::turn::{Outcome, Sizes, Turn};

/// Passes for which there is room before a thread has to allocate.
const ROOM: usize = 4096;

pub(super) static KINDS: [Kind; 2] = [
    Kind {
        name: "pft",
        about: |sizes| {
            format!(
                "{}; a space: in one window, all of whose faults share a line of the core's",
                pass(sizes)
            )
        },
        run: |turn| pft(turn, Show::Whole),
        ..USUAL
    },
    Kind {
        name: "pft_striped",
        about: |sizes| {
            format!(
                "{}; in a window that has a stripe for each thread",
                pass(sizes)
            )
        },
        unfit: |on, threads| match on {
            Subject::Space(_) if threads > 1 => None,
            Subject::Space(_) => Some("one stripe is a whole window: see pft"),
            _ => Some("only windows of spaces have stripes: see pft"),
        },
        run: |turn| {
            // Stripes of whole pages that cover it.
            let part = turn.sizes.buffer.div_ceil(turn.threads as u64);
            pft(
                turn,
                Show::Striped(part.next_multiple_of(PAGE_SIZE) as usize),
            )
        },
        ..USUAL
    },
];

fn pass(sizes: &Sizes) -> String {
    format!(
        "{} MiB are mapped, the threads store a byte to each page, each in its part, and they \
         are unmapped; only the stores are timed",
        sizes.buffer / MIB
    )
}

/// When a thread touched its part, in this and that pass, and how many pages.
#[derive(Debug, Default)]
struct Passes {
    times: Vec<(Duration, Duration)>,
    pages: u64,
}

fn pft(turn: &Turn<'_>, show: Show) -> io::Result<Outcome> {
    let length = turn.sizes.buffer;
    let arena = turn.on.arena(turn.dir, length, length / PAGE_SIZE, show)?;
    let crowd = Crowd {
        turn,
        arena: &arena,
        slot: Slot::new(length),
        is_last: AtomicBool::new(false),
        epoch: Instant::now(),
    };
    let steps = Steps::new(turn.threads);
    let prepare = |_| {
        // Touched now, and not when measuring.
        let mut times = vec![(Duration::MAX, Duration::MAX); ROOM];
        times.clear();
        Ok(Passes { times, pages: 0 })
    };
    let (threads, growth) = turn.crew(0, arena.space(), prepare, |number, passes, go| {
        let walker = steps.walker();
        while crowd.pass(number, &walker, passes, go)? {}
        Ok(std::mem::take(passes))
    })?;
    Ok(Outcome {
        time: time_of(&threads),
        per_thread: threads.iter().map(|thread| thread.done.pages).collect(),
        growth,
        ..Outcome::default()
    })
}

/// The passes' times, each from the first thread's beginning to the last one's end.
fn time_of(threads: &[Worked<Passes>]) -> Duration {
    let times = || threads.iter().map(|thread| &thread.done.times);
    let passes = times().map(Vec::len).min().unwrap_or(0);
    let pass = |number: usize| {
        let began = times().map(|times| times[number].0).min();
        let ended = times().map(|times| times[number].1).max();
        ended.unwrap_or_default() - began.unwrap_or_default()
    };
    (0..passes).map(pass).sum()
}

/// What the threads have in common.
struct Crowd<'a> {
    turn: &'a Turn<'a>,
    arena: &'a Arena,
    /// The region of this pass.
    slot: Slot,
    is_last: AtomicBool,
    epoch: Instant,
}

impl Crowd<'_> {
    /// One pass; false if it was the last. The first thread maps and unmaps.
    fn pass(
        &self,
        number: usize,
        walker: &Walker<'_>,
        passes: &mut Passes,
        go: &Go<'_>,
    ) -> io::Result<bool> {
        let length = self.turn.sizes.buffer;
        if number == 0 {
            self.slot.put(self.arena.map(0, length)?);
        }
        if !walker.meet() {
            return Ok(false);
        }
        if let Some(region) = self.slot.see() {
            let pages = length / PAGE_SIZE;
            let edge = |number: usize| pages * number as u64 / self.turn.threads as u64;
            let (from, to) = (edge(number), edge(number + 1));
            let part = region.part(from * PAGE_SIZE, (to - from) * PAGE_SIZE);
            let began = self.epoch.elapsed();
            let touched = part.touch_while(|| go.on());
            passes.times.push((began, self.epoch.elapsed()));
            passes.pages += touched;
        }
        if number == 0 {
            // Relaxed: the others see it behind the next meeting.
            self.is_last.store(go.is_over(), Ordering::Relaxed);
        }
        if !walker.meet() {
            return Ok(false);
        }
        let is_last = self.is_last.load(Ordering::Relaxed);
        if number == 0
            && let Some(region) = self.slot.take()
        {
            if self.turn.on.keeps_pages() {
                self.arena.empty(&region)?;
            }
            self.arena.unmap(region)?;
        }
        Ok(!is_last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn each_thread_touches_its_part_and_nothing_else_is_timed() {
        // On a busy machine a thread may get no processor in so short a time.
        let each_has_touched = |n| {
            let turn = Turn {
                on: Subject::Anon,
                dir: Path::new("/tmp"),
                threads: 3,
                time: Duration::from_millis(50_u64 << n),
                sizes: Sizes::QUICK,
                seed: 1,
                drag: 0,
            };
            let outcome = pft(&turn, Show::Whole).unwrap();
            assert_eq!(outcome.per_thread.len(), 3);
            assert!(outcome.time > Duration::ZERO);
            outcome.per_thread.iter().all(|&pages| pages > 0)
        };
        assert!((0..8).any(each_has_touched));
    }
}
