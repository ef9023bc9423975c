// SPDX-License-Identifier: GPL-2.0-only
//! Rounds in which all cases take turns, and what came out of them.

use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// Operations per second of one round, over all threads: each thread, pinned to
/// a processor of its own as far as there are any, repeats `step` until `time`
/// is over.
pub(super) fn rate(
    threads: usize,
    time: Duration,
    step: impl Fn(usize) -> io::Result<()> + Sync,
) -> io::Result<f64> {
    let stop = AtomicBool::new(false);
    let start = Barrier::new(threads + 1);
    let (step, stop, start) = (&step, &stop, &start);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || repeat(number, step, stop, start)))
            .collect();
        start.wait();
        let began = Instant::now();
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let elapsed = began.elapsed();
        let mut sum = 0;
        for worker in workers {
            sum += worker
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("panic")))?;
        }
        Ok(sum as f64 / elapsed.as_secs_f64())
    })
}

fn repeat(
    number: usize,
    step: &impl Fn(usize) -> io::Result<()>,
    stop: &AtomicBool,
    start: &Barrier,
) -> io::Result<u64> {
    let pinned = sys::pin_to_nth_cpu(number);
    // Warms up what the first call has to set up.
    let mut outcome = pinned.and_then(|()| step(number));
    start.wait();
    let mut count = 0;
    while outcome.is_ok() && !stop.load(Ordering::Relaxed) {
        outcome = step(number);
        count += 1;
    }
    outcome.map(|()| count)
}

/// The results of all rounds of one case.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(Vec<f64>);

impl Rounds {
    pub(super) fn push(&mut self, result: f64) {
        self.0.push(result);
        self.0.sort_by(f64::total_cmp);
    }

    /// The value below which so many quarters of the results are.
    fn quartile(&self, quarters: usize) -> f64 {
        match self.0.len() {
            0 => f64::NAN,
            len => self.0[(len - 1) * quarters / 4],
        }
    }

    pub(super) fn median(&self) -> f64 {
        self.quartile(2)
    }

    /// From the first to the third quartile.
    pub(super) fn spread(&self) -> (f64, f64) {
        (self.quartile(1), self.quartile(3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_quartiles_are_of_the_sorted_results() {
        let mut rounds = Rounds::default();
        for result in [5.0, 1.0, 4.0, 2.0, 3.0] {
            rounds.push(result);
        }
        assert_eq!(rounds.median(), 3.0);
        assert_eq!(rounds.spread(), (2.0, 4.0));
        assert!(Rounds::default().median().is_nan());
    }

    #[test]
    fn a_failing_step_fails_the_round() {
        let failed = rate(2, Duration::from_millis(1), |number| match number {
            0 => Ok(()),
            _ => Err(io::ErrorKind::OutOfMemory.into()),
        });
        assert!(failed.is_err());
    }
}
