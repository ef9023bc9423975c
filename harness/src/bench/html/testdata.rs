// SPDX-License-Identifier: GPL-2.0-only
//! Records that nobody measured, to try the report with. They are seeded, and all
//! that is made of them says that they are test data.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::bench::record::{End, Machine, Record, Run, Sample, Target, VERSION, Workload};
use crate::rng::Rng;

/// How much of it there is.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) rounds: u32,
    pub(crate) threads: Vec<u32>,
    /// Of [`WORKLOADS`], the first so many.
    pub(crate) workloads: usize,
    /// Of [`TARGETS`], the first so many.
    pub(crate) targets: usize,
    pub(crate) accelerator: &'static str,
}

impl Shape {
    /// All that a run could have.
    pub(crate) fn full() -> Shape {
        Shape {
            rounds: 7,
            threads: vec![1, 2, 4, 8],
            workloads: 14,
            targets: 9,
            accelerator: "tcg",
        }
    }

    /// As on a machine of two processors.
    pub(crate) fn two_processors() -> Shape {
        Shape {
            rounds: 3,
            threads: vec![1, 2],
            targets: 7,
            ..Shape::full()
        }
    }

    /// One round of little.
    pub(crate) fn small() -> Shape {
        Shape {
            rounds: 1,
            threads: vec![2],
            workloads: 3,
            targets: 6,
            accelerator: "tcg",
        }
    }
}

