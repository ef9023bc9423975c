// SPDX-License-Identifier: GPL-2.0-only

//! Measuring: pinned threads, a calibrated hold, rounds in which all peers take
//! turns, medians with their quartiles.

use core::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};
use std::{sync::Barrier, thread, time::Instant};

use rustix::thread::{sched_getaffinity, sched_setaffinity, CpuSet};

/// The processors this process may use.
pub(crate) fn cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None).expect("sched_getaffinity of this thread");
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| allowed.is_set(*cpu))
        .collect()
}

/// Keeps the calling thread on `cpu`.
pub(crate) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set)
        .unwrap_or_else(|error| panic!("sched_setaffinity to CPU {cpu}: {error}"));
}

/// Marsaglia's xorshift.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// True in `percent` of all cases.
    #[inline]
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        (self.next() >> 32) % 100 < percent
    }
}

/// How to keep a processor busy for some time, as work: a thread that loses its
/// processor meanwhile, or shares it, does not get away with less.
#[derive(Clone, Copy)]
pub(crate) struct Busy {
    steps_per_microsecond: f64,
}

impl Busy {
    /// Measures what this processor does in a microsecond.
    pub(crate) fn calibrate() -> Self {
        const STEPS: u32 = 50_000;
        let fastest = (0..200)
            .map(|_| {
                let start = Instant::now();
                steps(STEPS);
                start.elapsed()
            })
            .min()
            .expect("more than no run");
        Self {
            steps_per_microsecond: f64::from(STEPS) / (fastest.as_secs_f64() * 1e6),
        }
    }

    /// Steps that take `time`.
    pub(crate) fn steps_for(self, time: Duration) -> u32 {
        (time.as_secs_f64() * 1e6 * self.steps_per_microsecond) as u32
    }
}

/// Does `n` steps, each of which needs the one before.
#[inline]
pub(crate) fn steps(n: u32) {
    let mut x = 1_u64;
    for _ in 0..n {
        x = black_box(x.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
}

/// Median and quartiles of some samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of one sample at least.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: quantile(&sorted, 0.5),
            low: quantile(&sorted, 0.25),
            high: quantile(&sorted, 0.75),
        }
    }

    /// Of what each sample of `these` is in terms of that of `those` from the
    /// same round.
    pub(crate) fn of_ratios(these: &[f64], those: &[f64]) -> Self {
        let ratios: Vec<_> = these.iter().zip(those).map(|(a, b)| a / b).collect();
        Self::of(&ratios)
    }
}

/// The value that a share of `sorted` is not above; there is one value at least.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() - 1) as f64 * share;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

/// Calls `inside` from this many frames further down the stack.
///
/// For a lock whose requests are on the stack, some positions cost some
/// nanoseconds more. A process would measure one position, by chance, in all
/// rounds, unless the stack moves: then the figures have their share of each.
#[inline(never)]
pub(crate) fn deeper<R>(frames: usize, inside: &mut dyn FnMut() -> R) -> R {
    let mut frame = [0_u8; 16];
    black_box(&mut frame);
    let result = match frames {
        0 => inside(),
        _ => deeper(frames - 1, inside),
    };
    // It is used after the call, and so has a place of its own.
    black_box(&mut frame);
    result
}

/// Nanoseconds that `once` takes, from as many calls as fit into `time`.
#[inline]
pub(crate) fn nanoseconds_each(time: Duration, mut once: impl FnMut()) -> f64 {
    const BATCH: u64 = 64;
    let mut calls = 0;
    let start = Instant::now();
    loop {
        for _ in 0..BATCH {
            once();
        }
        calls += BATCH;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return elapsed.as_secs_f64() * 1e9 / calls as f64;
        }
    }
}

/// Lets a thread on each of `cpus` repeat what `job` makes for it (of its
/// number), for `time`: repetitions per second, of all together.
pub(crate) fn per_second<F: FnMut()>(
    cpus: &[usize],
    time: Duration,
    job: impl Fn(usize) -> F + Sync,
) -> f64 {
    let barrier = Barrier::new(cpus.len() + 1);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> = cpus
            .iter()
            .enumerate()
            .map(|(number, cpu)| {
                let (barrier, stop, job) = (&barrier, &stop, &job);
                scope.spawn(move || {
                    pin(*cpu);
                    let mut once = job(number);
                    once();
                    barrier.wait();
                    repeat(stop, &mut once)
                })
            })
            .collect();
        barrier.wait();
        thread::sleep(time);
        stop.store(true, Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread that measures"))
            .sum()
    })
}

/// Repetitions per second until `stop`.
#[inline]
fn repeat(stop: &AtomicBool, once: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut repetitions = 0_u64;
    while !stop.load(Relaxed) {
        once();
        repetitions += 1;
    }
    repetitions as f64 / start.elapsed().as_secs_f64()
}
