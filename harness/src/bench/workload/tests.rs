// SPDX-License-Identifier: GPL-2.0-only

use std::time::Duration;

use super::*;
use crate::bench::memory::forbid_huge_pages;

fn turn(on: Subject, threads: u32) -> Turn<'static> {
    Turn {
        on,
        dir: std::path::Path::new("/tmp"),
        threads: threads as usize,
        time: Duration::from_millis(30),
        sizes: Sizes::QUICK,
        seed: 1,
        drag: 0,
    }
}

/// Whatever runs without the module, with one thread and with several.
#[test]
fn every_workload_runs_on_the_kernels_memory() {
    forbid_huge_pages().unwrap();
    for kind in Kind::all() {
        for on in Subject::all().filter(|on| !on.is_space()) {
            for threads in [1, 3] {
                if (kind.unfit)(on, threads).is_some() {
                    continue;
                }
                let name = format!("{} on {} with {threads} threads", kind.name, on.name());
                let run = |time| {
                    let outcome = (kind.run)(&Turn {
                        time,
                        ..turn(on, threads)
                    });
                    outcome.unwrap_or_else(|error| panic!("{name}: {error}"))
                };
                // One that gets no processor for so short a time has done nothing: a
                // longer one, then.
                let times = [30, 300, 3000, 30_000].map(Duration::from_millis);
                let mut outcomes = times.into_iter().map(run);
                let is_idle = |outcome: &Outcome| outcome.per_thread.iter().all(|&n| n == 0);
                let outcome = outcomes.find(|outcome| !is_idle(outcome));
                let outcome = outcome.unwrap_or_else(|| panic!("{name} does nothing"));
                assert_eq!(outcome.per_thread.len(), threads as usize, "{name}");
                // One that is held up may do nothing in so short a time, not all.
                let done: u64 = outcome.per_thread.iter().sum();
                assert!(done > 0, "{name}");
                assert!(outcome.time > Duration::ZERO, "{name}");
                let latencies = outcome.latencies.map(|latencies| latencies.len());
                match kind.name {
                    // Also of what was due and not done.
                    "big_vs_small_paced" => assert!(latencies >= Some(done), "{name}"),
                    _ => assert_eq!(latencies, kind.latency_of.map(|_| done), "{name}"),
                }
            }
        }
    }
}

#[test]
fn what_counts_faults_takes_them() {
    forbid_huge_pages().unwrap();
    let counts = |kind: &&Kind| kind.unit == "faults" && (kind.unfit)(Subject::Anon, 2).is_none();
    let kinds: Vec<_> = Kind::all().filter(counts).collect();
    assert!(kinds.len() >= 3);
    for kind in kinds {
        let outcome = (kind.run)(&turn(Subject::Anon, 2)).unwrap();
        let done: u64 = outcome.per_thread.iter().sum();
        let faults = outcome.growth.vmstat["pgfault"];
        assert!(
            faults >= done,
            "{}: {faults} faults for {done} pages",
            kind.name
        );
    }
}

#[test]
fn each_makes_sense_on_the_memory_that_others_are_compared_with() {
    for kind in Kind::all().filter(|kind| kind.name != "pft_striped") {
        assert_eq!((kind.unfit)(kind.peer, 2), None, "{}", kind.name);
    }
}

/// Both stores of a round, the thread's own and the one to the page that it was handed.
#[test]
fn a_drag_holds_up_each_store_of_the_pipeline() {
    let kind = Kind::named("mapbench_pipeline").unwrap();
    let began = (std::time::Instant::now(), crate::sys::ticks());
    std::thread::sleep(Duration::from_millis(20));
    let drag = crate::sys::ticks().wrapping_sub(began.1);
    let took = began.0.elapsed();
    let outcome = (kind.run)(&Turn {
        drag,
        time: Duration::from_millis(200),
        ..turn(Subject::Anon, 1)
    });
    let outcome = outcome.unwrap();
    // The first store may have been held up before the clock was read.
    let most = outcome.time.as_secs_f64() / took.as_secs_f64() + 2.0;
    assert!(outcome.per_thread[0] as f64 <= most, "{outcome:?}");
}

#[test]
fn a_drag_slows_work_down() {
    let kind = Kind::named("mmap1").unwrap();
    let rate = |drag| {
        let outcome = (kind.run)(&Turn {
            drag,
            ..turn(Subject::Anon, 1)
        });
        let outcome = outcome.unwrap();
        outcome.per_thread[0] as f64 / outcome.time.as_secs_f64()
    };
    // Some milliseconds each: no machine is so busy that it would not show.
    assert!(rate(10_000_000) * 3.0 < rate(0));
}
