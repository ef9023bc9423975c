// SPDX-License-Identifier: GPL-2.0-only
//! Running commands: silent ones for their output, long ones with progress,
//! a log, and the log's end when they fail.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use crate::ctx::Ctx;
use crate::{fsx, signal};

/// Lines of the log shown when a step fails.
const TAIL_LINES: usize = 20;
/// Steps shorter than this leave no line behind.
const WORTH_A_LINE: Duration = Duration::from_secs(2);
/// How often a step without a terminal says that it is still alive.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(60);

/// Prints one line of xtask's own on stderr; stdout belongs to the guest.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { eprintln!("faultline: {}", format_args!($($arg)*)) };
}

/// A command as a user would type it, for messages.
pub(crate) fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quote).collect::<Vec<_>>().join(" ")
}

/// A word quoted for the shell if it needs to be.
pub(crate) fn quote(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./,:@%^".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Makes the kernel kill the child when xtask itself is killed, or the thread ends that
/// has started it.
pub(crate) fn die_with_parent(command: &mut Command) -> &mut Command {
    // SAFETY: `prctl` is async-signal-safe and touches nothing of the parent.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command
}

/// Runs a short command and returns what it wrote on stdout.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let result = die_with_parent(command)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", show(command)))?;
    if !result.status.success() {
        let stderr = String::from_utf8_lossy(&result.stderr);
        bail!(
            "`{}` failed ({}): {}",
            show(command),
            result.status,
            stderr.trim()
        );
    }
    String::from_utf8(result.stdout)
        .with_context(|| format!("`{}` wrote something that is not text", show(command)))
}

/// A long command.
pub(crate) struct Step<'a> {
    ctx: &'a Ctx,
    title: String,
    command: Command,
    limit: Option<Duration>,
    foreground: bool,
}

impl<'a> Step<'a> {
    /// `title` says what is being done, to be followed by "failed".
    pub(crate) fn new(ctx: &'a Ctx, title: impl Into<String>, command: Command) -> Self {
        Self {
            ctx,
            title: title.into(),
            command,
            limit: None,
            foreground: false,
        }
    }

    /// Gives up after `limit`.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Leaves the command in the terminal's foreground, to ask for a password.
    pub(crate) fn foreground(mut self) -> Self {
        self.foreground = true;
        self
    }

    /// Runs the command to its end; an error carries the end of its log.
    pub(crate) fn run(mut self) -> Result<()> {
        let log = self.log_path()?;
        if self.ctx.global.verbose {
            say!("$ {}", show(&self.command));
        }
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        die_with_parent(&mut self.command)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        if !self.foreground {
            self.command.process_group(0);
        }
        let start = Instant::now();
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("{}: starting `{}`", self.title, show(&self.command)))?;
        let status = self.wait(&mut child, &log, start);
        if !matches!(status, Ok(Some(_))) {
            self.kill(&mut child);
        }
        self.conclude(status?, &log, start.elapsed())
    }

    fn log_path(&self) -> Result<PathBuf> {
        let logs = self.ctx.cached("logs");
        fsx::make_dir(&logs)?;
        let slug: String = self
            .title
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        Ok(logs.join(format!("{slug}.log")))
    }

    /// The child's status, or `None` when the limit passed first.
    fn wait(&self, child: &mut Child, log: &Path, start: Instant) -> Result<Option<ExitStatus>> {
        let mut progress = Progress::new(&self.title);
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            signal::check()?;
            let elapsed = start.elapsed();
            if self.limit.is_some_and(|limit| elapsed > limit) {
                return Ok(None);
            }
            progress.show(elapsed, log);
            std::thread::sleep(
                (elapsed / 10).clamp(Duration::from_millis(2), Duration::from_millis(100)),
            );
        }
    }

    fn kill(&self, child: &mut Child) {
        if !self.foreground {
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            group.map(|group| kill_process_group(group, Signal::KILL));
        }
        // Both fail only if the child has already been reaped.
        child.kill().ok();
        child.wait().ok();
    }

    fn conclude(&self, status: Option<ExitStatus>, log: &Path, elapsed: Duration) -> Result<()> {
        let why = match status {
            Some(status) if status.success() => {
                if elapsed >= WORTH_A_LINE {
                    say!("{}: done in {}", self.title, seconds(elapsed));
                }
                return Ok(());
            }
            Some(status) => status.to_string(),
            None => format!("no end after {}", seconds(elapsed)),
        };
        bail!(
            "{} failed ({why})\n  command: {}\n  log:     {}\n{}",
            self.title,
            show(&self.command),
            log.display(),
            indent(&tail(log, TAIL_LINES)),
        )
    }
}

/// A spinner on a terminal, a line now and then elsewhere.
struct Progress {
    title: String,
    bar: Option<ProgressBar>,
    shown: Option<Duration>,
}

impl Progress {
    fn new(title: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg:.dim}");
            ProgressBar::new_spinner()
                .with_prefix(title.to_owned())
                .with_style(style.expect("the template is well-formed"))
        });
        Self {
            title: title.to_owned(),
            bar,
            shown: None,
        }
    }

    fn show(&mut self, elapsed: Duration, log: &Path) {
        if let Some(bar) = &self.bar {
            bar.set_message(tail(log, 1));
            bar.tick();
            return;
        }
        match self.shown {
            None if elapsed >= WORTH_A_LINE => say!("{} ...", self.title),
            Some(last) if elapsed - last >= HEARTBEAT => {
                say!(
                    "{}: {} so far ({})",
                    self.title,
                    seconds(elapsed),
                    tail(log, 1).trim()
                );
            }
            _ => return,
        }
        self.shown = Some(elapsed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The last `lines` lines of a file, which may still be growing.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let size = fs::metadata(path)?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(16 << 10)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn indent(text: &str) -> String {
    text.lines()
        .map(|l| format!("  | {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A duration for people: "0.4 s", "12 s", "7 min 3 s".
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        s @ 10..120 => format!("{s} s"),
        s => format!("{} min {} s", s / 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_when_the_shell_would_change_them() {
        assert_eq!(quote(OsStr::new("a=b,c.d")), "a=b,c.d");
        assert_eq!(quote(OsStr::new("it's")), r"'it'\''s'");
        assert_eq!(quote(OsStr::new("")), "''");
    }

    #[test]
    fn durations_read_naturally() {
        assert_eq!(seconds(Duration::from_millis(430)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(12)), "12 s");
        assert_eq!(seconds(Duration::from_secs(423)), "7 min 3 s");
    }
}
