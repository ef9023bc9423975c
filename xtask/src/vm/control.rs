// SPDX-License-Identifier: GPL-2.0-only
//! What the guest reports on the control port.

use std::time::Duration;

/// One line of the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Userspace runs.
    Booted,
    /// The module is in, or none was wanted.
    Loaded,
    /// The module was refused; why.
    LoadFailed(String),
    /// The command ended with this status.
    Exit(u8),
    /// All of /out is in the archive, or not; what went wrong.
    Brought(Result<(), String>),
    /// The module went out.
    Unloaded,
    /// The module would not go out; why.
    UnloadFailed(String),
    /// There was no module to take out.
    UnloadAbsent,
    /// A line of kmemleak's report.
    Leak(String),
    /// kmemleak's report is complete.
    Scanned,
    /// The guest powers off.
    Done,
}

impl Message {
    /// Reads a line; `None` if the guest wrote something else.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "booted" => Self::Booted,
            "loaded" => Self::Loaded,
            "load-failed" => Self::LoadFailed(rest.into()),
            "exit" => Self::Exit(rest.trim().parse().ok()?),
            "brought" => Self::Brought(Ok(())),
            "bring-failed" => Self::Brought(Err(rest.into())),
            "unloaded" => Self::Unloaded,
            "unload-failed" => Self::UnloadFailed(rest.into()),
            "unload-absent" => Self::UnloadAbsent,
            "leak" => Self::Leak(rest.into()),
            "scanned" => Self::Scanned,
            "done" => Self::Done,
            _ => return None,
        })
    }
}

/// What became of the module after the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unload {
    /// It went.
    Clean,
    /// The command had taken it out itself.
    Absent,
    /// It would not go; why.
    Failed(String),
}

/// All that the guest has reported so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// From QEMU's start to userspace.
    pub(crate) booted: Option<Duration>,
    /// From QEMU's start to the module being in.
    pub(crate) loaded: Option<Duration>,
    /// Why it is not.
    pub(crate) load_error: Option<String>,
    /// The command's status.
    pub(crate) exit: Option<u8>,
    /// What the guest says of the files that it sends, once it has sent them.
    pub(crate) brought: Option<Result<(), String>>,
    /// What became of the module.
    pub(crate) unload: Option<Unload>,
    /// kmemleak's report.
    pub(crate) leaks: Vec<String>,
    /// Whether that report is complete.
    pub(crate) scanned: bool,
    /// Whether the guest has got to its end.
    pub(crate) done: bool,
}

impl Progress {
    /// Takes in one message, received `at` after QEMU's start.
    pub(crate) fn note(&mut self, message: Message, at: Duration) {
        match message {
            Message::Booted => self.booted = Some(at),
            Message::Loaded => self.loaded = Some(at),
            Message::LoadFailed(why) => self.load_error = Some(why),
            Message::Exit(status) => self.exit = Some(status),
            Message::Brought(result) => self.brought = Some(result),
            Message::Unloaded => self.unload = Some(Unload::Clean),
            Message::UnloadFailed(why) => self.unload = Some(Unload::Failed(why)),
            Message::UnloadAbsent => self.unload = Some(Unload::Absent),
            Message::Leak(line) => self.leaks.push(line),
            Message::Scanned => self.scanned = true,
            Message::Done => self.done = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        assert_eq!(Message::parse("exit 42"), Some(Message::Exit(42)));
        assert_eq!(Message::parse("loaded"), Some(Message::Loaded));
        assert_eq!(
            Message::parse("load-failed insmod: can't insert"),
            Some(Message::LoadFailed("insmod: can't insert".into()))
        );
        assert_eq!(Message::parse("exit many"), None);
        assert_eq!(Message::parse(""), None);
    }
}
