// SPDX-License-Identifier: GPL-2.0-only
//! Whatever ends xtask ends its QEMU too.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::xtask;
use crate::ctx::Ctx;
use crate::exit;

pub(super) fn interrupt_leaves_no_qemu(ctx: &Ctx) -> Result<()> {
    ended_by(ctx, Signal::INT, Some(exit::INTERRUPTED))
}

pub(super) fn kill_leaves_no_qemu(ctx: &Ctx) -> Result<()> {
    ended_by(ctx, Signal::KILL, None)
}

/// Ends a running xtask with `signal`; its QEMU must go too.
fn ended_by(ctx: &Ctx, signal: Signal, code: Option<u8>) -> Result<()> {
    let mut child = xtask(ctx, &["run", "--", "sh", "-c", "echo ready; sleep 600"])?
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let result = end(&mut child, signal, code);
    // Fails if it has ended, as it should have.
    child.kill().ok();
    child.wait().ok();
    result
}

fn end(child: &mut Child, signal: Signal, code: Option<u8>) -> Result<()> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
    ensure!(line == "ready\n", "the command did not start: {line:?}");
    let qemu = child_of(child.id()).context("xtask has no child")?;
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .context("no process")?;
    kill_process(pid, signal)?;
    let status = child.wait()?;
    ensure!(
        status.code() == code.map(i32::from),
        "xtask ended with {status}"
    );
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_alive(qemu) {
        ensure!(
            Instant::now() < deadline,
            "QEMU (pid {qemu}) is still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A process whose parent is `parent`.
fn child_of(parent: u32) -> Option<u32> {
    let pids = fs::read_dir("/proc").ok()?;
    pids.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid| status_field(*pid, "PPid:") == Some(parent.to_string()))
}

fn is_alive(pid: u32) -> bool {
    status_field(pid, "State:").is_some_and(|state| !state.starts_with('Z'))
}

fn status_field(pid: u32, name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    text.lines()
        .find_map(|l| Some(l.strip_prefix(name)?.trim().to_owned()))
}
