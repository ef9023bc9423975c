// SPDX-License-Identifier: GPL-2.0-only
//! The harness's own tests, in the VM.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use super::guest::boot_spec;
use super::lanes::{in_lanes, lanes};
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::{self, Status};
use crate::module::Variant;
use crate::pipeline;
use crate::step::output;
use crate::vm::accel;
use crate::vm::machine::Ready;
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

/// Seconds that a test may run. The longest takes 25 on the debug kernel, with another
/// boot beside it.
const PATIENCE: &str = "100";

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

/// The harness's tests, on both kernels. All is built before anything is booted.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    let mut boots = Vec::new();
    for stage in &STAGES {
        match prepare(suite, stage) {
            Ok(planned) => boots.extend(planned),
            Err(error) => failed(suite, stage, &[], &error)?,
        }
    }
    in_lanes(
        boots,
        |planned| (planned.stage, planned.names, planned.ready.boot()),
        |(stage, names, outcome)| {
            let recorded = outcome.and_then(|outcome| record(suite, stage, &names, &outcome));
            recorded.or_else(|error| failed(suite, stage, &names, &error))
        },
    )
}

/// A boot that is due.
struct Planned {
    stage: &'static Stage,
    ready: Ready,
    /// What it is expected to have results of.
    names: Vec<String>,
}

/// Builds what a stage needs; nothing if none of its tests is wanted.
fn prepare(suite: &mut Suite<'_>, stage: &'static Stage) -> Result<Option<Planned>> {
    if !could_match(suite.filter, stage.name) {
        return Ok(None);
    }
    if suite.ctx.global.kdir.is_some() && stage.flavour == Flavour::Debug {
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
    let is_quiet_wanted = suite.wants(&stage.full("quiet"));
    if names.is_empty() && !is_quiet_wanted {
        return Ok(None);
    }
    say!("{}: {} tests in one boot", stage.name, names.len());
    argv.insert(0, "faultline");
    argv.extend(["--timeout", PATIENCE]);
    // That it is quiet is said of all tests.
    argv.extend(inner_filter(suite.filter, stage.name).filter(|_| !names.is_empty()));
    let argv = argv.into_iter().map(OsString::from).collect();
    let mut spec = boot_spec(&built, stage.name, argv);
    spec.beside = u32::try_from(lanes() - 1)?;
    spec.params = stage.policy.iter().map(|p| format!("policy={p}")).collect();
    spec.run_limit = Some(LIMIT);
    // Tried out here, if it has to be: not beside another boot.
    let accel = accel::choose(suite.ctx, &spec.kernel)?;
    Ok(Some(Planned {
        stage,
        // Now: what is built may be another by the time it boots.
        ready: Ready::new(suite.ctx, spec, accel)?,
        names,
    }))
}

/// Takes in what a boot has found.
fn record(suite: &mut Suite<'_>, stage: &Stage, names: &[String], outcome: &Outcome) -> Result<()> {
    let results = ktap::parse(&fsx::read(&outcome.dir.output())?);
    for name in names {
        let found = results.iter().find(|r| r.name == *name);
        let status = found.map_or_else(|| no_result(outcome), |r| r.status.clone());
        suite.record(&stage.full(name), status, None);
    }
    let quiet = stage.full("quiet");
    suite.record(&quiet, quietness(outcome), Some(outcome.took));
    Ok(())
}

/// Takes in why a stage has no results of these tests.
fn failed(
    suite: &mut Suite<'_>,
    stage: &Stage,
    names: &[String],
    error: &anyhow::Error,
) -> Result<()> {
    signal::check()?;
    let status = Status::Fail(format!("{error:#}"));
    let quiet = stage.full("quiet");
    let all = names.iter().map(|name| stage.full(name));
    let wanted: Vec<String> = all.chain([quiet]).filter(|n| suite.wants(n)).collect();
    if wanted.is_empty() {
        // Under a name that nobody asked for it would not be seen.
        suite.must_fail(stage.name, status);
        return Ok(());
    }
    for name in wanted {
        suite.record(&name, status.clone(), None);
    }
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
