// SPDX-License-Identifier: GPL-2.0-only
//! The differential test on a model of a space, sound and broken.

use super::model::Bug;
use super::*;

const PAGES: u32 = 64;

fn plan(seed: u64) -> Plan {
    Plan {
        seed,
        steps: 400,
        until: None,
        pages: PAGES,
        sweep: 1 + 7 * (seed % 2),
        operations: Operations::all(),
        trace: false,
    }
}

fn model(seed: u64, bug: Option<Bug>, tally: &mut Tally) -> Result<(), Stop> {
    let mut model = Model::new(PAGES, bug);
    Runner::new(plan(seed), &mut model, tally)?.run()
}

#[test]
fn the_model_does_what_linux_does() {
    let mut tally = Tally::default();
    for seed in 1..=40 {
        if let Err(Stop::Mismatch(report)) = model(seed, None, &mut tally) {
            panic!("{report}");
        }
    }
    for (name, (count, failed)) in &tally.calls {
        assert!(*count > 50, "{name}: {count}");
        let never = ["map fixed", "unmap"].contains(name);
        assert!(never || *failed > 0, "{name} never failed");
    }
    for (deviation, ..) in TABLE {
        assert!(tally.met.of(*deviation) > 0, "{deviation:?} was never met");
    }
}

#[test]
fn a_sequence_repeats_with_its_seed() {
    let run = || {
        let mut tally = Tally::default();
        model(7, None, &mut tally).expect("no difference");
        (tally.accesses, format!("{:?}", tally.calls))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_sequence_ends_when_its_time_is_over() {
    let mut tally = Tally::default();
    let mut model = Model::new(PAGES, None);
    let late = Plan {
        until: Some(Instant::now()),
        ..plan(7)
    };
    let mut runner = Runner::new(late, &mut model, &mut tally).expect("an arena");
    runner.run().expect("no difference");
    assert_eq!(runner.plan().steps, 1, "what repeats it");
    assert!(tally.swept > 0, "the end is compared all the same");
}

/// The broken model must be found out, and by a difference in this.
fn found(bug: Bug, what: &[&str]) {
    for seed in 1..100 {
        match model(seed, Some(bug), &mut Tally::default()) {
            Ok(()) => {}
            Err(Stop::Mismatch(report)) => {
                let head = report.lines().next().unwrap_or_default();
                assert!(what.iter().any(|what| head.contains(what)), "{report}");
                assert!(report.contains(&format!("seed {seed}, step ")), "{report}");
                assert!(report.contains("steps so far"), "{report}");
                return;
            }
            Err(Stop::Error(error)) => panic!("{bug:?}: {error}"),
        }
    }
    panic!("{bug:?} was not found");
}

macro_rules! each_is_found {
    ($($name:ident: $bug:ident, $what:expr;)+) => {
        $(#[test]
        fn $name() {
            found(Bug::$bug, &$what);
        })+
    };
}

each_is_found! {
    unmap_that_leaves_a_page_is_found: UnmapLeavesTheLastPage, ["regions differ"];
    noreplace_that_replaces_is_found: NoreplaceReplaces, ["answers differ"];
    another_errno_is_found: NoreplaceIsInvalid, ["answers differ"];
    a_hint_that_is_missed_is_found: HintGoesTooHigh, ["answers differ"];
    protect_that_stops_at_a_hole_is_found: ProtectStopsAtAHole, ["regions differ"];
    protect_that_leaves_a_page_is_found: ProtectLeavesTheLastPage, ["regions differ"];
    protect_that_loses_a_page_is_found: ProtectForgetsTheContent, ["accesses differ", "files"];
    a_file_written_without_leave_is_found: ReadOnlyBecomesWritable, ["answers differ"];
    move_that_loses_a_page_is_found: MoveLosesAPage, ["accesses differ"];
    move_that_copies_is_found: MoveCopies, ["regions differ", "regions (the"];
    move_that_forgets_the_offset_is_found: MoveForgetsTheOffset, ["regions differ"];
    move_that_forgets_the_protection_is_found: MoveForgetsTheProtection, ["regions differ"];
    move_onto_something_is_found: MoveGoesOntoSomething, ["answers differ"];
    grow_that_replaces_is_found: GrowReplacesTheNeighbour, ["answers differ"];
    grow_with_another_errno_is_found: GrowAnswersEfault, ["answers differ"];
    shrink_that_keeps_the_tail_is_found: ShrinkKeepsTheTail, ["regions differ"];
    dontneed_that_keeps_is_found: DontNeedKeeps, ["accesses differ"];
    dontneed_that_empties_a_file_is_found: DontNeedEmptiesAFile, ["regions differ"];
    dontneed_that_stops_at_a_hole_is_found: DontNeedStopsAtAHole, ["accesses differ"];
    a_shared_page_that_is_a_copy_is_found: SharedIsACopy, ["accesses differ", "files"];
    a_private_page_that_is_shared_is_found: PrivateIsShared, ["accesses differ", "files"];
    a_page_beyond_the_end_is_found: NothingBeyondTheEnd, ["accesses differ"];
    regions_that_do_not_merge_are_found: NeverMerges, ["are not merged"];
    another_signal_is_found: NoRegionIsSegv, ["accesses differ"];
}
