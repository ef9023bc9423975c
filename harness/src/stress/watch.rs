// SPDX-License-Identifier: GPL-2.0-only
//! Ends a run in time, and a hang in any case.

use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::thread;
use std::time::{Duration, Instant};

use super::Counter;
use super::process::Child;
use super::world::World;
use crate::EXIT_FAIL;

const TICK: Duration = Duration::from_millis(50);
const PROGRESS: Duration = Duration::from_secs(2);

/// Waits for all threads to end, telling them to when the time is up. Returns
/// how long they ran.
pub(super) fn watch(world: &World, children: &mut [Child]) -> Duration {
    let limit = world.options.limit_seconds().map(Duration::from_secs);
    let mut pulse = Pulse::new(world);
    let mut started = None;
    let mut ended = None;
    let mut next_line = Instant::now() + PROGRESS;
    let terminal = stderr().is_terminal() && !world.options.json;
    loop {
        thread::sleep(TICK);
        let now = Instant::now();
        if started.is_none() && world.counters.all(Counter::Ready) {
            started = Some(now);
        }
        let ran = started.map_or(Duration::ZERO, |started| now - started);
        let children_ended = poll(world, children);
        if limit.is_some_and(|limit| ran >= limit) {
            world.mismatches.stop();
        }
        let over = world.counters.all(Counter::Finished);
        if ended.is_none() && (over || world.mismatches.stopping()) {
            ended = Some(ran);
        }
        // A child that died leaves its threads unfinished for ever.
        if children_ended && (over || finished_here(world)) {
            return ended.unwrap_or(ran);
        }
        if terminal && now >= next_line {
            let operations = world.counters.sum(Counter::Operations);
            eprintln!("  {:>3} s: {operations} operations", ran.as_secs());
            next_line = now + PROGRESS;
        }
        let hung = pulse.hung(world, now);
        if !hung.is_empty() {
            die(world, children, &hung);
        }
    }
}

/// Looks after the children; true once all have ended.
fn poll(world: &World, children: &mut [Child]) -> bool {
    let mut all = true;
    for child in children {
        match child.poll() {
            None => all = false,
            Some(Ok(())) => {}
            Some(Err(_)) if world.mismatches.count() > 0 => {}
            Some(Err(reason)) => world.mismatches.add(&reason),
        }
    }
    all
}

/// True if the threads of this process have all ended.
fn finished_here(world: &World) -> bool {
    super::run::threads_of(world, 0)
        .all(|thread| world.counters.get(thread, Counter::Finished) != 0)
}

/// When each thread last made progress.
struct Pulse {
    seen: Vec<(u64, Instant)>,
}

impl Pulse {
    fn new(world: &World) -> Pulse {
        let now = Instant::now();
        Pulse {
            seen: vec![(0, now); world.options.total_threads() as usize],
        }
    }

    /// The threads that have made no progress for too long.
    fn hung(&mut self, world: &World, now: Instant) -> Vec<usize> {
        let limit = Duration::from_secs(world.options.hang_seconds);
        let mut hung = Vec::new();
        for (thread, (count, since)) in self.seen.iter_mut().enumerate() {
            let current = world.counters.get(thread, Counter::Operations);
            let finished = world.counters.get(thread, Counter::Finished) != 0;
            if current != *count || finished {
                (*count, *since) = (current, now);
            } else if now - *since >= limit {
                hung.push(thread);
            }
        }
        hung
    }
}

/// Reports a hang and ends everything. The threads may be stuck in the kernel,
/// so nothing waits for them.
#[cold]
fn die(world: &World, children: &[Child], hung: &[usize]) -> ! {
    let mut text = format!(
        "HANG: no progress for {} s, seed {}\n",
        world.options.hang_seconds, world.seed
    );
    for &thread in hung {
        let last = world.trail.of_thread(thread, 3);
        let _ = write!(
            text,
            "  {}, last operations:\n{last}",
            world.name_of(thread)
        );
    }
    for mismatch in world.mismatches.texts() {
        let _ = writeln!(text, "MISMATCH: {mismatch}");
    }
    eprint!("{text}");
    if world.options.json {
        println!(
            "{}",
            serde_json::json!({ "verdict": "hang", "seed": world.seed, "text": text })
        );
    } else {
        println!("FAIL: hang, seed {}", world.seed);
    }
    children.iter().for_each(Child::kill);
    std::process::exit(i32::from(EXIT_FAIL));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stress::Options;
    use crate::target::Operations;

    #[test]
    fn only_a_thread_without_progress_hangs() {
        let options = Options {
            pages: 16,
            ..Options::default()
        };
        let world = World::new(&options, 1, Operations::NONE).expect("memory");
        let mut pulse = Pulse::new(&world);
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(pulse.hung(&world, later(19)).is_empty());
        world.counters.count(0, Counter::Operations);
        world.counters.count(1, Counter::Finished);
        assert_eq!(pulse.hung(&world, later(21)), [2, 3]);
        assert_eq!(pulse.hung(&world, later(42)), [0, 2, 3]);
    }
}
