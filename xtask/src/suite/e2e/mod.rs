// SPDX-License-Identifier: GPL-2.0-only
//! Tests of xtask itself, as a user runs it.

mod bench;
mod cases;
mod examples;
mod signals;
mod trace;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::Suite;
use crate::ctx::Ctx;
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::Status;
use crate::module::Variant;
use crate::step::{die_with_parent, show};
use crate::{exit, fsx, pipeline};

/// What `run OPTIONS -- sh -c SCRIPT` must end with: name, options, script,
/// status.
const STATUSES: [(&str, &str, &str, u8); 10] = [
    (
        "e2e.usage.unknown_option",
        "--frobnicate",
        "true",
        exit::USAGE,
    ),
    (
        "e2e.usage.added_file_missing",
        "--add /nonexistent",
        "true",
        exit::USAGE,
    ),
    ("e2e.run.status_0", "", "true", 0),
    ("e2e.run.status_1", "", "false", 1),
    ("e2e.run.status_42", "", "exit 42", 42),
    (
        "e2e.run.panic_is_255",
        "",
        "echo c > /proc/sysrq-trigger; sleep 60",
        exit::GUEST_DIED,
    ),
    (
        "e2e.run.hang_is_124",
        "--timeout 3",
        "sleep 600",
        exit::TIMEOUT,
    ),
    (
        "e2e.run.console_report_fails",
        "",
        "echo 'WARNING: planted' > /dev/kmsg",
        exit::FAIL,
    ),
    (
        "e2e.run.no_boot_is_69",
        "--boot-timeout 1 --smp 32",
        "true",
        exit::UNAVAILABLE,
    ),
    (
        "e2e.run.missing_qemu_is_69",
        "--qemu /nonexistent/qemu",
        "true",
        exit::UNAVAILABLE,
    ),
];

type Body = fn(&Ctx) -> Result<()>;

/// The tests that need more than that.
const CASES: [(&str, Body); 21] = [
    ("e2e.usage.no_command", cases::no_command),
    ("e2e.usage.kdir_without_rust", cases::kdir_without_rust),
    ("e2e.build.warm_is_idle", cases::warm_is_idle),
    (
        "e2e.bench.every_workload_on_every_target",
        bench::every_workload_on_every_target,
    ),
    (
        "e2e.bench.compare_finds_what_was_planted",
        bench::compare_finds_what_was_planted,
    ),
    (
        "e2e.run.arguments_and_added_file",
        cases::arguments_and_added_file,
    ),
    (
        "e2e.run.files_are_brought_back",
        cases::files_are_brought_back,
    ),
    (
        "e2e.run.files_that_cannot_come_are_missed",
        cases::files_that_cannot_come_are_missed,
    ),
    (
        "e2e.run.guest_has_its_file_systems",
        cases::guest_has_its_file_systems,
    ),
    (
        "e2e.run.dry_run_starts_nothing",
        cases::dry_run_starts_nothing,
    ),
    (
        "e2e.shell.runs_what_it_is_told",
        cases::shell_runs_what_it_is_told,
    ),
    (
        "e2e.trace.trace_cmd_reads_the_same",
        trace::trace_cmd_reads_the_same,
    ),
    (
        "e2e.trace.summary_agrees_with_the_counters",
        trace::summary_agrees_with_the_counters,
    ),
    (
        "e2e.trace.losses_are_said_first",
        trace::losses_are_said_first,
    ),
    (
        "e2e.trace.a_wrong_filter_is_explained",
        trace::a_wrong_filter_is_explained,
    ),
    (
        "e2e.trace.nothing_is_left_behind",
        trace::nothing_is_left_behind,
    ),
    (
        "e2e.trace.the_commands_status_is_passed_on",
        trace::the_commands_status_is_passed_on,
    ),
    (
        "e2e.signal.interrupt_leaves_no_qemu",
        signals::interrupt_leaves_no_qemu,
    ),
    (
        "e2e.signal.kill_leaves_no_qemu",
        signals::kill_leaves_no_qemu,
    ),
    ("e2e.example.arena_in_rust", examples::arena_in_rust),
    ("e2e.example.arena_in_c", examples::arena_in_c),
];

/// Runs all that are wanted, on a base kernel that is built first.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    let names = STATUSES.map(|(name, ..)| name);
    if !suite.wants_any(&names) && !suite.wants_any(&CASES.map(|(name, _)| name)) {
        return Ok(());
    }
    let built = pipeline::build(suite.ctx, Scope::ALL, Flavour::Base, &[Variant::Plain]);
    let failure = built.err().map(|error| format!("{error:#}"));
    let status = |result: Result<()>| result.map(|()| Status::Pass);
    for (name, options, script, code) in STATUSES {
        suite.case(name, |ctx| match &failure {
            Some(why) => Ok(Status::Fail(why.clone())),
            None => status(run_ends_with(ctx, options, script, code)),
        })?;
    }
    for (name, body) in CASES {
        suite.case(name, |ctx| match &failure {
            Some(why) => Ok(Status::Fail(why.clone())),
            None => status(body(ctx)),
        })?;
    }
    Ok(())
}

fn run_ends_with(ctx: &Ctx, options: &str, script: &str, code: u8) -> Result<()> {
    let mut args = vec!["run"];
    args.extend(options.split_whitespace());
    args.extend(["--", "sh", "-c", script]);
    expect(ctx, &args, code).map(drop)
}

/// This very xtask, without any options. By way of the running process: the
/// tests before may have had cargo build its file anew.
fn this_xtask() -> Command {
    Command::new(format!("/proc/{}/exe", std::process::id()))
}

/// This very xtask with the same options of every command; later ones win.
fn xtask(ctx: &Ctx, args: &[&str]) -> Result<Command> {
    let mut command = this_xtask();
    let accel = ctx.global.accel.to_possible_value();
    command
        .env("FAULTLINE_CACHE", &ctx.cache)
        .env("FAULTLINE_QEMU", &ctx.global.qemu);
    command.args(args.first());
    command.arg(format!(
        "--accel={}",
        accel.as_ref().map_or("auto", |a| a.get_name())
    ));
    if let Some(dir) = &ctx.global.kdir {
        command.arg("--kdir").arg(dir);
    }
    if ctx.global.offline {
        command.arg("--offline");
    }
    command.args(args.iter().skip(1)).stdin(Stdio::null());
    die_with_parent(&mut command);
    Ok(command)
}

/// Runs xtask and compares its status; stderr must have no stack trace.
fn expect(ctx: &Ctx, args: &[&str], code: u8) -> Result<Output> {
    let mut command = xtask(ctx, args)?;
    let output = command
        .output()
        .with_context(|| format!("starting `{}`", show(&command)))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code.into()),
        "expected status {code}, got {}; stderr:\n{stderr}",
        output.status
    );
    ensure!(
        !stderr.contains("stack backtrace"),
        "a stack trace on stderr:\n{stderr}"
    );
    Ok(output)
}

/// An empty directory for one test.
fn scratch(ctx: &Ctx, name: &str) -> Result<PathBuf> {
    let dir = ctx.repo.join("target/e2e").join(name);
    fsx::remove(&dir)?;
    fsx::make_dir(&dir)?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are part of the interface.
    #[test]
    fn no_two_tests_have_one_name() {
        let mut names = STATUSES.map(|(name, ..)| name).to_vec();
        names.extend(CASES.map(|(name, _)| name));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STATUSES.len() + CASES.len());
    }
}
