// SPDX-License-Identifier: GPL-2.0-only
//! The command that is traced, and whatever it leaves behind.
//!
//! Events are switched off when nothing runs any more (see [`Instance`]). So the recorder
//! is the parent of all that the command has started and left, and ends it.
//!
//! [`Instance`]: super::tracefs::Instance

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Status of a process that a signal told to end.
const INTERRUPTED: u8 = 130;
/// How often the command and the signals are looked at.
const POLL: Duration = Duration::from_millis(5);
/// How long the command may take to end by itself, once it was told to. (In tests on a
/// machine where it gets no processor for a while, longer.)
const GRACE: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 5 });
/// How long one that is killed may take: in the kernel it may hang for ever.
const KILLED: Duration = Duration::from_secs(5);

/// The number of the last signal that told the recorder to end, or 0.
pub struct Signals(Arc<AtomicUsize>);

impl Signals {
    /// From now on these signals are noted.
    pub fn catch() -> Result<Signals> {
        let last = Arc::new(AtomicUsize::new(0));
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
            let number = usize::try_from(signal).context("a signal's number")?;
            signal_hook::flag::register_usize(signal, Arc::clone(&last), number)
                .context("catching signals")?;
        }
        Ok(Signals(last))
    }

    /// The last one, once.
    fn take(&self) -> Option<Signal> {
        let number = self.0.swap(0, Ordering::Relaxed);
        Signal::from_named_raw(i32::try_from(number).ok()?)
    }
}

/// Starts the command. What its processes leave behind becomes this one's.
pub fn start(command: &[OsString]) -> Result<Child> {
    set_child_subreaper(Some(getpid())).context("becoming the parent of what is left")?;
    let (program, arguments) = command.split_first().context("there is no command")?;
    Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("starting {}", program.to_string_lossy()))
}

/// Waits for the command, which gets the signals that come here. If it does not end then,
/// or at a second one, it is killed; and if that does not help, left alone.
pub fn wait(mut child: Child, signals: &Signals) -> Result<u8> {
    let mut told: Option<Instant> = None;
    let mut killed: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait().context("waiting for the command")? {
            return Ok(if told.is_some() {
                INTERRUPTED
            } else {
                code_of(status)
            });
        }
        match (signals.take(), told, killed) {
            (Some(signal), None, _) => {
                told = Some(Instant::now());
                // Fails only if it has ended.
                let _ = kill_process(Pid::from_child(&child), signal);
            }
            (again, Some(since), None) if again.is_some() || since.elapsed() > GRACE => {
                killed = Some(Instant::now());
                eprintln!("faultline trace: the command does not end, and is killed");
                let _ = child.kill();
            }
            (_, _, Some(since)) if since.elapsed() > KILLED => {
                eprintln!("faultline trace: the command hangs, and is left alone");
                return Ok(INTERRUPTED);
            }
            _ => std::thread::sleep(POLL),
        }
    }
}

/// As a shell has it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
}

/// Kills what the command has left behind, and says so.
pub fn end_rest() {
    let killed = end_children(getpid(), KILLED);
    match killed.len() {
        0 => {}
        1 => eprintln!("faultline trace: a process that the command left behind is killed"),
        n => eprintln!("faultline trace: {n} processes that the command left behind are killed"),
    }
}

/// Kills all children of `parent`, and those who become its children by that. Returns
/// who was killed; gives up after `limit`.
fn end_children(parent: Pid, limit: Duration) -> Vec<Pid> {
    let start = Instant::now();
    let mut killed = Vec::new();
    loop {
        let children = children(parent);
        if children.is_empty() || start.elapsed() > limit {
            return killed;
        }
        for (child, is_dead) in children {
            if !is_dead && !killed.contains(&child) && kill_process(child, Signal::KILL).is_ok() {
                killed.push(child);
            }
            // One of somebody else's is not there to be waited for.
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
        std::thread::sleep(POLL);
    }
}

/// The children of a process, and whether they are dead and only to be waited for.
fn children(parent: Pid) -> Vec<(Pid, bool)> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: fs::DirEntry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // A name may have spaces and brackets.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let is_dead = fields.next()? == "Z";
        let its_parent: i32 = fields.next()?.parse().ok()?;
        (its_parent == parent.as_raw_pid()).then_some((Pid::from_raw(number)?, is_dead))
    };
    processes.filter_map(child).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    fn signals() -> Signals {
        Signals(Arc::default())
    }

    /// A shell that has run its script to the line "ready", and waits.
    fn shell(script: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        child
    }

    #[test]
    fn a_command_may_end_by_itself() {
        let dir = std::env::temp_dir().join(format!("faultline-told-{}", std::process::id()));
        let script = format!(
            "trap 'echo told > {}; exit 3' QUIT; echo ready; while :; do sleep 0.01; done",
            dir.display()
        );
        let child = shell(&script);
        let signals = signals();
        signals.0.store(SIGQUIT as usize, Ordering::Relaxed);
        assert_eq!(wait(child, &signals).unwrap(), INTERRUPTED);
        assert_eq!(fs::read_to_string(&dir).unwrap(), "told\n");
        fs::remove_file(&dir).unwrap();
    }

    #[test]
    fn a_second_signal_kills() {
        let child = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done");
        let (pid, signals) = (Pid::from_child(&child), signals());
        let last = Arc::clone(&signals.0);
        last.store(SIGTERM as usize, Ordering::Relaxed);
        let waiting = std::thread::spawn(move || wait(child, &signals));
        while last.load(Ordering::Relaxed) != 0 {
            std::thread::sleep(POLL);
        }
        last.store(SIGTERM as usize, Ordering::Relaxed);
        assert_eq!(waiting.join().unwrap().unwrap(), INTERRUPTED);
        assert!(
            kill_process(pid, Signal::TERM).is_err(),
            "it is still there"
        );
    }

    #[test]
    fn statuses_are_a_shells() {
        for (script, code) in [("exit 7", 7), ("kill -9 $$", 137)] {
            let child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            assert_eq!(wait(child, &signals()).unwrap(), code);
        }
    }

    #[test]
    fn all_children_are_ended() {
        let mut child = shell("sleep 100 & sleep 101 & echo ready; wait");
        let of = Pid::from_child(&child);
        assert_eq!(children(of).len(), 2);
        let killed = end_children(of, Duration::from_secs(60));
        assert_eq!(killed.len(), 2, "{killed:?}");
        assert!(children(of).is_empty());
        assert!(child.wait().unwrap().success());
    }
}
