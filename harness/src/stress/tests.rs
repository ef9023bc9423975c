// SPDX-License-Identifier: GPL-2.0-only
//! The oracle on Linux's memory, sound and broken.

use super::*;
use crate::target::busted::{Busted, Fault};

fn options() -> Options {
    Options {
        pages: 96,
        target: TargetKind::Linux,
        no_pin: true,
        ..Options::default()
    }
}

#[test]
fn linux_passes() {
    let options = Options {
        seconds: Some(1),
        threads: 3,
        remappers: 3,
        ..options()
    };
    let report = execute(&options, 1, make_targets(&options, 1).expect("memory")).expect("a run");
    assert!(report.passed(), "{}", report.text());
    let sums = report.sums;
    assert!(
        sums.checked > 1000 && sums.maps > 100 && sums.unmaps > 100,
        "{}",
        report.text()
    );
    assert!(sums.illegal_expected > 100, "{}", report.text());
    assert_eq!(sums.illegal_expected, sums.illegal_seen);
    assert!(report.text().contains("PASS: 0 mismatches, seed 1"));
}

#[test]
fn two_spaces_do_not_mix() {
    let options = Options {
        ops: Some(100_000),
        spaces: 2,
        ..options()
    };
    let report = execute(&options, 2, make_targets(&options, 2).expect("memory")).expect("a run");
    assert!(report.passed(), "{}", report.text());
    assert!(report.sums.operations >= 100_000);
}

#[test]
fn a_run_repeats_with_its_seed() {
    // One thread, so that nothing depends on the order of several.
    let options = Options {
        ops: Some(5_000),
        threads: 0,
        remappers: 1,
        ..options()
    };
    let run = || {
        let targets = make_targets(&options, 3).expect("memory");
        let sums = execute(&options, 3, targets).expect("a run").sums;
        (
            sums.loads,
            sums.stores,
            sums.maps,
            sums.unmaps,
            sums.illegal_seen,
        )
    };
    assert_eq!(run(), run());
}

/// Runs a target with this fault at one call in fifty; it must be caught, and
/// by the rule with these words.
fn caught(fault: Fault, words: &[&str]) {
    let options = Options {
        seconds: Some(20),
        ..options()
    };
    let target = Busted::new(options.pages, fault, 50).expect("memory");
    let report = execute(&options, 4, vec![Box::new(target)]).expect("a run");
    let text = report.text();
    assert!(!report.passed(), "not caught: {text}");
    assert!(words.iter().any(|words| text.contains(words)), "{text}");
    assert!(
        text.contains("seed 4") && text.contains("last operations on"),
        "{text}"
    );
}

#[test]
fn the_sound_twin_of_the_busted_targets_passes() {
    let options = Options {
        ops: Some(100_000),
        ..options()
    };
    let target = Busted::new(options.pages, Fault::Nothing, 50).expect("memory");
    let report = execute(&options, 4, vec![Box::new(target)]).expect("a run");
    assert!(report.passed(), "{}", report.text());
}

#[test]
fn a_page_left_mapped_is_caught() {
    caught(Fault::SkipsUnmap, &["had to fault went through"]);
}

#[test]
fn a_page_not_replaced_is_caught() {
    // Often it was not mapped, or mapped otherwise.
    let also = ["fault on a mapped page", "had to fault went through"];
    caught(Fault::SkipsReplace, &["stale data", also[0], also[1]]);
}

#[test]
fn a_page_that_is_not_zero_is_caught() {
    caught(Fault::MapsDirty, &["data in a word that nobody writes"]);
}

#[test]
fn a_page_with_the_content_of_another_is_caught() {
    caught(Fault::MapsRecycled, &["data of another page"]);
}

#[test]
fn a_lost_write_is_caught() {
    caught(Fault::LosesNeighbour, &["lost write"]);
}

#[test]
fn a_protection_that_is_ignored_is_caught() {
    caught(Fault::IgnoresProtection, &["had to fault went through"]);
}

#[test]
fn a_page_missing_in_a_map_is_caught() {
    caught(Fault::MapsShort, &["fault on a mapped page"]);
}
