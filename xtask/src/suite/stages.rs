// SPDX-License-Identifier: GPL-2.0-only
//! The harness's own tests, in the VM.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use super::guest::boot;
use super::lanes::in_lanes;
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::{self, Status};
use crate::module::Variant;
use crate::pipeline::{self, Built};
use crate::step::output;
use crate::vm::accel;
use crate::vm::outcome::Outcome;
use crate::{fsx, say, signal};

/// How long all tests of one boot may run.
const LIMIT: Duration = Duration::from_secs(1800);

/// A run of the harness's tests, in one boot.
struct Stage {
    /// What their names begin with.
    name: &'static str,
    flavour: Flavour,
    /// The policy of new spaces, if it is not the usual one. Tests that choose
    /// theirs are left out then.
    policy: Option<&'static str>,
}

impl Stage {
    /// The whole name of one of its tests.
    fn full(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }
}

/// Groups of tests that choose the policies of all their spaces, and single tests
/// that do and take long.
const CHOOSE_POLICIES: &str = "atomic.,interleave.,policy.,region.,retry.,\
    disk.the_disk_delays_nobody_else,\
    holds.given_up_by_two_unmaps_at_once,holds.kept_while_regions_join_and_split";

/// Seconds that a test may run on the debug kernel, where the longest takes 20 s
/// on an idle machine.
const PATIENCE: &str = "120";

/// Those that take longest first.
const STAGES: [Stage; 6] = [
    Stage {
        name: "vm.debug",
        flavour: Flavour::Debug,
        policy: None,
    },
    Stage {
        name: "vm.base",
        flavour: Flavour::Base,
        policy: None,
    },
    Stage {
        name: "vm.global",
        flavour: Flavour::Base,
        policy: Some("global"),
    },
    Stage {
        name: "vm.region",
        flavour: Flavour::Base,
        policy: Some("region"),
    },
    Stage {
        name: "vm.range",
        flavour: Flavour::Base,
        policy: Some("range"),
    },
    Stage {
        name: "vm.spf_global",
        flavour: Flavour::Base,
        policy: Some("spf-global"),
    },
];

/// The harness's tests, on both kernels.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    let mut boots = Vec::new();
    for stage in &STAGES {
        match prepare(suite, stage) {
            Ok(boot) => boots.extend(boot),
            Err(error) => failed(suite, stage, error)?,
        }
    }
    let ctx = suite.ctx;
    in_lanes(
        boots,
        |planned| {
            let argv = planned.argv.iter().map(OsString::from).collect();
            let stage = planned.stage;
            boot(ctx, &planned.built, stage.name, argv, |spec| {
                spec.params = stage.policy.iter().map(|p| format!("policy={p}")).collect();
                spec.run_limit = Some(LIMIT);
            })
        },
        |planned, outcome| match outcome.and_then(|outcome| record(suite, &planned, &outcome)) {
            Ok(()) => Ok(()),
            Err(error) => failed(suite, planned.stage, error),
        },
    )
}

/// A boot that is due.
struct Planned {
    stage: &'static Stage,
    built: Built,
    /// What it is expected to have results of.
    names: Vec<String>,
    argv: Vec<String>,
}

/// Builds what a stage needs; nothing if none of its tests is wanted.
fn prepare(suite: &mut Suite<'_>, stage: &'static Stage) -> Result<Option<Planned>> {
    if !could_match(suite.filter, stage.name) {
        return Ok(None);
    }
    let debug = stage.flavour == Flavour::Debug;
    if suite.ctx.global.kdir.is_some() && debug {
        let status = Status::Skip("--kdir gives one kernel only".into());
        suite.record(&stage.full("quiet"), status, None);
        return Ok(None);
    }
    let built = pipeline::build(suite.ctx, Scope::ALL, stage.flavour, &Variant::ALL)?;
    let mut argv = vec!["test"];
    if stage.policy.is_some() {
        argv.extend(["--skip", CHOOSE_POLICIES]);
    }
    let listed = output(Command::new(&built.harness).args(&argv).arg("--list"))?;
    let wanted = |name: &&str| suite.wants(&stage.full(name));
    let names: Vec<String> = listed.lines().filter(wanted).map(str::to_owned).collect();
    if names.is_empty() && !suite.wants(&stage.full("quiet")) {
        return Ok(None);
    }
    say!("{}: {} tests in one boot", stage.name, names.len());
    argv.insert(0, "faultline");
    if debug {
        argv.extend(["--timeout", PATIENCE]);
    }
    argv.extend(inner_filter(suite.filter, stage.name));
    let argv = argv.into_iter().map(str::to_owned).collect();
    // Tried out here, if it has to be: not beside another boot.
    accel::choose(suite.ctx, &built.kernel)?;
    Ok(Some(Planned {
        stage,
        built,
        names,
        argv,
    }))
}

