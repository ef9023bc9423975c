// SPDX-License-Identifier: GPL-2.0-only
//! Tests that look at more than an exit status.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::{expect, scratch, this_xtask, xtask};
use crate::ctx::Ctx;
use crate::vm::rundir::RunDir;
use crate::{exit, fsx};

pub(super) fn no_command(ctx: &Ctx) -> Result<()> {
    expect(ctx, &[], exit::USAGE).map(drop)
}

pub(super) fn kdir_without_rust(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "kdir")?;
    fsx::write_atomic(&dir.join(".config"), "CONFIG_MODULES=y\n")?;
    let dir = dir.to_string_lossy().into_owned();
    let mut command = this_xtask();
    command
        .args(["build", "--kdir", &dir])
        .env("FAULTLINE_CACHE", &ctx.cache);
    let output = command.stdin(Stdio::null()).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(exit::USAGE.into()),
        "{}: {stderr}",
        output.status
    );
    ensure!(
        stderr.contains("CONFIG_RUST"),
        "the reason is missing: {stderr}"
    );
    Ok(())
}

pub(super) fn warm_is_idle(ctx: &Ctx) -> Result<()> {
    let start = Instant::now();
    let output = expect(ctx, &["build", "--offline"], exit::PASS)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        stderr.contains("nothing built"),
        "something was built:\n{stderr}"
    );
    ensure!(
        start.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        start.elapsed()
    );
    Ok(())
}

pub(super) fn arguments_and_added_file(ctx: &Ctx) -> Result<()> {
    let script = scratch(ctx, "added")?.join("show-arguments");
    fsx::write_atomic(
        &script,
        "#!/bin/sh\nfor word; do echo \"<$word>\"; done\necho err >/dev/stderr\n",
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644))?;
    let add = format!("{}:/opt/tools/", script.display());
    let args = [
        "run",
        "--add",
        &add,
        "--",
        "/opt/tools/show-arguments",
        "two  words",
        "it's",
        "$HOME",
        "",
    ];
    let output = expect(ctx, &args, exit::PASS)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        stdout == "<two  words>\n<it's>\n<$HOME>\n<>\nerr\n",
        "stdout: {stdout:?}"
    );
    Ok(())
}

/// Some megabytes, and a status of the command's own.
pub(super) fn files_are_brought_back(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "brought")?;
    let to = dir.join("to").to_string_lossy().into_owned();
    let script = "mkdir -p /out/deep && echo text >/out/deep/small && \
                  dd if=/dev/urandom of=/out/large bs=1M count=40 2>/dev/null && \
                  sha256sum </out/large && exit 7";
    let output = expect(ctx, &["run", "--bring", &to, "--", "sh", "-c", script], 7)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let large = fs::read(dir.join("to/large"))?;
    let sum: String = Sha256::digest(&large)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    ensure!(large.len() == 40 << 20, "{} bytes came", large.len());
    ensure!(
        stdout.contains(&sum),
        "the file is another: {sum}, {stdout}"
    );
    ensure!(fsx::read(&dir.join("to/deep/small"))? == "text\n");
    Ok(())
}

pub(super) fn files_that_cannot_come_are_missed(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "missed")?;
    let to = dir.to_string_lossy().into_owned();
    let script = "echo text >/out/file; echo c >/proc/sysrq-trigger; sleep 60";
    let args = ["run", "--bring", &to, "--", "sh", "-c", script];
    let output = expect(ctx, &args, exit::GUEST_DIED)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(
        stderr.contains("files of the guest are missing: the guest ended before"),
        "it is not said: {stderr}"
    );
    Ok(())
}

pub(super) fn guest_has_its_file_systems(ctx: &Ctx) -> Result<()> {
    let script = "test -c /dev/faultline && test -d /sys/kernel/tracing/events && test -d /sys/kernel/debug/bdi \
                  && test -e /sys/fs/cgroup/cgroup.procs && touch /tmp/x && test -d /proc/self && command -v faultline";
    expect(ctx, &["run", "--", "sh", "-c", script], exit::PASS).map(drop)
}

pub(super) fn dry_run_starts_nothing(ctx: &Ctx) -> Result<()> {
    let count = || {
        fs::read_dir(RunDir::parent(ctx))
            .into_iter()
            .flatten()
            .count()
    };
    let before = count();
    let output = expect(ctx, &["run", "--dry-run", "--smp", "3"], exit::PASS)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        stdout.contains("-smp 3") && stdout.contains("-kernel "),
        "no command: {stdout}"
    );
    ensure!(count() == before, "a run left its directory");
    Ok(())
}

pub(super) fn shell_runs_what_it_is_told(ctx: &Ctx) -> Result<()> {
    let mut child = xtask(ctx, &["shell"])?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut typed = child.stdin.take().context("no stdin")?;
    let mut shown = BufReader::new(child.stdout.take().context("no stdout")?);
    // What is typed before the guest listens is lost, so wait for the prompt.
    shown.read_until(b'#', &mut Vec::new())?;
    typed.write_all(b"echo sum=$((40+2))\nexit 7\n")?;
    let mut rest = Vec::new();
    shown.read_to_end(&mut rest)?;
    let rest = String::from_utf8_lossy(&rest);
    let status = child.wait()?;
    ensure!(rest.contains("sum=42"), "the shell showed: {rest}");
    ensure!(status.code() == Some(7), "{status}");
    Ok(())
}
