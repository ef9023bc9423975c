// SPDX-License-Identifier: GPL-2.0-only
//! Tests in the VM: the harness's own, and stress.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use crate::ctx::Ctx;
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::{self, Status};
use crate::module::Variant;
use crate::pipeline::{self, Built};
use crate::step::output;
use crate::vm::control::Unload;
use crate::vm::outcome::Outcome;
use crate::vm::{Spec, Task, accel, machine};
use crate::{exit, fsx, say};

/// How long each stress runs.
pub(super) const STRESS: Duration = Duration::from_secs(30);

/// A run of the harness's tests.
struct Stage {
    /// What their names begin with.
    name: &'static str,
    flavour: Flavour,
    /// The policy of new spaces, if it is not the usual one. Tests that choose
    /// theirs are left out then.
    policy: Option<&'static str>,
}

/// Groups of tests that choose the policies of all their spaces, and single tests
/// that do and take long.
const CHOOSE_POLICIES: &str = "atomic.,interleave.,policy.,region.,retry.,\
    disk.the_disk_delays_nobody_else,\
    holds.given_up_by_two_unmaps_at_once,holds.kept_while_regions_join_and_split";

/// Seconds that a test may run on the debug kernel, where the longest takes 20 s
/// on an idle machine.
const PATIENCE: &str = "120";

const STAGES: [Stage; 6] = [
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
    Stage {
        name: "vm.debug",
        flavour: Flavour::Debug,
        policy: None,
    },
];

/// The harness's tests, on both kernels.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    STAGES.iter().try_for_each(|stage| run_stage(suite, stage))
}

fn run_stage(suite: &mut Suite<'_>, stage: &Stage) -> Result<()> {
    if !could_match(suite.filter, stage.name) {
        return Ok(());
    }
    if suite.ctx.global.kdir.is_some() && stage.flavour == Flavour::Debug {
        return skip(suite, stage.name);
    }
    let quiet = format!("{}.quiet", stage.name);
    match in_guest(suite, stage) {
        Ok(Some(outcome)) => {
            let status = quietness(&outcome);
            suite.record(&quiet, status, Some(outcome.took));
        }
        Ok(None) => {}
        Err(error) => {
            crate::signal::check()?;
            // Under a name that nobody asked for it would not be seen.
            if !suite.wants(&quiet) {
                return Err(error);
            }
            suite.record(&quiet, Status::Fail(format!("{error:#}")), None);
        }
    }
    Ok(())
}

fn skip(suite: &mut Suite<'_>, stage: &str) -> Result<()> {
    suite.record(
        &format!("{stage}.quiet"),
        Status::Skip("--kdir gives one kernel only".into()),
        None,
    );
    Ok(())
}

/// Runs the wanted tests in one boot; none if there are none.
fn in_guest(suite: &mut Suite<'_>, stage: &Stage) -> Result<Option<Outcome>> {
    let Stage {
        name: stage,
        flavour,
        policy,
    } = *stage;
    let built = pipeline::build(suite.ctx, Scope::ALL, flavour, &Variant::ALL)?;
    let mut argv = vec!["test"];
    if policy.is_some() {
        argv.extend(["--skip", CHOOSE_POLICIES]);
    }
    let listed = output(Command::new(&built.harness).args(&argv).arg("--list"))?;
    let full = |name: &str| format!("{stage}.{name}");
    let names: Vec<&str> = listed.lines().filter(|n| suite.wants(&full(n))).collect();
    if names.is_empty() && !suite.wants(&full("quiet")) {
        return Ok(None);
    }
    say!("{stage}: {} tests in one boot", names.len());
    argv.insert(0, "faultline");
    if flavour == Flavour::Debug {
        argv.extend(["--timeout", PATIENCE]);
    }
    argv.extend(inner_filter(suite.filter, stage));
    let argv = argv.into_iter().map(OsString::from).collect();
    let outcome = boot(suite.ctx, &built, stage, argv, |spec| {
        spec.params = policy.iter().map(|p| format!("policy={p}")).collect();
        spec.run_limit = Some(Duration::from_secs(1800));
    })?;
    let results = ktap::parse(&fsx::read(&outcome.dir.output())?);
    for name in names {
        let found = results.iter().find(|r| r.name == name);
        let status = found.map_or_else(|| no_result(&outcome), |r| r.status.clone());
        suite.record(&full(name), status, None);
    }
    Ok(Some(outcome))
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

/// The part of a filter that speaks of the harness's own names.
fn inner_filter<'f>(filter: &'f str, stage: &str) -> Option<&'f str> {
    let prefix = format!("{stage}.");
    match filter.strip_prefix(prefix.as_str()) {
        Some("" | "quiet") => None,
        Some(rest) => Some(rest),
        None if prefix.contains(filter) || filter == "quiet" => None,
        None => Some(filter),
    }
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

