// SPDX-License-Identifier: GPL-2.0-only
//! What debugfs shows of spaces, and of all of them together.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, fails_with_one_of};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, Live, PAGE, window};
use crate::selftest::sys::kmodule;
use crate::selftest::sys::memory::Board;
use crate::selftest::sys::process::{Child, become_nobody};
use crate::{Policy, Prot, Space, Stats};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "view":
    spaces_appear_and_go,
    numbers_of_spaces_are_never_used_twice,
    counters_are_those_of_stats,
    lines_for_people_have_the_same_numbers,
    windows_are_counted,
    commands_cannot_break_lines,
    spaces_of_a_killed_process_go,
    stats_keep_what_ended_spaces_have_counted,
    stats_never_run_backwards,
    only_root_may_read,
];

pub(super) const WITH_UNLOADING: &[Test] = tests![Needs::Unloading, "view":
    unloading_is_refused_while_a_file_is_open,
];

const FILES: [&str; 7] = [
    "live",
    "spaces",
    "spaces.jsonl",
    "maps",
    "objects",
    "stats",
    "stats.json",
];

/// The place of a file of the module in debugfs.
pub(super) fn path(name: &str) -> PathBuf {
    PathBuf::from("/sys/kernel/debug/faultline").join(name)
}

/// All of a file of the module; skips where there is no debugfs.
pub(super) fn text(name: &str) -> Result<String, Stop> {
    Live::required()?;
    fs::read_to_string(path(name)).map_err(|error| Stop::fail(format!("{name}: {error}")))
}

pub(super) fn parse(text: &str) -> Result<Value, Stop> {
    serde_json::from_str(text).map_err(|error| Stop::fail(format!("{error}: {text}")))
}

/// Each space that this process has opened, in order.
pub(super) fn own_spaces() -> Result<Vec<Value>, Stop> {
    let mut own = Vec::new();
    for line in text("spaces.jsonl")?.lines() {
        let space = parse(line)?;
        if space["pid"] == process::id() {
            own.push(space);
        }
    }
    Ok(own)
}

/// The one space that this process has opened.
pub(super) fn own_space() -> Result<Value, Stop> {
    let own = own_spaces()?;
    ensure_eq!(own.len(), 1, "spaces of this process");
    Ok(own[0].clone())
}

/// The numbers in `stats`, which must be those in `stats.json` as nothing happens.
fn totals() -> Result<BTreeMap<String, u64>, Stop> {
    let mut totals = BTreeMap::new();
    for line in text("stats")?.lines() {
        let parsed = line
            .split_once(' ')
            .and_then(|(name, number)| Some((name.to_owned(), number.parse().ok()?)));
        let (name, number) = parsed.ok_or_else(|| Stop::fail(format!("the line \"{line}\"")))?;
        totals.insert(name, number);
    }
    Ok(totals)
}

/// The counters of a space, by the names that they have in C.
fn by_name(stats: &Stats) -> BTreeMap<String, u64> {
    let text = format!("{stats:?}");
    let fields = text
        .trim_start_matches("faultline_stats {")
        .trim_end_matches('}');
    fields
        .split(',')
        .filter_map(|field| {
            let (name, number) = field.split_once(':')?;
            Some((name.trim().to_owned(), number.trim().parse().ok()?))
        })
        .collect()
}

fn ids(spaces: &[Value]) -> Vec<u64> {
    spaces
        .iter()
        .filter_map(|space| space["id"].as_u64())
        .collect()
}

fn spaces_appear_and_go() -> Outcome {
    ensure_eq!(own_spaces()?.len(), 0, "spaces at first");
    let first = Space::open()?;
    let one = own_spaces()?;
    let second = Space::open()?;
    second.set_policy(Policy::GLOBAL)?;
    let both = own_spaces()?;
    ensure_eq!((one.len(), both.len()), (1, 2), "spaces");
    ensure_eq!(both[0], one[0], "the first space");
    ensure_eq!(both[1]["policy"], "global", "policy of the second");
    drop(first);
    ensure_eq!(own_spaces()?, both[1..], "spaces without the first");
    drop(second);
    ensure_eq!(own_spaces()?.len(), 0, "spaces at last");
    Ok(())
}

fn numbers_of_spaces_are_never_used_twice() -> Outcome {
    let mut highest = 0;
    for _ in 0..20 {
        let spaces = [Space::open()?, Space::open()?];
        let seen = ids(&own_spaces()?);
        ensure!(
            seen.len() == 2 && highest < seen[0] && seen[0] < seen[1],
            "above {highest}: {seen:?}"
        );
        highest = seen[1];
        drop(spaces);
    }
    Ok(())
}

