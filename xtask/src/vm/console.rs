// SPDX-License-Identifier: GPL-2.0-only
//! Reading the guest kernel's complaints from its console.

/// How bad a complaint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The run fails, but may go on to its end.
    Fails,
    /// The guest is dead or stuck: no end is to be expected.
    Ends,
}

/// A line on which the kernel complains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// The line, without its time stamp.
    pub(crate) line: String,
    /// How bad it is.
    pub(crate) severity: Severity,
}

use Severity::{Ends, Fails};

/// Complaints recognised by how a message begins.
const STARTS: [(&str, Severity); 19] = [
    ("Kernel panic", Ends),
    ("BUG: unable to handle", Ends),
    ("BUG: ", Fails),
    ("WARNING: ", Fails),
    ("Oops", Ends),
    ("general protection fault", Ends),
    ("INFO: possible ", Fails),
    ("INFO: suspicious ", Fails),
    ("INFO: trying to register non-static key", Fails),
    ("INFO: rcu_", Ends),
    ("rcu: INFO: ", Ends),
    ("INFO: task ", Ends),
    ("watchdog: BUG: ", Ends),
    ("watchdog: Watchdog detected hard LOCKUP", Ends),
    ("UBSAN: ", Fails),
    ("ODEBUG: ", Fails),
    ("refcount_t: ", Fails),
    ("kfence: ", Fails),
    ("rust_kernel: panicked", Ends),
];

/// Complaints recognised anywhere in a message.
const PARTS: [(&str, Severity); 8] = [
    ("kernel BUG at", Ends),
    ("Bad page ", Fails),
    ("suspicious RCU usage", Fails),
    ("possible circular locking", Fails),
    ("new suspected memory leaks", Fails),
    ("list_add corruption", Fails),
    ("list_del corruption", Fails),
    ("scheduling while atomic", Fails),
];

/// What a console line complains of, if it does.
pub(crate) fn complaint(line: &str) -> Option<Complaint> {
    let message = message(line);
    let start = STARTS.iter().find(|(text, _)| message.starts_with(text));
    let part = || PARTS.iter().find(|(text, _)| message.contains(text));
    let (_, severity) = start.or_else(part)?;
    Some(Complaint {
        line: message.trim_end().to_owned(),
        severity: *severity,
    })
}

/// A console line without its time stamp and the caller's number.
fn message(line: &str) -> &str {
    let mut rest = line.trim_start();
    for _ in 0..2 {
        let inside = rest.strip_prefix('[').and_then(|r| r.split_once(']'));
        match inside {
            Some((stamp, after)) if is_stamp(stamp.trim()) => rest = after.trim_start(),
            _ => break,
        }
    }
    rest
}

/// "12.345678", "T123" or "C0".
fn is_stamp(text: &str) -> bool {
    let digits = text.trim_start_matches(['T', 'C']);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Cuts a growing text into lines.
#[derive(Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes new bytes and returns the lines that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|b| *b == b'\n') else {
            return Vec::new();
        };
        let tail = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, tail);
        let text = String::from_utf8_lossy(&whole);
        text.lines()
            .map(|l| l.trim_end_matches('\r').to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severity(line: &str) -> Option<Severity> {
        complaint(line).map(|c| c.severity)
    }

    #[test]
    fn the_kernels_complaints_are_recognised() {
        let cases = [
            (
                "[    3.100000] Kernel panic - not syncing: sysrq triggered crash",
                Ends,
            ),
            (
                "[    3.1] BUG: kernel NULL pointer dereference, address: 0",
                Fails,
            ),
            (
                "[    3.1][  T91] BUG: KASAN: slab-use-after-free in f+0x1/0x2",
                Fails,
            ),
            (
                "[    3.1] BUG: unable to handle page fault for address: ffff",
                Ends,
            ),
            (
                "[    3.1] Oops: general protection fault, probably for non-canonical",
                Ends,
            ),
            (
                "[    3.1] WARNING: CPU: 1 PID: 2 at mm/memory.c:1 f+0x1/0x2",
                Fails,
            ),
            (
                "[    3.1] WARNING: possible circular locking dependency detected",
                Fails,
            ),
            (
                "[    3.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                Ends,
            ),
            (
                "[    3.1] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [x:1]",
                Ends,
            ),
            (
                "[    3.1] INFO: task faultline:12 blocked for more than 120 seconds.",
                Ends,
            ),
            (
                "[    3.1] kmemleak: 3 new suspected memory leaks (see /sys/...)",
                Fails,
            ),
            (
                "[    3.1] ------------[ cut here ]------------ kernel BUG at mm/x.c:1!",
                Ends,
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(severity(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn ordinary_lines_are_not_complaints() {
        let lines = [
            "[    0.1] Warning: unable to open an initial console.",
            "[    0.1] faultline: loading out-of-tree module taints kernel.",
            "[    0.1] Memory cgroup out of memory: Killed process 80 (sh)",
            "[    0.1] Call Trace:",
            "[    0.1] page allocation failure: order:0",
            "[    0.1] rcu: RCU lockdep checking is enabled.",
        ];
        for line in lines {
            assert_eq!(severity(line), None, "{line}");
        }
    }

    #[test]
    fn lines_are_cut_where_they_end() {
        let mut lines = Lines::default();
        assert!(lines.push(b"one").is_empty());
        assert_eq!(lines.push(b"\r\ntwo\nthr"), ["one", "two"]);
        assert_eq!(lines.push(b"ee\n"), ["three"]);
    }
}
