// SPDX-License-Identifier: GPL-2.0-only
//! `trace`, with the real trace-cmd as a second reader.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{expect, scratch};
use crate::ctx::Ctx;
use crate::host::needs::{self, Scope};
use crate::step::output;
use crate::{exit, fsx, harness};

/// Traces a stress under `policy`; the directory, and what the stress has reported.
fn traced_stress(ctx: &Ctx, name: &str, policy: &str) -> Result<(PathBuf, Value)> {
    let dir = scratch(ctx, name)?;
    let out = dir.to_string_lossy().into_owned();
    let args = [
        "trace",
        "--out",
        &out,
        "--",
        "faultline",
        "stress",
        "--json",
    ];
    let more = ["--seconds", "2", "--policy", policy];
    let output = expect(ctx, &[&args[..], &more].concat(), exit::PASS)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let line = stdout.lines().find(|line| line.starts_with('{'));
    let report = serde_json::from_str(line.context("the stress did not report")?)?;
    Ok((dir, report))
}

/// The summary of a directory's trace, in JSON.
fn summary(ctx: &Ctx, dir: &Path) -> Result<Value> {
    let mut command = Command::new(harness::built(ctx));
    command.args(["trace", "report", "--json"]);
    let text = output(command.arg(dir.join("trace.dat")))?;
    Ok(serde_json::from_str(&text)?)
}

/// What trace-cmd reads of a directory's trace.
fn read_by_trace_cmd(ctx: &Ctx, dir: &Path) -> Result<String> {
    let _lock = ctx.lock()?;
    needs::ensure(ctx, Scope::TRACE)?;
    output(
        Command::new("trace-cmd")
            .args(["report", "-i"])
            .arg(dir.join("trace.dat")),
    )
}

fn number(value: &Value, path: &str) -> Result<u64> {
    let found = value.pointer(path).and_then(Value::as_u64);
    found.with_context(|| format!("no {path} in {value}"))
}

pub(super) fn trace_cmd_reads_the_same(ctx: &Ctx) -> Result<()> {
    let (dir, _) = traced_stress(ctx, "trace-cmd", "spf-range")?;
    let is_event = |line: &&str| line.contains(": faultline_") || line.contains("  faultline_");
    let text = fsx::read(&dir.join("trace.txt"))?;
    let ours = text.lines().filter(|line| !line.starts_with('#')).count();
    let theirs = read_by_trace_cmd(ctx, &dir)?;
    let theirs = theirs.lines().filter(is_event).count();
    ensure!(ours > 1000, "{ours} events of two seconds of stress");
    ensure!(ours == theirs, "{ours} events here, {theirs} by trace-cmd");
    let events = summary(ctx, &dir)?;
    let events = events.pointer("/events").and_then(Value::as_object);
    let sum: u64 = events
        .context("no events in the summary")?
        .values()
        .filter_map(Value::as_u64)
        .sum();
    ensure!(
        sum == ours as u64,
        "{sum} events in the summary, {ours} lines"
    );
    Ok(())
}

/// With what the workload itself has asked the module for, and with what the module
/// tells when the space ends.
pub(super) fn summary_agrees_with_the_counters(ctx: &Ctx) -> Result<()> {
    for policy in ["spf-range", "global"] {
        let (dir, report) = traced_stress(ctx, &format!("trace-{policy}"), policy)?;
        let summary = summary(ctx, &dir)?;
        let lost = summary.pointer("/lost/gaps").and_then(Value::as_array);
        ensure!(
            lost.is_some_and(Vec::is_empty),
            "events were lost: {:?}",
            summary.pointer("/lost")
        );
        compare(&summary, &report).with_context(|| format!("under {policy}"))?;
        let differences = summary.pointer("/agreement/differences");
        ensure!(
            differences
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty),
            "{policy}: {differences:?}"
        );
        ensure!(number(&summary, "/agreement/spaces")? >= 1);
        let sizes = summary.pointer("/locks/by_size").and_then(Value::as_array);
        let lock = if policy == "global" {
            "semaphore"
        } else {
            "1 page"
        };
        let is_lock = |row: &Value| {
            let size = row.pointer("/size").and_then(Value::as_str);
            size.is_some_and(|size| size.contains(lock))
        };
        ensure!(
            sizes.is_some_and(|sizes| sizes.iter().any(is_lock)),
            "{policy}: no waits for {lock} in {sizes:?}"
        );
    }
    Ok(())
}

