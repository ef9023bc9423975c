// SPDX-License-Identifier: GPL-2.0-only

//! Fairness: one that waits in a stream of others that conflict with it.
//!
//! The others hold their ranges asleep, so that what is seen is the lock's
//! order and not the scheduler's. An overtaking is counted when somebody began
//! to ask after the waiter had its place in the line, or had asked if there is
//! no line, and got in before it.

use core::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::*},
    time::Duration,
};
use std::{thread, time::Instant};

use faultline_portable::{interval::Interval, range_lock::Mode};
use serde_json::json;

use super::{
    measure::{pin, quantile, Random},
    peers::{AnyPeer, Peer, Work, OURS},
    report::{print_table, Effort, Report},
};

/// Threads in the stream.
const STREAM: usize = 4;
/// How long each of them holds its range, at least.
const HOLD: Duration = Duration::from_micros(100);
/// How long the waiter stays away between two requests, at least.
const PAUSE: Duration = Duration::from_micros(300);
/// What the waiter wants; the others want some of it, about the middle.
const PAGES: u64 = 64;

/// A request of the stream: when it began, and when it got in.
struct Passed {
    began: u64,
    entered: u64,
}

/// A request of the waiter.
struct Wait {
    arrived: u64,
    entered: u64,
    microseconds: f64,
    /// It had been there for half the time, and got in when the stream ended.
    starved: bool,
}

/// What became of the waiter.
#[derive(Default)]
struct Waits {
    microseconds: Vec<f64>,
    overtakings: u64,
    /// Most in one wait.
    most: u64,
    starved: u64,
}

impl Waits {
    fn add(&mut self, waits: &[Wait], passed: &[Passed]) {
        for wait in waits {
            let overtook = |p: &&Passed| p.began > wait.arrived && p.entered < wait.entered;
            let overtakings = passed.iter().filter(overtook).count() as u64;
            self.overtakings += overtakings;
            self.most = self.most.max(overtakings);
            self.starved += u64::from(wait.starved);
            self.microseconds.push(wait.microseconds);
        }
    }
}

/// A waiter in a stream.
struct Stream<'a> {
    cpus: &'a [usize],
    waiter: Mode,
    time: Duration,
}

impl Stream<'_> {
    fn others(&self) -> Mode {
        match self.waiter {
            Mode::Read => Mode::Write,
            Mode::Write => Mode::Read,
        }
    }

    fn flow<P: Peer>(
        &self,
        peer: &P,
        n: usize,
        clock: &AtomicU64,
        stop: &AtomicBool,
    ) -> Vec<Passed> {
        pin(self.cpus[n % self.cpus.len()]);
        let mut random = Random::new(n as u64 + 1);
        let mut passed = Vec::new();
        while !stop.load(Relaxed) {
            let (before, behind) = (random.next() % 28, random.next() % 28);
            let range = Interval::new(before, PAGES - behind).expect("not empty");
            let began = clock.fetch_add(1, SeqCst);
            let entered = peer.with(self.others(), range, || {
                let entered = clock.fetch_add(1, SeqCst);
                thread::sleep(HOLD);
                entered
            });
            passed.push(Passed { began, entered });
        }
        passed
    }

    fn wait<P: Peer>(&self, peer: &P, clock: &AtomicU64, stop: &AtomicBool) -> Vec<Wait> {
        pin(self.cpus[0]);
        let all = Interval::new(0, PAGES).expect("not empty");
        let mut waits = Vec::new();
        while !stop.load(Relaxed) {
            thread::sleep(PAUSE);
            let mut arrived = 0;
            let start = Instant::now();
            let arrive = || arrived = clock.fetch_add(1, SeqCst);
            let (entered, microseconds, starved) =
                peer.with_arrival(self.waiter, all, arrive, || {
                    let entered = clock.fetch_add(1, SeqCst);
                    let wait = start.elapsed();
                    let starved = stop.load(Relaxed) && wait > self.time / 2;
                    (entered, wait.as_secs_f64() * 1e6, starved)
                });
            waits.push(Wait {
                arrived,
                entered,
                microseconds,
                starved,
            });
        }
        waits
    }
}

impl Work for Stream<'_> {
    type Output = (Vec<Wait>, Vec<Passed>);

    fn run<P: Peer>(&self, peer: &P) -> Self::Output {
        let (clock, stop) = (&AtomicU64::new(0), &AtomicBool::new(false));
        thread::scope(|scope| {
            let others: Vec<_> = (0..STREAM)
                .map(|n| scope.spawn(move || self.flow(peer, n, clock, stop)))
                .collect();
            let waiter = scope.spawn(move || self.wait(peer, clock, stop));
            thread::sleep(self.time);
            stop.store(true, Relaxed);
            let passed = others
                .into_iter()
                .flat_map(|thread| thread.join().expect("a thread of the stream"))
                .collect();
            (waiter.join().expect("the waiter"), passed)
        })
    }
}

/// Measures, prints and records it.
pub(crate) fn run(effort: Effort, cpus: &[usize], report: &mut Report) {
    let peers = AnyPeer::all();
    for (title, waiter) in [
        ("A writer in a stream of readers", Mode::Write),
        ("A reader in a stream of writers", Mode::Read),
    ] {
        let mut results: Vec<Waits> = peers.iter().map(|_| Waits::default()).collect();
        for _ in 0..effort.rounds(3) {
            for (peer, result) in peers.iter().zip(&mut results) {
                let (waits, passed) = peer.run(&Stream {
                    cpus,
                    waiter,
                    time: Duration::from_millis(300),
                });
                result.add(&waits, &passed);
            }
        }
        let mut rows = Vec::new();
        for (peer, waits) in peers.iter().zip(&mut results) {
            waits.microseconds.sort_by(f64::total_cmp);
            let [p50, p90, p99, max] =
                [0.5, 0.9, 0.99, 1.0].map(|share| quantile(&waits.microseconds, share));
            let mut name = peer.name().to_owned();
            if !peer.abilities().readers_share {
                name += " (exclusive)";
            }
            let count = waits.microseconds.len();
            report.record_value(json!({
                "section": "streams", "waiter": format!("{waiter:?}"), "peer": peer.name(),
                "unit": "us", "waits": count, "p50": p50, "p90": p90, "p99": p99, "max": max,
                "overtakings": waits.overtakings, "most_in_one_wait": waits.most,
                "ended_with_the_stream": waits.starved,
            }));
            let micros = [p50, p90, p99, max].map(|us| format!("{us:.0}"));
            let counts = [count as u64, waits.overtakings, waits.most, waits.starved];
            let cells = micros.into_iter().chain(counts.map(|n| n.to_string()));
            rows.push((name, cells.collect()));
            if peer.name() == OURS {
                report.goal(
                    &format!("{title}: nobody who came later gets in before"),
                    &format!("{} of {count} waits overtaken", waits.overtakings),
                    waits.overtakings == 0,
                );
            }
        }
        let columns = [
            "p50 us",
            "p90 us",
            "p99 us",
            "max us",
            "waits",
            "overtakings",
            "most",
            "starved",
        ];
        print_table(
            &format!("{title} (each of {STREAM} holds at least {HOLD:?})"),
            &columns.map(str::to_owned),
            rows,
        );
    }
    println!("most: overtakings in one wait; starved: waits of half the time and more that ended with the stream");
}
