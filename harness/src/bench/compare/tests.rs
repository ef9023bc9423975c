// SPDX-License-Identifier: GPL-2.0-only

use std::fs;

use super::*;
use crate::bench::record::{End, Sample, VERSION};
use crate::rng::Rng;

/// A run of 40 cells and 8 rounds, with noise of 3 percent. `rate` gives each cell's.
fn run(seed: u64, speed: f64, rate: impl Fn(usize) -> f64) -> Vec<Record> {
    let mut rng = Rng::new(seed, 1);
    let mut noise = || {
        1.0 + (0..3)
            .map(|_| rng.below(1000) as f64 / 10000.0 - 0.05)
            .sum::<f64>()
    };
    let mut records = vec![Record::Run(Box::new(Run {
        version: VERSION,
        ..Run::default()
    }))];
    for round in 0..8 {
        let mut sample = |workload: String, rate: f64| {
            records.push(Record::Sample(Box::new(Sample {
                workload,
                target: "anon".to_owned(),
                threads: 1,
                round,
                seconds: 1.0,
                per_thread: vec![(1e6 * speed * rate * noise()) as u64],
                ..Sample::default()
            })));
        };
        sample("empty".to_owned(), 1.0);
        (0..40).for_each(|cell| sample(format!("work{cell}"), rate(cell)));
    }
    records.push(Record::End(End::default()));
    records
}

const RULES: Rules = Rules {
    least_rate: 0.1,
    least_latency: 0.2,
};

fn verdicts(a: &[Record], b: &[Record]) -> (usize, usize) {
    let comparison = judge(a, b, RULES).unwrap();
    let count = |verdict| comparison.count(verdict);
    (count(judge::Verdict::Worse), count(judge::Verdict::Better))
}

#[test]
fn runs_of_the_same_are_the_same() {
    for seed in 0..20 {
        let (a, b) = (run(seed, 1.0, |_| 1.0), run(seed + 100, 1.0, |_| 1.0));
        assert_eq!(verdicts(&a, &b), (0, 0), "seed {seed}");
    }
}

/// With 8 rounds it takes good luck to miss one, and none to call another one slow.
#[test]
fn one_slow_cell_among_many_is_found_and_so_are_all() {
    let (mut found, mut seen_as_better) = (0, 0);
    for seed in 0..20 {
        let (a, b) = (
            run(seed, 1.0, |_| 1.0),
            run(seed + 100, 1.0, |cell| if cell == 7 { 0.8 } else { 1.0 }),
        );
        let (there, back) = (verdicts(&a, &b), verdicts(&b, &a));
        assert!(there.0 <= 1 && there.1 == 0, "seed {seed}: {there:?}");
        assert!(back.0 == 0 && back.1 <= 1, "seed {seed}: {back:?}");
        found += there.0;
        seen_as_better += back.1;
        let all = run(seed + 100, 1.0, |_| 0.8);
        assert!(verdicts(&a, &all).0 >= 36, "seed {seed}");
    }
    assert!(found >= 19, "{found} of 20");
    assert!(seen_as_better >= 19, "{seen_as_better} of 20");
}

#[test]
fn a_slower_machine_is_no_slower_module() {
    let (a, b) = (run(1, 1.0, |_| 1.0), run(2, 0.7, |_| 1.0));
    assert_eq!(verdicts(&a, &b), (0, 0));
    // And no excuse for one.
    let slower = run(2, 0.7, |cell| if cell < 20 { 0.8 } else { 1.0 });
    assert!(verdicts(&a, &slower).0 >= 18);
    let comparison = judge(&a, &b, RULES).unwrap();
    let said = comparison
        .notes
        .iter()
        .any(|note| note.contains("speed was -"));
    assert!(said, "{:?}", comparison.notes);
}

#[test]
fn too_few_rounds_are_said() {
    let few = |records: Vec<Record>| -> Vec<Record> {
        let early = |record: &Record| !matches!(record, Record::Sample(s) if s.round > 3);
        records.into_iter().filter(early).collect()
    };
    let (a, b) = (few(run(1, 1.0, |_| 1.0)), few(run(2, 1.0, |_| 1.0)));
    let comparison = judge(&a, &b, RULES).unwrap();
    let said = comparison
        .notes
        .iter()
        .any(|note| note.contains("7 rounds can"));
    assert!(said, "{:?}", comparison.notes);
}

#[test]
fn runs_that_were_not_made_alike_are_refused() {
    let dir = std::env::temp_dir().join(format!("faultline-compare-{}", std::process::id()));
    let write = |name: &str, turn_ms| {
        let mut records = run(1, 1.0, |_| 1.0);
        if let Record::Run(run) = &mut records[0] {
            run.turn_ms = turn_ms;
        }
        let line = |record| serde_json::to_string(record).unwrap() + "\n";
        let text: String = records.iter().map(line).collect();
        fs::create_dir_all(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("run.jsonl"), text).unwrap();
        dir.join(name)
    };
    let mut compare = Compare {
        before: write("a", 10),
        after: write("b", 20),
        least: 10.0,
        force: false,
        json: false,
    };
    let refused = comparison(&compare).unwrap_err();
    assert!(refused.contains("turn: 10 ms / 20 ms"), "{refused}");
    compare.force = true;
    let forced = comparison(&compare).unwrap();
    assert!(!forced.is_worse());
    assert!(forced.notes.iter().any(|note| note.contains("turn: 10 ms")));
    fs::remove_dir_all(dir).unwrap();
}
