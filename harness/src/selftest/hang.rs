// SPDX-License-Identifier: GPL-2.0-only
//! Where the processes of a test that hangs are stuck.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// At most this many lines of a kernel stack are of use.
const STACK_LINES: usize = 14;

/// Every thread in the process group of `leader` with its kernel stack.
pub(crate) fn describe(leader: i32) -> String {
    let mut text = String::new();
    for process in numbered("/proc") {
        if group_of(&process) != Some(leader) {
            continue;
        }
        for thread in numbered(&format!("/proc/{process}/task")) {
            let _ = describe_thread(
                &mut text,
                &format!("/proc/{process}/task/{thread}"),
                &thread,
            );
        }
    }
    text
}

fn describe_thread(text: &mut String, dir: &str, thread: &str) -> std::fmt::Result {
    let dir = Path::new(dir);
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let status = read("status");
    let state = status
        .lines()
        .find_map(|line| line.strip_prefix("State:"))
        .unwrap_or(" ?");
    let call = read("syscall");
    writeln!(text, "thread {thread}:{state}; system call {}", call.trim())?;
    for line in read("stack").lines().take(STACK_LINES) {
        writeln!(text, "  {line}")?;
    }
    Ok(())
}

/// The entries of a directory whose names are numbers.
fn numbered(dir: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

/// The process group, the third field behind the name in parentheses.
fn group_of(process: &str) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(2)?.parse().ok()
}