/// Faults of several kinds, some of which fail.
fn make_faults(arena: &Arena) -> Outcome {
    arena.stamp(0, 20, 1)?;
    arena.protect(4, 4, Prot::READ)?;
    arena.unmap(8, 2)?;
    for page in 4..10 {
        let _ = arena.window.store(page * PAGE, 1);
    }
    Ok(())
}

fn counters_are_those_of_stats() -> Outcome {
    let arena = Arena::new(20, Prot::READ_WRITE)?;
    make_faults(&arena)?;
    let stats = by_name(&arena.space.stats()?);
    ensure!(stats["faults"] >= 26, "few faults: {stats:?}");
    let mut shown = own_space()?;
    let shown = shown.as_object_mut().expect("an object");
    for (name, count) in &stats {
        let seen = shown.remove(name).and_then(|seen| seen.as_u64());
        ensure_eq!(seen, Some(*count), "{name}");
    }
    let others: Vec<&String> = shown.keys().collect();
    ensure_eq!(
        others,
        ["command", "id", "pid", "policy", "windows"],
        "what else is shown"
    );
    Ok(())
}

fn lines_for_people_have_the_same_numbers() -> Outcome {
    let arena = Arena::new(20, Prot::READ_WRITE)?;
    make_faults(&arena)?;
    let space = own_space()?;
    let stats = arena.space.stats()?;
    let aborts = crate::counts::Counts::of(&stats).aborts();
    let command = fs::read_to_string("/proc/self/comm")?;
    let expected = format!(
        "space {} pid {} policy {} pages {} regions {} windows 1 faults {} aborts {aborts} \
         waits {} command {}",
        space["id"],
        process::id(),
        arena.space.policy()?,
        stats.pages,
        stats.regions,
        stats.faults,
        stats.fault_waits,
        command.trim_end()
    );
    let text = text("spaces")?;
    ensure!(
        text.lines().any(|line| line == expected),
        "expected the line \"{expected}\", seen {text}"
    );
    Ok(())
}

fn windows_are_counted() -> Outcome {
    let windows = || Ok::<_, Stop>(own_space()?["windows"].as_u64());
    let space = Space::open()?;
    ensure_eq!(windows()?, Some(0), "windows of a new space");
    let first = window(&space, 0, 8)?;
    let second = window(&space, 0, 8)?;
    ensure_eq!(windows()?, Some(2), "windows");
    let board = Board::new()?;
    let child = Child::fork(|| board.wait(0, 1))?;
    ensure_eq!(windows()?, Some(4), "windows with those of a child");
    board.set(0, 1);
    child.finish(AMPLE)?;
    drop(first);
    ensure_eq!(windows()?, Some(1), "windows without the first");
    drop(second);
    ensure_eq!(windows()?, Some(0), "windows at last");
    Ok(())
}

fn commands_cannot_break_lines() -> Outcome {
    const NAME: &str = "a\nb\"\\\u{1b} c";
    fs::write("/proc/self/comm", NAME)?;
    let _space = Space::open()?;
    ensure_eq!(own_space()?["command"], NAME, "command");
    let pid = format!(" pid {} ", process::id());
    for file in ["spaces", "maps"] {
        let text = text(file)?;
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&pid)).collect();
        ensure!(
            lines.len() == 1 && lines[0].ends_with("command a\\012b\"\\134\\033 c"),
            "{file}: {text:?}"
        );
    }
    Ok(())
}

fn spaces_of_a_killed_process_go() -> Outcome {
    let board = Board::new()?;
    let mut child = Child::fork(|| {
        let spaces = (0..3)
            .map(|_| Arena::new(4, Prot::READ_WRITE))
            .collect::<Result<Vec<_>, Stop>>()?;
        spaces[1].stamp(0, 4, 1)?;
        board.set(0, 1);
        thread::sleep(AMPLE);
        Ok(())
    })?;
    board.wait(0, 1)?;
    let pid = child.pid() as u64;
    let left = || -> Result<usize, Stop> {
        let text = text("spaces.jsonl")?;
        let spaces: Result<Vec<Value>, Stop> = text.lines().map(parse).collect();
        Ok(spaces?.iter().filter(|space| space["pid"] == pid).count())
    };
    ensure_eq!(left()?, 3, "spaces of the child");
    child.signal(libc::SIGKILL)?;
    child.end(AMPLE)?;
    let deadline = Instant::now() + AMPLE;
    while left()? != 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    ensure_eq!(left()?, 0, "spaces of the dead child");
    Ok(())
}