/// Name, unit, what a latency is of, rate of one thread, and how much is lost by waiting
/// for each other: 0 is none, 1 all that another thread would bring.
type Kind = (&'static str, &'static str, Option<&'static str>, f64, f64);

const WORKLOADS: [Kind; 14] = [
    ("page_fault1", "faults", None, 110e3, 0.3),
    (
        "small beside large",
        "small changes",
        Some("small change"),
        8e3,
        0.9,
    ),
    ("empty loop", "rounds of the loop", None, 60e6, 0.0),
    ("page_fault2", "faults", None, 95e3, 0.35),
    ("page_fault3", "faults", None, 140e3, 0.5),
    ("mmap1", "mappings", None, 74e3, 0.8),
    ("mmap2", "mappings", None, 31e3, 0.85),
    ("ebizzy", "chunks", None, 900.0, 0.3),
    ("pft", "faults", None, 190e3, 0.2),
    ("brk-like growth", "changes", Some("change"), 45e3, 0.9),
    ("faults beside changes", "faults", Some("fault"), 80e3, 0.5),
    ("scattered remap", "moves", Some("move"), 12e3, 0.8),
    ("protect flip", "changes", None, 52e3, 0.8),
    ("garbage collector", "pages", Some("pause"), 22e3, 0.6),
];

/// Name, and what the lock leaves of the losses by waiting.
const TARGETS: [(&str, f64, bool); 9] = [
    ("global", 1.2, false),
    ("region", 0.7, false),
    ("range", 0.2, false),
    ("spf-global", 0.6, false),
    ("spf-range", 0.1, false),
    ("anon", 1.0, true),
    ("memfd", 1.05, true),
    ("tmpfs", 1.1, true),
    ("file", 1.15, true),
];

/// A whole run, whose end is the last record.
pub(crate) fn records(shape: &Shape) -> Vec<Record> {
    let run = run(shape);
    let mut rng = Rng::new(run.seed, 0);
    let mut samples = Vec::new();
    for round in 0..shape.rounds {
        for kind in &WORKLOADS[..shape.workloads] {
            for &threads in &shape.threads {
                for target in &TARGETS[..shape.targets] {
                    let sample = sample(&mut rng, kind, target, threads, round);
                    samples.push(Record::Sample(Box::new(sample)));
                }
            }
        }
    }
    let end = End {
        seconds: 412.0,
        skipped: Vec::new(),
    };
    [Record::Run(Box::new(run))]
        .into_iter()
        .chain(samples)
        .chain([Record::End(end)])
        .collect()
}

fn run(shape: &Shape) -> Run {
    let module = [("version", "0.1.0 TEST DATA"), ("policy", "spf-range")];
    Run {
        version: VERSION,
        began: 1_795_695_000,
        command_line: ["faultline", "bench", "--preset", "default"]
            .map(str::to_owned)
            .to_vec(),
        seed: 4711,
        preset: "default".to_owned(),
        rounds: shape.rounds,
        turn_ms: 300,
        planted_slowdown: None,
        machine: Machine {
            kernel: "Linux 7.0.0 TEST DATA, made up and not measured".to_owned(),
            config_hash: Some("0123456789abcdef".repeat(4)),
            checked_kernel: false,
            accelerator: shape.accelerator.to_owned(),
            cpu_model: "a processor that does not exist".to_owned(),
            cpus: 8,
            memory: 4 << 30,
            module: module
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into_iter()
                .collect(),
            harness: "0.1.0".to_owned(),
        },
        workloads: WORKLOADS[..shape.workloads]
            .iter()
            .map(|kind| workload(kind, shape))
            .collect(),
        targets: TARGETS[..shape.targets]
            .iter()
            .map(|(name, _, kernel)| Target {
                name: (*name).to_owned(),
                about: format!("Test data in the place of {name}."),
                kernel: *kernel,
            })
            .collect(),
    }
}

fn workload((name, unit, latency_of, ..): &Kind, shape: &Shape) -> Workload {
    Workload {
        name: (*name).to_owned(),
        about: format!("Test data: each thread does {name} on memory of its own."),
        unit: (*unit).to_owned(),
        latency_of: latency_of.map(str::to_owned),
        interference: name.contains("beside"),
        empty: name.contains("empty"),
        peer: None,
        threads: shape.threads.clone(),
    }
}

/// A number around 1, at most `by` away.
fn around(rng: &mut Rng, by: f64) -> f64 {
    1.0 + by * (rng.below(2001) as f64 / 1000.0 - 1.0)
}

fn sample(
    rng: &mut Rng,
    (workload, _, latency_of, rate, lost): &Kind,
    (target, waiting, kernel): &(&str, f64, bool),
    threads: u32,
    round: u32,
) -> Sample {
    let seconds = 0.3 * around(rng, 0.01);
    let each = 1.0 / (1.0 + f64::from(threads - 1) * (lost * waiting).min(1.2));
    let per_thread: Vec<u64> = (0..threads)
        .map(|_| (rate * each * seconds * around(rng, 0.12)) as u64)
        .collect();
    let work: u64 = per_thread.iter().sum();
    let stalls = lost * waiting;
    Sample {
        workload: (*workload).to_owned(),
        target: (*target).to_owned(),
        threads,
        round,
        seconds,
        histogram: latency_of.map(|_| histogram(rng, work.min(1500), 1e9 / rate, stalls)),
        counters: if *kernel {
            BTreeMap::new()
        } else {
            counters(rng, target, work, stalls)
        },
        vmstat: [
            ("pgfault", work),
            ("vma_lock_success", work * 9 / 10),
            ("vma_lock_miss", work / 50),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into_iter()
        .collect(),
        voluntary_switches: (work as f64 * stalls / 40.0) as u64,
        involuntary_switches: rng.below(30),
        user_seconds: seconds * 0.15 * f64::from(threads),
        system_seconds: seconds * 0.7 * f64::from(threads) * around(rng, 0.1),
        extra: match workload.contains("beside") {
            true => [("stalls over 5 ms, ms/s".to_owned(), 900.0 * stalls)].into(),
            false => BTreeMap::new(),
        },
        per_thread,
    }
}

fn counters(rng: &mut Rng, target: &str, work: u64, stalls: f64) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    let mut put = |name: &str, count| all.insert(name.to_owned(), count);
    let waits = (work as f64 * stalls / 20.0) as u64;
    put("faults", work);
    put("fault_waits", waits);
    put("fault_waits_false", waits / 2);
    put("fault_wait_ns", waits * 41_000);
    if !target.starts_with("spf") {
        put("locked_anon_write", work);
        return all;
    }
    // The first loses nothing, so that both cases are to be seen.
    let aborts = if stalls > 0.05 {
        work / (20 + rng.below(60))
    } else {
        0
    };
    let (active, stale) = (rng.below(aborts / 2 + 1), aborts / 4);
    put("spf_attempts", work);
    put("spf_anon_write", work - aborts);
    put("spf_writer_active", active);
    put("spf_stale", stale);
    put("spf_not_cached", aborts - active - stale);
    put("spf_false_aborts", stale / 3);
    put("spf_fallbacks", aborts);
    put("locked_anon_write", aborts);
    all
}

/// Most take as long as their rate says; one in some hundred waits for another.
fn histogram(rng: &mut Rng, count: u64, ns: f64, stalls: f64) -> String {
    let mut latencies = Histogram::<u64>::new(3).expect("three digits");
    for _ in 0..count {
        let wait = match rng.one_in(90) {
            true => stalls * 1e6 * around(rng, 0.9) * around(rng, 0.9) * 20.0,
            false => 0.0,
        };
        let took = ns * around(rng, 0.3) + wait;
        latencies.record(took as u64 + 1).expect("it grows");
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&latencies, &mut bytes)
        .expect("memory");
    STANDARD.encode(bytes)
}
