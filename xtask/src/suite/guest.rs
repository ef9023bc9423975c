// SPDX-License-Identifier: GPL-2.0-only
//! Booting for a test, and stress in the VM.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;

use super::Suite;
use crate::ctx::Ctx;
use crate::exit;
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::Status;
use crate::module::Variant;
use crate::pipeline::{self, Built};
use crate::vm::control::Unload;
use crate::vm::outcome::Outcome;
use crate::vm::{Spec, Task, accel, machine};

/// How long each stress runs.
pub(super) const STRESS: Duration = Duration::from_secs(30);

/// Boots what was built and runs a command.
pub(super) fn boot(
    ctx: &Ctx,
    built: &Built,
    title: &str,
    argv: Vec<OsString>,
    adjust: impl FnOnce(&mut Spec),
) -> Result<Outcome> {
    let mut spec = boot_spec(built, title, argv);
    adjust(&mut spec);
    let accel = accel::choose(ctx, &spec.kernel)?;
    machine::boot(ctx, &spec, accel)
}

/// A boot that runs a command.
pub(super) fn boot_spec(built: &Built, title: &str, argv: Vec<OsString>) -> Spec {
    let mut spec = built.spec(title, Task::Run { argv, echo: false });
    spec.leak_check = spec.kernel.checked;
    spec
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
