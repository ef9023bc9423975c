// SPDX-License-Identifier: GPL-2.0-only
//! Pages are charged to the memory cgroup of who touches them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::Prot;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::{Child, End};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "cgroup":
    touched_pages_are_charged,
    unmapped_pages_are_uncharged,
    limit_ends_in_the_oom_kill,
    other_processes_survive_the_oom_kill,
];

const MIB: u64 = 1 << 20;
/// Of everything but pages: page tables, the process itself, batches.
const SLACK: u64 = 4 * MIB;

/// A cgroup of our own. It goes when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(max: Option<u64>) -> Result<Cgroup, Stop> {
        let root = Path::new("/sys/fs/cgroup");
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        if !controllers.split_whitespace().any(|name| name == "memory") {
            return Err(Stop::skip("no memory controller in /sys/fs/cgroup"));
        }
        fs::write(root.join("cgroup.subtree_control"), "+memory")?;
        let group = Cgroup(root.join(format!("faultline-test-{}", std::process::id())));
        fs::create_dir(&group.0)?;
        if let Some(max) = max {
            fs::write(group.0.join("memory.max"), max.to_string())?;
        }
        Ok(group)
    }

    fn enter(&self) -> Outcome {
        Ok(fs::write(self.0.join("cgroup.procs"), "0")?)
    }

    fn number(&self, file: &str) -> Result<u64, Stop> {
        let text = fs::read_to_string(self.0.join(file))?;
        text.trim()
            .parse()
            .map_err(|_| Stop::fail(format!("{file} says {text}")))
    }

    fn event(&self, name: &str) -> Result<u64, Stop> {
        let text = fs::read_to_string(self.0.join("memory.events"))?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .ok_or_else(|| Stop::fail(format!("no {name} in memory.events: {text}")))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Busy as long as a process of it is not reaped.
        let deadline = Instant::now() + Duration::from_secs(3);
        while fs::remove_dir(&self.0).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

const PAGES: usize = 4096;
const BYTES: u64 = (PAGES * PAGE) as u64;
const LIMIT: Duration = Duration::from_secs(25);

fn touched_pages_are_charged() -> Outcome {
    let group = Cgroup::new(None)?;
    let child = Child::fork(|| {
        group.enter()?;
        let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
        let before = group.number("memory.current")?;
        arena.stamp(0, PAGES, 1)?;
        let after = group.number("memory.current")?;
        let grown = after.saturating_sub(before);
        ensure!(
            (BYTES - SLACK..BYTES + SLACK).contains(&grown),
            "memory.current grew by {grown} with {BYTES} bytes touched"
        );
        Ok(())
    })?;
    child.finish(LIMIT)
}

fn unmapped_pages_are_uncharged() -> Outcome {
    let group = Cgroup::new(None)?;
    let child = Child::fork(|| {
        group.enter()?;
        let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
        arena.stamp(0, PAGES, 1)?;
        let full = group.number("memory.current")?;
        arena.unmap(0, PAGES)?;
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let freed = full.saturating_sub(group.number("memory.current")?);
            if freed >= BYTES - SLACK {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "UNMAP of {BYTES} bytes uncharged {freed}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    })?;
    child.finish(LIMIT)
}

/// Has a child touch 64 MiB with 16 MiB allowed; it must be killed.
fn overrun(group: &Cgroup, board: &'static Board) -> Outcome {
    let mut child = Child::fork(|| {
        group.enter()?;
        let arena = Arena::new(16 << 10, Prot::READ_WRITE)?;
        for page in 0..16 << 10 {
            arena.window.store(page * PAGE, 1)?;
            board.set(0, page as u64 + 1);
        }
        Ok(())
    })?;
    let end = child.end(LIMIT)?;
    if let End::Exited(_) = end {
        child.outcome(end)?;
    }
    let touched = board.get(0);
    ensure_eq!(
        end,
        End::Killed(libc::SIGKILL),
        "end of the child, {touched} pages touched"
    );
    ensure!(
        (1024..=4096).contains(&touched),
        "{touched} pages touched with 16 MiB allowed"
    );
    Ok(())
}

fn limit_ends_in_the_oom_kill() -> Outcome {
    let group = Cgroup::new(Some(16 * MIB))?;
    let before = group.event("oom_kill")?;
    overrun(&group, Board::new()?)?;
    ensure_eq!(
        group.event("oom_kill")? - before,
        1,
        "oom_kill in memory.events"
    );
    // Dead processes hold nothing.
    let deadline = Instant::now() + Duration::from_secs(5);
    while group.number("memory.current")? > SLACK {
        ensure!(
            Instant::now() < deadline,
            "still charged: {}",
            group.number("memory.current")?
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn other_processes_survive_the_oom_kill() -> Outcome {
    let group = Cgroup::new(Some(16 * MIB))?;
    let arena = Arena::new(64, Prot::READ_WRITE)?;
    arena.stamp(0, 64, 5)?;
    overrun(&group, Board::new()?)?;
    Arena::holds(&arena.window, 0, 64, 5, "our own space afterwards")?;
    arena.unmap(0, 64)
}
