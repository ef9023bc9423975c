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
    for (name, count) in sums.calls() {
        assert!(count > 50, "{name}: {}", report.text());
    }
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

/// Runs a target with this fault at one call in eight; it must be caught, and
/// by the rule with these words. On a machine that is busy with other things a
/// remapper may run alone for a while: with many pages and small changes there is
/// still something left then of what the accessors stored.
fn caught(fault: Fault, words: &[&str]) {
    let options = Options {
        seconds: Some(20),
        pages: 768,
        change_pages: 6,
        ..options()
    };
    let target = Busted::new(options.pages, fault, 8).expect("memory");
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

/// Often the page was not mapped, or mapped otherwise.
const OUTCOMES: [&str; 2] = ["fault on a mapped page", "had to fault went through"];
/// What is not the page's content. Which of these it is depends on what its
/// user before was.
const CONTENTS: [&str; 5] = [
    "stale data",
    "lost write",
    "data of another page",
    "data that nobody stored",
    "data in a word that nobody writes",
];

macro_rules! each_is_caught {
    ($($name:ident: $fault:ident, $words:expr;)+) => {
        $(#[test]
        fn $name() {
            caught(Fault::$fault, &$words);
        })+
    };
}

each_is_caught! {
    a_page_left_mapped_is_caught: SkipsUnmap, ["had to fault went through", "wrong answer"];
    a_page_not_replaced_is_caught:
        SkipsReplace, ["stale data", OUTCOMES[0], OUTCOMES[1], CONTENTS[1], CONTENTS[3], "wrong answer"];
    a_page_that_is_not_zero_is_caught: MapsDirty, ["data in a word that nobody writes"];
    a_page_with_the_content_of_another_is_caught: MapsRecycled, CONTENTS;
    a_lost_write_is_caught: LosesNeighbour, ["lost write", CONTENTS[3], CONTENTS[4]];
    a_protection_that_is_ignored_is_caught: IgnoresProtection, ["had to fault went through"];
    a_page_missing_in_a_map_is_caught: MapsShort, ["fault on a mapped page"];
    shared_memory_that_is_not_is_caught: SharesNothing, ["lost write"];
    private_memory_that_is_shared_is_caught:
        SharesPrivate, ["stale data", "data of another", "written to its file", CONTENTS[4]];
    private_memory_without_its_file_is_caught: ForgetsFile, [CONTENTS[3], CONTENTS[4]];
    protect_that_leaves_a_page_is_caught: ProtectsShort, OUTCOMES;
    protect_that_loses_a_page_is_caught: ProtectEmpties, ["lost write", CONTENTS[3]];
    protect_that_stops_at_a_hole_is_caught: ProtectStops, OUTCOMES;
    dontneed_that_leaves_a_page_is_caught: DiscardsShort, ["stale data", CONTENTS[2], CONTENTS[3]];
    dontneed_that_stops_at_a_hole_is_caught: DiscardStops, ["lost write"];
    willneed_that_loses_a_page_is_caught: FillEmpties, ["lost write"];
    shrink_that_leaves_a_page_is_caught: ShrinksShort, ["had to fault went through", "wrong answer"];
    grow_that_is_not_fresh_is_caught: GrowsRecycled, CONTENTS;
    move_that_leaves_a_page_is_caught: MoveLeaves, ["had to fault went through", "wrong answer"];
    move_that_loses_a_page_is_caught: MoveEmpties, ["lost write"];
    move_that_mixes_pages_up_is_caught: MoveSwaps, CONTENTS;
    move_that_forgets_the_protection_is_caught: MoveUnprotects, ["had to fault went through"];
}
