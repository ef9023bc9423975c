// SPDX-License-Identifier: GPL-2.0-only
//! The binary as scripts see it: exit status, and where its words go.

use std::path::Path;
use std::process::{Command, Output};

fn faultline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_faultline"))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("faultline {arguments:?}: {error}"))
}

fn status(arguments: &[&str]) -> i32 {
    let output = faultline(arguments);
    output
        .status
        .code()
        .unwrap_or_else(|| panic!("faultline {arguments:?}: {}", output.status))
}

#[test]
fn help_passes_and_nonsense_is_a_usage_error() {
    assert_eq!(status(&["--help"]), 0);
    assert_eq!(status(&["stress", "--help"]), 0);
    assert_eq!(status(&[]), 64);
    assert_eq!(status(&["nonsense"]), 64);
    assert_eq!(status(&["stress", "--policy", "nonsense"]), 64);
    assert_eq!(status(&["answer", "--policy", "nonsense"]), 64);
    assert_eq!(status(&["answer", "--workload", "nonsense"]), 64);
    assert_eq!(status(&["stress", "--pages", "1"]), 64);
    assert_eq!(status(&["bench", "--workload", "nonsense"]), 64);
    assert_eq!(status(&["bench", "--target", "linux"]), 64);
    assert_eq!(status(&["bench", "--quick", "--long"]), 64);
    assert_eq!(
        status(&["bench", "compare", "/nonexistent", "/nonexistent"]),
        64
    );
    assert_eq!(
        status(&["coherence", "compare", "/nonexistent", "/nonexistent"]),
        64
    );
    assert_eq!(status(&["stress", "--target", "linux", "--procs", "2"]), 64);
}

#[test]
fn without_a_device_it_skips_and_says_what_to_do() {
    if Path::new("/dev/faultline").exists() {
        return;
    }
    for verb in ["stress", "demo", "bench", "bench goals", "answer"] {
        let words: Vec<_> = verb.split(' ').collect();
        let output = faultline(&words);
        assert_eq!(output.status.code(), Some(4), "{verb}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("is the module loaded?"), "{text}");
        assert!(text.contains("cargo xtask run -- faultline"), "{text}");
    }
}

#[test]
fn a_run_prints_its_seed_and_repeats_as_json() {
    let run = [
        "stress", "--target", "linux", "--ops", "20000", "--seed", "77",
    ];
    let output = faultline(&run);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("--seed 77"), "{text}");
    assert!(text.contains("PASS: 0 mismatches"), "{text}");

    let output = faultline(&[&run[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON and no more");
    assert_eq!(json["verdict"], "pass");
    assert_eq!(json["seed"], 77);
    assert!(json["operations"].as_u64() >= Some(20_000));
}

#[test]
fn linux_alone_is_answered_for_without_a_device() {
    let run = [
        "answer",
        "--policy",
        "linux",
        "--seconds",
        "1",
        "--json",
        "--workload",
    ];
    let output = faultline(&[&run[..], &["pft,cold"]].concat());
    assert_eq!(output.status.code(), Some(0));
    // Without a disk there is no cold file, and so one line.
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    assert_eq!(json["on"], "linux");
    assert_eq!(json["workload"], "pft");
    assert!(json["core_faults"].as_u64() > Some(0));
    assert!(json["calls"]["mprotect"]["count"].as_u64() > Some(0));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("skipped: cold: no disk"), "{words}");
    assert!(words.contains("give --dir on a disk"), "{words}");
}

/// What is left of a run is as good as the run: it can be compared with itself.
#[test]
fn the_kernels_memory_is_measured_without_a_device() {
    let dir = std::env::temp_dir().join(format!("faultline-cli-bench-{}", std::process::id()));
    let out = dir.to_str().expect("a temporary directory with a name");
    let words = "bench --workload empty,mmap1,small_alone --target memfd,anon --threads 1 \
                 --seconds 0.02 --rounds 4 --seed 5 --json --out";
    let words: Vec<_> = words.split_whitespace().chain([out]).collect();
    let output = faultline(&words);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).expect("text");
    let written = std::fs::read_to_string(dir.join("run.jsonl")).expect("run.jsonl");
    assert_eq!(text, written, "records on stdout, and nothing else");
    let records: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    assert_eq!(records[0]["seed"], 5);
    // In four rounds two workloads on two targets, and one on the first alone.
    let samples = records.iter().filter(|r| r["record"] == "sample").count();
    assert_eq!(samples, 4 * (2 * 2 + 1), "{text}");
    assert_eq!(records.last().map(|r| &r["record"]), Some(&"end".into()));
    assert!(dir.join("run.csv").exists());
    assert!(dir.join("histograms/small_alone.anon.1.hgrm").exists());

    let same = faultline(&["bench", "compare", out, out]);
    let text = String::from_utf8_lossy(&same.stdout).into_owned();
    assert_eq!(same.status.code(), Some(0), "{text}");
    assert!(text.contains("same: 0 figures worse"), "{text}");
    std::fs::remove_dir_all(dir).expect("our directory");
}

#[test]
fn all_that_can_be_measured_is_listed() {
    let output = faultline(&["bench", "--list"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    for name in ["page_fault1", "vma_chaos", "spf-range", "shared-anon"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}
