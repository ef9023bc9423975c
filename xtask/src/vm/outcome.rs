// SPDX-License-Identifier: GPL-2.0-only
//! What a boot amounts to.

use std::time::Duration;

use serde::Serialize;

use super::console::Complaint;
use super::control::{Progress, Unload};
use super::files::Brought;
use super::qemu::Accel;
use super::rundir::RunDir;
use crate::exit;
use crate::kernel::Record;
use crate::step::{seconds, tail};

/// Lines of each log that are repeated when a guest did not do its job.
const LAST_WORDS: usize = 5;

/// How the VM came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// QEMU ended by itself; its status.
    Exited(Option<i32>),
    /// The module was not in at the deadline.
    BootLimit(Duration),
    /// The command was not done at the deadline.
    RunLimit(Duration),
    /// The guest did not power off after the command.
    PowerOffLimit(Duration),
    /// The kernel said that it was dead or stuck, and was.
    Wedged,
}

/// A finished boot.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the guest reported.
    pub(crate) progress: Progress,
    /// What its kernel complained of.
    pub(crate) complaints: Vec<Complaint>,
    /// How it ended.
    pub(crate) end: End,
    /// What came back from the guest, if that was asked for.
    pub(crate) brought: Option<Brought>,
    /// From start to end.
    pub(crate) took: Duration,
    /// Where everything is.
    pub(crate) dir: RunDir,
}

/// A status and the reasons for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The status that the process should end with.
    pub(crate) code: u8,
    /// Everything that was wrong, worst first.
    pub(crate) reasons: Vec<String>,
}

impl Outcome {
    /// The command's status if nothing else was wrong.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut reasons = Vec::new();
        let code = self.code_of_end(&mut reasons);
        for complaint in self.complaints.iter().take(5) {
            reasons.push(format!("the guest kernel complained: {}", complaint.line));
        }
        if let Some(Unload::Failed(why)) = &self.progress.unload {
            reasons.push(format!("the module could not be unloaded: {why}"));
        }
        if let Some(first) = self.progress.leaks.first() {
            reasons.push(format!("kmemleak found leaks: {first}"));
        }
        reasons.extend(self.missing_files());
        if !self.progress.done {
            reasons.extend(self.last_words());
        }
        let code = match code {
            exit::PASS if !reasons.is_empty() => exit::FAIL,
            code => code,
        };
        Verdict { code, reasons }
    }

    /// The end of what QEMU and the guest's kernel said: where there is nothing but a
    /// report of tests, it is all that is left of a guest that got stuck.
    fn last_words(&self) -> Vec<String> {
        let logs = [
            ("QEMU", self.dir.qemu_log()),
            ("the guest's kernel", self.dir.console()),
        ];
        let mut words = Vec::new();
        for (who, log) in logs {
            let text = tail(&log, LAST_WORDS);
            words.extend(text.lines().map(|line| format!("{who} said: {line}")));
        }
        words
    }

    /// What is wrong with the files that were to come back.
    fn missing_files(&self) -> Vec<String> {
        let Some(brought) = &self.brought else {
            return Vec::new();
        };
        let said = match &self.progress.brought {
            Some(Ok(())) => None,
            Some(Err(why)) => Some(why.clone()),
            None => Some("the guest ended before it had sent all".into()),
        };
        let problems = said.iter().chain(&brought.problems);
        let of_files = |why: &String| format!("files of the guest are missing: {why}");
        let mut reasons: Vec<String> = problems.map(of_files).collect();
        let more = reasons.len().saturating_sub(5);
        if more != 0 {
            reasons.truncate(5);
            reasons.push(format!("and so are {more} more"));
        }
        reasons
    }

    fn code_of_end(&self, reasons: &mut Vec<String>) -> u8 {
        let progress = &self.progress;
        if let Some(why) = &progress.load_error {
            reasons.push(format!("the module could not be loaded: {why}"));
            return exit::FAIL;
        }
        let up = progress.booted.is_some();
        let (code, reason) = match (&self.end, progress.exit) {
            (End::Exited(_), Some(status)) if progress.done => return status,
            (End::BootLimit(limit), _) => (
                exit::UNAVAILABLE,
                format!("no loaded module {} after QEMU's start", seconds(*limit)),
            ),
            (End::RunLimit(limit), _) => (
                exit::TIMEOUT,
                format!("the command had not ended after {}", seconds(*limit)),
            ),
            (End::PowerOffLimit(limit), _) => (
                exit::TIMEOUT,
                format!(
                    "the guest was still up {} after the command",
                    seconds(*limit)
                ),
            ),
            (End::Exited(status), _) if !up => (
                exit::UNAVAILABLE,
                format!(
                    "QEMU ended ({}) before the guest was up",
                    status_text(*status)
                ),
            ),
            (End::Exited(_), _) => (
                exit::GUEST_DIED,
                "the guest died before its job was done".into(),
            ),
            (End::Wedged, _) => (exit::GUEST_DIED, "the guest was stuck".into()),
        };
        reasons.push(reason);
        code
    }

    /// The record kept with the run.
    pub(crate) fn summary<'a>(&self, accel: Accel, kernel: &'a Record) -> Summary<'a> {
        let Verdict { code, reasons } = self.verdict();
        let millis =
            |d: Option<Duration>| d.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        Summary {
            code,
            reasons,
            command_status: self.progress.exit,
            accel,
            booted_ms: millis(self.progress.booted),
            loaded_ms: millis(self.progress.loaded),
            total_ms: millis(Some(self.took)),
            kernel,
        }
    }
}

