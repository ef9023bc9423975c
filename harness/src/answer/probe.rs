// SPDX-License-Identifier: GPL-2.0-only
//! How long fork(2), mprotect(2) and munmap(2) take beside a load. Each has to
//! have the mapping in which the load faults to itself.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::tail::{Tail, fork_and_exit, reap};
use crate::bench::latency::{Latencies, Record};

/// The calls, in the order of [`Calls`].
pub(super) const NAMES: [&str; 3] = ["fork", "mprotect", "munmap"];

/// How long each call took.
pub(super) type Calls = [Latencies; NAMES.len()];

/// Between two rounds of calls.
const PAUSE: Duration = Duration::from_millis(2);
/// Rounds that are recorded.
const MOST: usize = 1 << 16;

/// Calls each in turn until told to stop, and once at least.
pub(super) fn probe(mut tail: Tail, stop: &AtomicBool) -> io::Result<Calls> {
    let mut records = NAMES.map(|_| Record::new(MOST));
    let [forks, protects, unmaps] = &mut records;
    let epoch = Instant::now();
    loop {
        let child = timed(epoch, forks, fork_and_exit)?;
        reap(child)?;
        // Both take a page off the mapping in which the load faults; the first
        // leaves it, no longer part of that, to be unmapped untimed.
        if tail.has(2) {
            timed(epoch, protects, || tail.protect_last())?;
            tail.unmap_last()?;
            tail.plug()?;
            timed(epoch, unmaps, || tail.unmap_last())?;
            tail.plug()?;
        }
        // Relaxed: the results come by joining.
        if stop.load(Ordering::Relaxed) || forks.is_full() {
            return Ok(records.map(|record| record.latencies()));
        }
        thread::sleep(PAUSE);
    }
}

fn timed<R>(
    epoch: Instant,
    record: &mut Record,
    call: impl FnOnce() -> io::Result<R>,
) -> io::Result<R> {
    let began = epoch.elapsed();
    let result = call()?;
    record.note(began, epoch.elapsed());
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::stage::Stage;
    use crate::bench::memory::On;

    #[test]
    fn each_call_is_made_and_the_stage_stays() {
        let stage = Stage::new(On::Linux, None).unwrap();
        let stop = AtomicBool::new(false);
        let calls = thread::scope(|scope| {
            let probe = scope.spawn(|| probe(stage.tail(), &stop));
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
            probe.join().unwrap().unwrap()
        });
        for (name, latencies) in NAMES.iter().zip(&calls) {
            assert!(latencies.len() >= 1, "{name}");
            assert!(latencies.max_us() > 0.0, "{name}");
        }
        stage.piece.touch_part(0, stage.length);
    }
}
