// SPDX-License-Identifier: GPL-2.0-only
//! Small changes beside large ones, and how long each small one takes.

use std::hint;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Crew, Kind, USUAL};
use crate::PAGE_SIZE;
use crate::bench::MIB;
use crate::bench::memory::{Arena, Show};
use crate::bench::pace::Pace;
use crate::bench::team::{Go, span};
use crate::bench::turn::{APART, Outcome, Sizes, Turn, histogram, note};

/// Small changes a second of each thread, if they have their times.
const RATE: f64 = 500.0;
/// What is a stall.
const STALL: Duration = Duration::from_millis(5);

const LATENCY: Option<&str> = Some("small change");

pub(super) static KINDS: [Kind; 3] = [
    Kind {
        name: "small_alone",
        about: |_| {
            "a thread maps 4 KiB and unmaps them, untouched, beside one that only spins".to_owned()
        },
        unit: "small changes",
        latency_of: LATENCY,
        crew: Crew::Fixed(1),
        run: |turn| small(turn, Peer::Spin, When::Always),
        ..USUAL
    },
    Kind {
        name: "big_vs_small",
        about: |sizes| {
            format!(
                "a thread maps 4 KiB and unmaps them, untouched, one after the other, beside one \
                 that {}",
                big(sizes)
            )
        },
        unit: "small changes",
        latency_of: LATENCY,
        interference: true,
        crew: Crew::Fixed(1),
        weight: 2,
        run: |turn| small(turn, Peer::Big, When::Always),
        ..USUAL
    },
    Kind {
        name: "big_vs_small_paced",
        about: |sizes| {
            format!(
                "the same at fixed times, {RATE} a second: a latency counts from when its change \
                 was due, so one that is held up makes the next ones late; beside one that {}",
                big(sizes)
            )
        },
        unit: "small changes",
        latency_of: LATENCY,
        interference: true,
        crew: Crew::Fixed(1),
        weight: 2,
        run: |turn| small(turn, Peer::Big, When::Due),
        ..USUAL
    },
];

fn big(sizes: &Sizes) -> String {
    let size = sizes.big / MIB;
    format!("maps {size} MiB, populates and unmaps them, once at least")
}

/// What the other thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Spin,
    Big,
}

/// When a small change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// When the one before has ended.
    Always,
    /// At its time.
    Due,
}

/// What a measured thread knows at the end, or that it was the other one.
enum Done {
    Small(Box<Histogram<u64>>, Duration),
    Big(u64),
}

fn small(turn: &Turn<'_>, peer: Peer, when: When) -> io::Result<Outcome> {
    let threads = turn.threads as u64;
    let big = match peer {
        Peer::Big => turn.sizes.big,
        Peer::Spin => 0,
    };
    let pages = big / PAGE_SIZE + threads;
    let length = threads * APART + big.max(PAGE_SIZE);
    let arena = turn.on.arena(turn.dir, length, pages, Show::Whole)?;
    let changes = Changes {
        arena: &arena,
        big,
        has_come_round: AtomicBool::new(peer == Peer::Spin),
        when,
    };
    let prepare = |_| Ok(Box::new(histogram()));
    let (mut ends, growth) = turn.crew(1, arena.space(), prepare, |number, latencies, go| {
        if number < turn.threads {
            let stalled = changes.small(number as u64 * APART, latencies, go)?;
            return Ok(Done::Small(latencies.clone(), stalled));
        }
        changes.others(threads * APART, go).map(Done::Big)
    })?;
    let loops = ends.pop().map(|end| end.done);
    let mut outcome = Outcome {
        time: span(&ends),
        growth,
        ..Outcome::default()
    };
    let seconds = outcome.time.as_secs_f64();
    let mut stalls = Duration::ZERO;
    let each = ends.into_iter().filter_map(|end| match end.done {
        Done::Small(latencies, stalled) => {
            stalls += stalled;
            Some(*latencies)
        }
        Done::Big(_) => None,
    });
    outcome.take_latencies(each);
    let per_second = stalls.as_secs_f64() * 1e3 / threads as f64 / seconds;
    let extra = &mut outcome.extra;
    extra.insert("stalled over 5 ms, ms/s".to_owned(), per_second);
    if let (Peer::Big, Some(Done::Big(loops))) = (peer, loops) {
        extra.insert("large changes/s".to_owned(), loops as f64 / seconds);
    }
    Ok(outcome)
}

/// What the threads have in common.
struct Changes<'a> {
    arena: &'a Arena,
    /// The size of the large ones, or 0 if there are none.
    big: u64,
    /// Stored to once, when a large one has been mapped, populated and unmapped.
    has_come_round: AtomicBool,
    when: When,
}

impl Changes<'_> {
    /// Makes small changes until the time is over and a large one has come round; the
    /// time that was lost in stalls.
    fn small(&self, at: u64, latencies: &mut Histogram<u64>, go: &Go<'_>) -> io::Result<Duration> {
        // Relaxed: nothing hangs on it.
        let not_yet = || !self.has_come_round.load(Ordering::Relaxed);
        let pace = Pace::new(RATE);
        let (mut number, mut stalled) = (0, Duration::ZERO);
        while !go.is_over_unless(not_yet) {
            let began = Instant::now();
            let from = match self.when {
                When::Always => began,
                When::Due => pace.began() + pace.due(number),
            };
            if began < from {
                hint::spin_loop();
                continue;
            }
            go.hold_up();
            let piece = self.arena.map(at, PAGE_SIZE)?;
            self.arena.unmap(piece)?;
            let ended = Instant::now();
            note(latencies, ended - from);
            // By the change itself: those that only wait for it lose nothing more.
            stalled += (ended - began).saturating_sub(STALL);
            number += 1;
        }
        Ok(stalled)
    }

    /// Makes large changes, or spins; how many there were.
    fn others(&self, at: u64, go: &Go<'_>) -> io::Result<u64> {
        let mut loops = 0;
        while self.big == 0 && !go.is_over() {
            hint::spin_loop();
        }
        while self.big > 0 && (loops == 0 || !go.is_over()) {
            let piece = self.arena.map(at, self.big)?;
            self.arena.populate(&piece)?;
            self.arena.unmap(piece)?;
            loops += 1;
            if loops == 1 {
                self.has_come_round.store(true, Ordering::Relaxed);
            }
        }
        Ok(loops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::target::Subject;
    use std::path::Path;

    fn turn(time: Duration) -> Turn<'static> {
        Turn {
            on: Subject::Anon,
            dir: Path::new("/tmp"),
            threads: 1,
            time,
            sizes: Sizes::QUICK,
            seed: 1,
            drag: 0,
        }
    }

    #[test]
    fn a_turn_lasts_until_a_large_change_has_come_round() {
        let outcome = small(&turn(Duration::ZERO), Peer::Big, When::Always).unwrap();
        assert!(outcome.extra["large changes/s"] > 0.0, "{outcome:?}");
        assert!(outcome.per_thread[0] > 0);
    }

    #[test]
    fn changes_have_their_times() {
        let outcome = small(&turn(Duration::from_millis(200)), Peer::Spin, When::Due).unwrap();
        let (count, seconds) = (outcome.per_thread[0] as f64, outcome.time.as_secs_f64());
        assert!(count > 0.0 && count <= RATE * seconds + 1.0, "{outcome:?}");
    }
}