fn status_text(status: Option<i32>) -> String {
    status.map_or("killed by a signal".into(), |s| format!("status {s}"))
}

/// `status.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary<'a> {
    code: u8,
    reasons: Vec<String>,
    command_status: Option<u8>,
    accel: Accel,
    booted_ms: Option<u64>,
    loaded_ms: Option<u64>,
    total_ms: Option<u64>,
    kernel: &'a Record,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::console::complaint;

    fn outcome(end: End, exit: Option<u8>) -> Outcome {
        let moment = Some(Duration::from_secs(1));
        Outcome {
            progress: Progress {
                booted: moment,
                loaded: moment,
                exit,
                done: exit.is_some(),
                ..Progress::default()
            },
            complaints: Vec::new(),
            end,
            brought: None,
            took: Duration::from_secs(2),
            dir: RunDir::at("/r".into()),
        }
    }

    fn code(end: End, exit: Option<u8>) -> u8 {
        outcome(end, exit).verdict().code
    }

    #[test]
    fn the_commands_status_is_passed_on() {
        for status in [0, 1, 42] {
            assert_eq!(code(End::Exited(Some(0)), Some(status)), status);
        }
    }

    #[test]
    fn each_end_has_its_status() {
        let limit = Duration::from_secs(5);
        assert_eq!(code(End::Exited(Some(0)), None), exit::GUEST_DIED);
        assert_eq!(code(End::Wedged, None), exit::GUEST_DIED);
        assert_eq!(code(End::RunLimit(limit), None), exit::TIMEOUT);
        assert_eq!(code(End::PowerOffLimit(limit), Some(0)), exit::TIMEOUT);
        assert_eq!(code(End::BootLimit(limit), None), exit::UNAVAILABLE);
    }

    #[test]
    fn qemu_that_ends_at_once_is_no_vm() {
        let mut early = outcome(End::Exited(Some(1)), None);
        early.progress = Progress::default();
        assert_eq!(early.verdict().code, exit::UNAVAILABLE);
    }

    #[test]
    fn a_guest_that_got_stuck_is_heard_once_more() {
        let logs = std::env::temp_dir().join(format!("outcome-{}", std::process::id()));
        std::fs::create_dir(&logs).unwrap();
        let mut stuck = outcome(End::BootLimit(Duration::from_secs(5)), None);
        stuck.dir = RunDir::at(logs.clone());
        std::fs::write(stuck.dir.console(), "[ 1.0] first\n\n[ 2.0] pci\n").unwrap();
        let reasons = stuck.verdict().reasons;
        assert_eq!(
            reasons.last().unwrap(),
            "the guest's kernel said: [ 2.0] pci"
        );
        stuck.progress.done = true;
        assert_eq!(stuck.verdict().reasons.len(), 1);
        std::fs::remove_dir_all(&logs).unwrap();
    }

    #[test]
    fn a_complaint_fails_a_command_that_passed() {
        let mut noisy = outcome(End::Exited(Some(0)), Some(0));
        noisy.complaints.extend(complaint("[  1.0] WARNING: test"));
        assert_eq!(noisy.verdict().code, exit::FAIL);
        noisy.progress.exit = Some(42);
        assert_eq!(noisy.verdict().code, 42);
    }

    #[test]
    fn files_that_do_not_come_fail_the_run() {
        let mut run = outcome(End::Exited(Some(0)), Some(0));
        run.brought = Some(Brought::default());
        assert_eq!(run.verdict().code, exit::FAIL);
        run.progress.brought = Some(Ok(()));
        assert_eq!(run.verdict().code, exit::PASS);
        run.brought = Some(Brought {
            problems: vec!["a is incomplete".into()],
            ..Brought::default()
        });
        assert_eq!(run.verdict().code, exit::FAIL);
        run.progress.exit = Some(42);
        assert_eq!(run.verdict().code, 42);
    }

    #[test]
    fn a_module_that_stays_or_leaks_fails_the_run() {
        let mut stuck = outcome(End::Exited(Some(0)), Some(0));
        stuck.progress.unload = Some(Unload::Failed("busy".into()));
        assert_eq!(stuck.verdict().code, exit::FAIL);
        let mut leaky = outcome(End::Exited(Some(0)), Some(0));
        leaky.progress.leaks.push("unreferenced object".into());
        assert_eq!(leaky.verdict().code, exit::FAIL);
    }
}