/// The stress asks for the counters of its space when all faults are over. (In spaces of
/// their own it tries out what the module can, which brings pages, but no faults.)
fn compare(summary: &Value, report: &Value) -> Result<()> {
    let sum = |path: &str, of: &dyn Fn(&str) -> bool| {
        let counts = summary.pointer(path).and_then(Value::as_object);
        let counts = counts.into_iter().flatten();
        let wanted = counts.filter(|(name, _)| of(name));
        wanted.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    let all = |_: &str| true;
    let counted = |counter: &str| number(report, &format!("/speculations/{counter}"));
    let mut pairs = vec![
        (
            "faults",
            sum("/counts/completed", &all),
            number(report, "/faults/all")?,
        ),
        (
            "faults that went well",
            sum("/counts/completed", &|how| how.ends_with(" ok")),
            number(report, "/faults/ok")?,
        ),
        (
            "fallbacks",
            number(summary, "/counts/fell_back")?,
            counted("spf_fallbacks")?,
        ),
        (
            "attempts",
            sum("/counts/speculated", &all) + sum("/counts/aborted", &all),
            counted("spf_attempts")?,
        ),
    ];
    for kind in ["anon_read", "anon_write", "shared_read", "private_write"] {
        let events = sum("/counts/speculated", &|name| name == kind);
        pairs.push((kind, events, counted(&format!("spf_{kind}"))?));
    }
    for cause in [
        "writer_active",
        "no_region",
        "denied",
        "stale",
        "not_cached",
    ] {
        let events = sum("/counts/aborted", &|name| name == cause);
        pairs.push((cause, events, counted(&format!("spf_{cause}"))?));
    }
    for (what, events, counted) in &pairs {
        ensure!(
            events == counted,
            "{what}: {events} by events, {counted} counted"
        );
    }
    ensure!(pairs[0].1 > 100, "{} faults in two seconds", pairs[0].1);
    Ok(())
}

pub(super) fn losses_are_said_first(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "trace-loss")?;
    let out = dir.to_string_lossy().into_owned();
    let args = [
        "trace",
        "--buffer",
        "4K",
        "--out",
        &out,
        "--",
        "faultline",
        "stress",
        "--seconds",
        "1",
    ];
    expect(ctx, &args, exit::PASS)?;
    let text = fsx::read(&dir.join("summary.txt"))?;
    ensure!(
        text.starts_with("EVENTS WERE LOST: "),
        "it begins: {text:.300}"
    );
    ensure!(
        text.contains("--buffer (it was 4K)"),
        "no advice: {text:.600}"
    );
    ensure!(
        text.contains("not compared"),
        "counters are compared: {text:.900}"
    );
    let summary = summary(ctx, &dir)?;
    let overrun = number(&summary, "/lost/buffers/0/overrun")?;
    let gaps = summary.pointer("/lost/gaps").and_then(Value::as_array);
    ensure!(overrun > 0, "no overrun in {summary}");
    ensure!(
        gaps.is_some_and(|gaps| !gaps.is_empty()),
        "no page is marked"
    );
    Ok(())
}

pub(super) fn a_wrong_filter_is_explained(ctx: &Ctx) -> Result<()> {
    let filter = "fault_aborted:cause == 3 && nonsense == 1";
    let args = ["trace", "--filter", filter, "--", "true"];
    let output = expect(ctx, &args, exit::USAGE)?;
    let said = String::from_utf8_lossy(&output.stdout);
    for part in ["cause == 3 && nonsense == 1", "^", "sequence"] {
        ensure!(said.contains(part), "{part} is not in: {said}");
    }
    Ok(())
}

/// Neither an error nor a signal leaves the instance, or the command, behind.
pub(super) fn nothing_is_left_behind(ctx: &Ctx) -> Result<()> {
    let script = "faultline trace record --events nonsense -- true; echo refused=$?; \
                  faultline trace record -- sleep 100 & sleep 3; \
                  ls /sys/kernel/tracing/instances | wc -l; \
                  kill $!; wait $!; echo ended=$?; \
                  ls /sys/kernel/tracing/instances | wc -l; pidof sleep || echo gone";
    let output = expect(ctx, &["run", "--", "sh", "-c", script], exit::PASS)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = stdout
        .lines()
        .filter(|line| !line.starts_with("faultline trace: "))
        .collect();
    let expected = ["refused=64", "1", "ended=130", "0", "gone"];
    ensure!(lines == expected, "the guest said: {stdout}");
    Ok(())
}

pub(super) fn the_commands_status_is_passed_on(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "trace-status")?;
    let out = dir.to_string_lossy().into_owned();
    let args = [
        "trace",
        "--json",
        "--out",
        &out,
        "--",
        "sh",
        "-c",
        "echo mine; exit 7",
    ];
    let output = expect(ctx, &args, 7)?;
    let summary: Value = serde_json::from_slice(&output.stdout).context("stdout is not JSON")?;
    ensure!(summary.pointer("/lost").is_some(), "no summary: {summary}");
    Ok(())
}