fn stats_keep_what_ended_spaces_have_counted() -> Outcome {
    let before = totals()?;
    let arena = Arena::new(20, Prot::READ_WRITE)?;
    make_faults(&arena)?;
    let counted = by_name(&arena.space.stats()?);
    let during = totals()?;
    drop(arena);
    let after = totals()?;
    let json = parse(&text("stats.json")?)?;
    let of_space = counted
        .iter()
        .filter(|(name, _)| before.contains_key(*name));
    let counters: Vec<_> = of_space
        .filter(|(name, _)| !["regions", "pages"].contains(&name.as_str()))
        .collect();
    ensure!(counters.len() > 40, "few counters: {counters:?}");
    for (name, count) in counters {
        let expected = before[name] + count;
        ensure_eq!(during[name], expected, "{name} with the space");
        ensure_eq!(after[name], expected, "{name} when it has ended");
    }
    for (name, with, without) in [
        ("spaces", 1, 0),
        ("spaces_ended", 0, 1),
        ("regions", counted["regions"], 0),
        ("pages", counted["pages"], 0),
    ] {
        ensure_eq!(during[name], before[name] + with, "{name} with the space");
        ensure_eq!(after[name], before[name] + without, "{name} without it");
    }
    for (name, number) in &after {
        ensure_eq!(json[name].as_u64(), Some(*number), "{name} in stats.json");
    }
    ensure_eq!(
        json.as_object().map(|o| o.len()),
        Some(after.len()),
        "names"
    );
    Ok(())
}

fn stats_never_run_backwards() -> Outcome {
    const FAULTS: usize = 16;
    let done = AtomicBool::new(false);
    let before = totals()?;
    let opened = thread::scope(|scope| {
        let openers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut opened = 0;
                    // Relaxed: it only has to be seen some time.
                    while !done.load(Ordering::Relaxed) {
                        Arena::new(FAULTS, Prot::READ_WRITE)?.stamp(0, FAULTS, 1)?;
                        opened += 1;
                    }
                    Ok::<u64, Stop>(opened)
                })
            })
            .collect();
        let end = Instant::now() + Duration::from_secs(2);
        let mut last = before.clone();
        let mut watch = || -> Outcome {
            while Instant::now() < end {
                let now = totals()?;
                for name in [
                    "faults",
                    "pages_added",
                    "maps",
                    "spf_attempts",
                    "spaces_ended",
                ] {
                    ensure!(last[name] <= now[name], "{name}: {last:?}, then {now:?}");
                }
                ensure!(now["spaces"] <= before["spaces"] + 2, "spaces: {now:?}");
                last = now;
            }
            Ok(())
        };
        let watched = watch();
        done.store(true, Ordering::Relaxed);
        let opened = openers
            .into_iter()
            .map(|opener| opener.join().expect("no panic"))
            .sum::<Result<u64, Stop>>()?;
        watched.map(|()| opened)
    })?;
    let after = totals()?;
    ensure!(opened > 10, "only {opened} spaces were opened");
    let ended = after["spaces_ended"] - before["spaces_ended"];
    ensure_eq!(ended, opened, "spaces that have ended");
    let faults = after["faults"] - before["faults"];
    ensure_eq!(faults, opened * FAULTS as u64, "faults of all of them");
    Ok(())
}

fn only_root_may_read() -> Outcome {
    for name in FILES {
        let mode = fs::metadata(path(name))?.permissions().mode();
        ensure_eq!(mode & 0o7777, 0o400, "mode of {name}");
    }
    let child = Child::fork(|| {
        become_nobody()?;
        for name in FILES {
            fails(File::open(path(name)), libc::EACCES, name)?;
        }
        Ok(())
    })?;
    child.finish(AMPLE)
}

fn unloading_is_refused_while_a_file_is_open() -> Outcome {
    Live::required()?;
    for name in FILES {
        let file = File::open(path(name))?;
        let refusals = [libc::EWOULDBLOCK, libc::EBUSY];
        fails_with_one_of(kmodule::try_unload(), &refusals, name)?;
        ensure!(kmodule::is_loaded(), "{name}: the module is gone");
        // It still can be read.
        io::read_to_string(&file)?;
    }
    kmodule::unload().map_err(|error| Stop::fail(format!("rmmod: {error}")))?;
    ensure!(!path("live").exists(), "files without the module");
    Ok(())
}
