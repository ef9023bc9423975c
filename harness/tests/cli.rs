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
    assert_eq!(status(&["stress", "--target", "linux", "--procs", "2"]), 64);
}

#[test]
fn without_a_device_it_skips_and_says_what_to_do() {
    if Path::new("/dev/faultline").exists() {
        return;
    }
    for verb in ["stress", "demo", "bench", "answer"] {
        let output = faultline(&[verb]);
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
