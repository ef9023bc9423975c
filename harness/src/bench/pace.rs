// SPDX-License-Identifier: GPL-2.0-only
//! Work at a fixed rate, whose times are known beforehand.

use std::cell::Cell;
use std::hint;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A schedule: each operation has its time, whatever became of those before.
/// One that is late is not left out, and does not put off the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    began: Instant,
    period: Duration,
}

impl Pace {
    /// So many operations a second from now on.
    pub(crate) fn new(rate: f64) -> Pace {
        Pace {
            began: Instant::now(),
            period: Duration::from_secs_f64(1.0 / rate),
        }
    }

    /// When it began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// When the operation of this number is due, from the beginning.
    pub(crate) fn due(&self, number: u64) -> Duration {
        Duration::from_nanos(self.period.as_nanos() as u64 * number)
    }

    /// How late those are that were due by `end`, measured from the beginning, from the one
    /// of this number on, which nobody came to do: a lower bound of what they would have
    /// taken. Without them a stall at the end of a turn would look short, as those that
    /// waited for it would not count.
    pub(crate) fn overdue(&self, first: u64, end: Duration) -> impl Iterator<Item = Duration> {
        let pace = *self;
        (first..).map_while(move |number| end.checked_sub(pace.due(number)))
    }

    /// Spins until the operation of this number is due; false if told to stop.
    /// (To sleep would add what the timer is late.)
    pub(crate) fn wait(&self, number: u64, stop: &AtomicBool) -> bool {
        let due = self.due(number);
        // Relaxed: it is the only thing that is shared.
        while !stop.load(Ordering::Relaxed) {
            if self.began.elapsed() >= due {
                return true;
            }
            hint::spin_loop();
        }
        false
    }
}

/// The rate that all who are compared can keep up, measured once.
#[derive(Debug, Default)]
pub(crate) struct CommonRate(Cell<Option<f64>>);

impl CommonRate {
    /// `wanted`, or this part of what the slowest of them reaches without a
    /// pause, which `measure` finds out for each.
    pub(crate) fn get(
        &self,
        wanted: f64,
        part: f64,
        measure: impl FnOnce() -> io::Result<Vec<f64>>,
    ) -> io::Result<f64> {
        if let Some(rate) = self.0.get() {
            return Ok(rate);
        }
        let reached = measure()?;
        let rate = reached
            .iter()
            .map(|rate| rate * part)
            .fold(wanted, f64::min);
        self.0.set(Some(rate));
        Ok(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_time_however_late_the_others_are() {
        let pace = Pace::new(1000.0);
        assert_eq!(pace.due(0), Duration::ZERO);
        assert_eq!(pace.due(2500), Duration::from_millis(2500));
        let stop = AtomicBool::new(false);
        assert!(pace.wait(3, &stop));
        assert!(pace.began().elapsed() >= Duration::from_millis(3));
        assert!(pace.wait(0, &stop), "the past is due at once");
        stop.store(true, Ordering::Relaxed);
        assert!(!pace.wait(u64::from(u32::MAX), &stop));
    }

    /// A turn of 300 ms at 500 a second, in which the change that was due after 220 ms
    /// takes 100.
    #[test]
    fn a_stall_at_the_end_counts_for_all_that_it_held_up() {
        let pace = Pace::new(500.0);
        let ms = Duration::from_millis;
        let end = ms(220 + 100);
        let mut latencies = vec![Duration::ZERO; 110];
        latencies.push(end - pace.due(110));
        latencies.extend(pace.overdue(111, end));
        latencies.sort();
        assert_eq!(latencies.len(), 161);
        let percentile = |percent: usize| latencies[(percent * 161).div_ceil(100) - 1];
        assert_eq!((percentile(90), percentile(99)), (ms(68), ms(98)));
        assert_eq!(pace.overdue(161, end).count(), 0, "not due yet");
    }

    #[test]
    fn the_slowest_sets_the_rate_unless_all_are_fast_enough() {
        let rate = |reached: &[f64]| {
            let common = CommonRate::default();
            common.get(20_000.0, 0.5, || Ok(reached.to_vec())).unwrap()
        };
        assert_eq!(rate(&[50_000.0, 100_000.0]), 20_000.0);
        assert_eq!(rate(&[50_000.0, 3_000.0]), 1_500.0);
    }

    #[test]
    fn the_rate_is_measured_once() {
        let common = CommonRate::default();
        common.get(5.0, 1.0, || Ok(vec![9.0])).unwrap();
        let again = common.get(5.0, 1.0, || panic!("measured again"));
        assert_eq!(again.unwrap(), 5.0);
    }
}