/// Boots what was built and runs a command.
pub(super) fn boot(
    ctx: &Ctx,
    built: &Built,
    title: &str,
    argv: Vec<OsString>,
    adjust: impl FnOnce(&mut Spec),
) -> Result<Outcome> {
    let mut spec = built.spec(title, Task::Run { argv, echo: false });
    spec.leak_check = spec.kernel.checked;
    adjust(&mut spec);
    let accel = accel::choose(ctx, &spec.kernel)?;
    machine::boot(ctx, &spec, accel)
}

/// A run of stress on the kernel with all checkers on.
struct Stress {
    name: &'static str,
    smp: u32,
    policy: &'static str,
    /// Whether faults and changes are delayed at every point.
    is_delayed: bool,
}

const fn stress_of(name: &'static str, smp: u32, policy: &'static str) -> Stress {
    Stress {
        name,
        smp,
        policy,
        is_delayed: false,
    }
}

const STRESSES: [Stress; 7] = [
    stress_of("vm.debug.stress", 2, "spf-range"),
    stress_of("vm.debug.stress8", 8, "spf-range"),
    Stress {
        is_delayed: true,
        ..stress_of("vm.debug.stress_delayed", 2, "spf-range")
    },
    stress_of("vm.debug.stress_spf_global", 8, "spf-global"),
    stress_of("vm.debug.stress_global", 8, "global"),
    stress_of("vm.debug.stress_region", 2, "region"),
    stress_of("vm.debug.stress_range", 8, "range"),
];

/// Stress with as many vCPUs as cores, or with more.
pub(crate) fn stress(suite: &mut Suite<'_>) -> Result<()> {
    for stress in &STRESSES {
        suite.case(stress.name, |ctx| {
            if ctx.global.kdir.is_some() {
                return Ok(Status::Skip("--kdir gives one kernel only".into()));
            }
            run_stress(ctx, stress)
        })?;
    }
    Ok(())
}

fn run_stress(ctx: &Ctx, stress: &Stress) -> Result<Status> {
    let variant = match stress.is_delayed {
        true => Variant::TestHooks,
        false => Variant::Plain,
    };
    let built = pipeline::build(ctx, Scope::ALL, Flavour::Debug, &[variant])?;
    let mut argv = stress_argv();
    argv.extend(["--policy", stress.policy].map(OsString::from));
    if stress.is_delayed {
        // Leaves come and go only if changes are as large as they are.
        let large = ["--pages", "8192", "--change-pages", "2048"];
        argv.extend(large.map(OsString::from));
        argv.push("--every-point".into());
    }
    let outcome = boot(ctx, &built, stress.name, argv, |spec| {
        spec.smp = stress.smp;
        spec.run_limit = Some(STRESS + Duration::from_secs(120));
        if stress.is_delayed {
            spec.params = vec!["delay_one_in=5".into()];
        }
    })?;
    Ok(stress_status(&outcome))
}

pub(super) fn stress_argv() -> Vec<OsString> {
    let seconds = STRESS.as_secs().to_string();
    ["faultline", "stress", "--seconds", &seconds, "--seed", "1"]
        .map(OsString::from)
        .to_vec()
}

fn stress_status(outcome: &Outcome) -> Status {
    let verdict = outcome.verdict();
    let mut reasons = verdict.reasons;
    match outcome.progress.exit {
        Some(exit::PASS) | None => {}
        Some(status) => reasons.push(format!("stress ended with status {status}")),
    }
    if !matches!(outcome.progress.unload, Some(Unload::Clean)) {
        reasons.push("the module was not unloaded".into());
    }
    if outcome.progress.exit.is_some() && !outcome.progress.scanned {
        reasons.push("no leak check took place".into());
    }
    match reasons.is_empty() {
        true => Status::Pass,
        false => Status::Fail(format!(
            "{}\nsee {}",
            reasons.join("\n"),
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
        assert_eq!(inner_filter("vm.base.quiet", "vm.base"), None);
    }
}
