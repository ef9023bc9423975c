// SPDX-License-Identifier: GPL-2.0-only
//! Modules that are wrong on purpose (`driver/mistake.rs`): stress, or the test
//! that is about what they get wrong, must find it.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Suite;
use super::guest::{STRESS, boot, stress_argv};
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::{self, Status};
use crate::module::Variant;
use crate::pipeline;
use crate::step::seconds;
use crate::vm::outcome::Outcome;
use crate::{exit, fsx, say};

/// What the harness prints when its oracle finds something wrong.
const CAUGHT: &str = "MISMATCH";

/// What stress must find.
const BY_STRESS: [&str; 3] = ["skip_zap", "skip_zero", "lose_move"];

/// What a test must find.
const BY_TEST: [(&str, &str); 32] = [
    ("lock_all", "policy.range_lets_changes_elsewhere_pass"),
    (
        "keep_all",
        "batches.each_change_gives_back_what_it_is_done_with",
    ),
    ("skip_zap", "fault.access_after_unmap_is_sigbus"),
    ("skip_revoke", "protect.downgrade_reaches_every_window"),
    ("skip_validation", "interleave.unmap_overtakes_a_fault"),
    ("zap_before_pass", "interleave.unmap_waits_for_a_commit"),
    ("skip_pending", "interleave.fault_meets_a_replacement"),
    ("skip_leaving", "interleave.fault_meets_a_discard"),
    ("skip_late", "interleave.fault_during_a_move_is_moved_along"),
    (
        "skip_reserve",
        "interleave.leaf_stays_for_what_moves_into_it",
    ),
    (
        "skip_region",
        "region.change_waits_for_a_fault_in_its_region",
    ),
    (
        "skip_beside",
        "region.map_waits_for_a_fault_in_a_region_that_it_joins",
    ),
    ("skip_file", "interleave.rewritten_file_overtakes_a_fault"),
    ("skip_zero", "fault.content_does_not_survive_unmap_and_map"),
    ("lose_move", "remap.move_takes_the_contents_along"),
    ("protect_discards", "protect.none_keeps_contents"),
    (
        "retry_killed",
        "signal.sigkill_ends_a_waiting_access_from_the_kernel",
    ),
    ("retry_always", "retry.page_that_is_not_cached"),
    ("skip_cover", "protect.hole_is_enomem_and_changes_nothing"),
    ("skip_room", "limit.protects_at_once_keep_within"),
    ("leak_region", "lifetime.unmap_frees"),
    ("thaw_late", "holds.given_up_by_unmap"),
    ("skip_limit", "limit.touching_beyond_is_sigbus_at_once"),
    (
        "skip_recall",
        "limit.lowered_to_what_is_held_stops_growth_at_once",
    ),
    ("skip_charge", "cgroup.touched_pages_are_charged"),
    (
        "shared_count",
        "purity.faults_leave_what_is_shared_as_it_is",
    ),
    ("hold_region", "purity.faults_hold_nothing_that_is_shared"),
    ("store_same", "purity.faults_write_to_no_word_of_the_space"),
    (
        "ignore_reserved",
        "concurrency.store_waits_for_one_that_waits_for_memory",
    ),
    ("skip_join", "merge.map_above_extends"),
    (
        "forget_ended",
        "view.stats_keep_what_ended_spaces_have_counted",
    ),
    (
        "skip_clip",
        "view.region_that_grows_down_is_shown_from_there_on",
    ),
];

/// Each mistake must be found.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    for mistake in BY_STRESS {
        let name = format!("vm.busted.stress.{mistake}");
        suite.case(&name, |ctx| {
            let outcome = run_busted(ctx, &name, mistake, stress_argv())?;
            let text = fsx::read(&outcome.dir.output())?;
            found(&outcome, mistake, text.contains(CAUGHT))
        })?;
    }
    for (mistake, test) in BY_TEST {
        let name = format!("vm.busted.{mistake}");
        suite.case(&name, |ctx| {
            let dir = format!("/lib/faultline/{}", Variant::Busted.cfg());
            let argv = ["faultline", "test", test, "--module-dir", &dir].map(OsString::from);
            let outcome = run_busted(ctx, &name, mistake, argv.to_vec())?;
            let results = ktap::parse(&fsx::read(&outcome.dir.output())?);
            let failed =
                |r: &ktap::TestResult| r.name == test && matches!(r.status, Status::Fail(_));
            found(&outcome, mistake, results.iter().any(failed))
        })?;
    }
    Ok(())
}

fn run_busted(
    ctx: &crate::ctx::Ctx,
    title: &str,
    mistake: &str,
    argv: Vec<OsString>,
) -> Result<Outcome> {
    let built = pipeline::build(ctx, Scope::ALL, Flavour::Base, &[Variant::Busted])?;
    boot(ctx, &built, title, argv, |spec| {
        spec.load = Some(Variant::Busted);
        spec.params = vec![format!("busted={mistake}"), "policy=range".into()];
        spec.run_limit = Some(STRESS + Duration::from_secs(120));
    })
}

fn found(outcome: &Outcome, mistake: &str, reported: bool) -> Result<Status> {
    if outcome.progress.exit == Some(exit::FAIL) && reported {
        let loaded = outcome
            .progress
            .loaded
            .context("the module was never loaded")?;
        say!(
            "{mistake}: found, the module unloaded and the VM gone {} after loading",
            seconds(outcome.took.saturating_sub(loaded))
        );
        return Ok(Status::Pass);
    }
    Ok(Status::Fail(format!(
        "{mistake} was not found: status {:?}, reported: {reported}; see {}",
        outcome.progress.exit,
        outcome.dir.path().display()
    )))
}