/// Takes in what a boot has found.
fn record(suite: &mut Suite<'_>, planned: &Planned, outcome: &Outcome) -> Result<()> {
    let Planned { stage, names, .. } = planned;
    let results = ktap::parse(&fsx::read(&outcome.dir.output())?);
    for name in names {
        let found = results.iter().find(|r| r.name == *name);
        let status = found.map_or_else(|| no_result(outcome), |r| r.status.clone());
        suite.record(&stage.full(name), status, None);
    }
    suite.record(&stage.full("quiet"), quietness(outcome), Some(outcome.took));
    Ok(())
}

/// Takes in why a stage has no results.
fn failed(suite: &mut Suite<'_>, stage: &Stage, error: anyhow::Error) -> Result<()> {
    signal::check()?;
    let quiet = stage.full("quiet");
    // Under a name that nobody asked for it would not be seen.
    if !suite.wants(&quiet) {
        return Err(error);
    }
    suite.record(&quiet, Status::Fail(format!("{error:#}")), None);
    Ok(())
}

fn no_result(outcome: &Outcome) -> Status {
    Status::Fail(format!("no result; see {}", outcome.dir.path().display()))
}

/// Whether a guest test's full name can contain `filter`.
fn could_match(filter: &str, stage: &str) -> bool {
    let elsewhere = ["host.", "e2e.", "vm."]
        .iter()
        .any(|s| filter.starts_with(s));
    filter.is_empty() || !elsewhere || stage.contains(filter) || filter.starts_with(stage)
}

/// The part of a filter that speaks of the harness's own names: what is behind as much
/// of it as is the end of the stage's name. It may let more through.
fn inner_filter<'f>(filter: &'f str, stage: &str) -> Option<&'f str> {
    let prefix = format!("{stage}.");
    if prefix.contains(filter) {
        return None;
    }
    let common = (0..=filter.len())
        .rev()
        .filter(|&n| filter.is_char_boundary(n));
    let common = common.map(|n| filter.split_at(n));
    let (_, rest) = common
        .into_iter()
        .find(|(start, _)| prefix.ends_with(start))?;
    (rest != "quiet").then_some(rest)
}

/// Everything about a boot except what the command itself found.
fn quietness(outcome: &Outcome) -> Status {
    let verdict = outcome.verdict();
    match verdict.reasons.is_empty() {
        true => Status::Pass,
        false => Status::Fail(format!(
            "{}\nsee {}",
            verdict.reasons.join("\n"),
            outcome.dir.path().display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_select_stages() {
        assert!(could_match("", "vm.base"));
        assert!(could_match("vm.", "vm.base"));
        assert!(could_match("vm.base.fault", "vm.base"));
        assert!(could_match("gup", "vm.base"));
        assert!(!could_match("vm.debug", "vm.base"));
        assert!(!could_match("host.fmt", "vm.base"));
        assert!(!could_match("vm.busted.skip_zap", "vm.base"));
    }

    #[test]
    fn the_guest_gets_its_part_of_the_filter() {
        assert_eq!(inner_filter("", "vm.base"), None);
        assert_eq!(inner_filter("vm.base", "vm.base"), None);
        assert_eq!(inner_filter("vm.base.", "vm.base"), None);
        assert_eq!(
            inner_filter("vm.base.gup.read", "vm.base"),
            Some("gup.read")
        );
        assert_eq!(inner_filter("gup", "vm.base"), Some("gup"));
        assert_eq!(inner_filter(".gup", "vm.base"), Some("gup"));
        assert_eq!(inner_filter("se.gup.r", "vm.base"), Some("gup.r"));
        assert_eq!(inner_filter("quiet", "vm.base"), None);
        assert_eq!(inner_filter("vm.base.quiet", "vm.base"), None);
    }
}
