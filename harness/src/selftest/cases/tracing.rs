// SPDX-License-Identifier: GPL-2.0-only
//! Trace events.

use std::fs;
use std::path::PathBuf;

use super::query::must_add_up;
use crate::access::Signal;
use crate::counts::Counts;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::files;
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes};
use crate::{Advice, Placement, Policy, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "tracing":
    range_lock_events_are_traced,
    semaphore_events_are_traced,
    spaces_tell_their_counters_at_the_end,
    speculations_are_traced,
    aborts_are_traced_by_their_names,
    locked_faults_are_traced,
    operations_are_traced,
    revoked_pages_are_traced,
    causes_are_named_as_the_counters,
    events_are_as_many_as_counted,
];

/// A tracing instance of one's own, removed at the end. Events are switched while
/// nothing else runs: each switch changes code, and QEMU's emulation may lose a
/// change of code that another processor is about to run (ARCHITECTURE, "The VM").
pub(super) struct Trace(PathBuf);

impl Trace {
    pub(super) fn new() -> Result<Trace, Stop> {
        let dir = PathBuf::from(format!(
            "/sys/kernel/tracing/instances/faultline-{}",
            std::process::id()
        ));
        match fs::create_dir(&dir) {
            Ok(()) => Ok(Trace(dir)),
            Err(_) => Err(Stop::skip("tracefs is not mounted")),
        }
    }

    /// Switches an event, or all of a subsystem.
    pub(super) fn switch(&self, event: &str, on: bool) -> Outcome {
        let file = self.0.join("events").join(event).join("enable");
        Ok(fs::write(file, if on { "1" } else { "0" })?)
    }

    pub(super) fn filter(&self, event: &str, filter: &str) -> Outcome {
        let file = self.0.join("events").join(event).join("filter");
        Ok(fs::write(file, filter)?)
    }

    pub(super) fn lines(&self) -> Result<Vec<String>, Stop> {
        let text = fs::read_to_string(self.0.join("trace"))?;
        let events = text.lines().filter(|line| !line.starts_with('#'));
        Ok(events.map(str::to_owned).collect())
    }
}

/// What a trace has of the module's events.
pub(super) struct Events(Vec<String>);

impl Events {
    /// Those while `run` runs.
    pub(super) fn of(run: impl FnOnce() -> Outcome) -> Result<Events, Stop> {
        let trace = Trace::new()?;
        trace.switch("faultline", true)?;
        run()?;
        trace.switch("faultline", false)?;
        Ok(Events(trace.lines()?))
    }

    /// How many there are of `event` that have all of `fields`.
    fn count(&self, event: &str, fields: &str) -> u64 {
        let name = format!(" faultline_{event}: ");
        let is_one = |line: &&String| {
            let Some((_, rest)) = line.split_once(&name) else {
                return false;
            };
            let has = |field| rest.split_whitespace().any(|word| word == field);
            fields.split_whitespace().all(has)
        };
        self.0.iter().filter(is_one).count() as u64
    }

    /// There must be exactly one of `event` that has all of `fields`.
    #[track_caller]
    pub(super) fn must_have(&self, event: &str, fields: &str) -> Outcome {
        self.must_be(1, event, fields)
    }

    #[track_caller]
    fn must_be(&self, number: u64, event: &str, fields: &str) -> Outcome {
        let found = self.count(event, fields);
        let all = || self.0.join("\n");
        ensure!(
            found == number,
            "{found} events {event} with {fields}, not {number}, of:\n{}",
            all()
        );
        Ok(())
    }
}

/// Page `page` of an arena, as events name it.
pub(super) fn number(page: usize) -> u64 {
    BASE / PAGE as u64 + page as u64
}

fn range(from: usize, to: usize) -> String {
    format!("[{},{})", number(from), number(to))
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn range_lock_events_are_traced() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.space.set_policy(Policy::RANGE)?;
    let trace = Trace::new()?;
    trace.switch("faultline", true)?;
    arena.window.store(2 * PAGE, 1)?;
    arena.unmap(1, 3)?;
    let lines = trace.lines()?;
    let first = BASE / PAGE as u64;
    let expect = |event: &str, from: u64, to: u64, write: bool| {
        let range = format!("pages=[{},{}) write={write}", first + from, first + to);
        let seen = lines
            .iter()
            .any(|l| l.contains(&format!("faultline_range_{event}:")) && l.contains(&range));
        ensure!(seen, "no {event} with {range} in:\n{}", lines.join("\n"));
        Ok(())
    };
    for event in ["start_locking", "acquire_returned", "released"] {
        expect(event, 2, 3, false)?;
        expect(event, 1, 4, true)?;
    }
    Ok(())
}

fn semaphore_events_are_traced() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.space.set_policy(Policy::GLOBAL)?;
    let events = Events::of(|| {
        arena.window.store(2 * PAGE, 1)?;
        arena.unmap(1, 3)
    })?;
    let (fault, change) = (range(2, 3), range(1, 4));
    for event in ["start_locking", "acquire_returned", "released"] {
        let event = format!("space_{event}");
        events.must_have(&event, &format!("pages={fault} write=false"))?;
        events.must_have(&event, &format!("pages={change} write=true"))?;
    }
    // Once no region is left to change, it lets readers in.
    let got = format!("pages={change} write=false success=true");
    events.must_have("space_acquire_returned", &got)?;
    events.must_have("space_released", &format!("pages={change} write=false"))?;
    events.must_be(0, "range_start_locking", "")
}

fn spaces_tell_their_counters_at_the_end() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 3, 1)?;
    arena.unmap(3, 1)?;
    raises(arena.window.load(3 * PAGE), Signal::Bus, "load of nothing")?;
    let stats = arena.space.stats()?;
    ensure!(stats.faults == 4 && stats.maps == 1, "{stats:?}");
    let events = Events::of(|| {
        drop(arena);
        Ok(())
    })?;
    for (counter, value) in [
        ("faults", stats.faults),
        ("fault_ok", stats.fault_ok),
        ("fault_no_region", stats.fault_no_region),
        ("maps", stats.maps),
        ("pages_added", stats.pages_added),
        ("fault_wait_ns", stats.fault_wait_ns),
    ] {
        events.must_have("space_counted", &format!("counter={counter} value={value}"))?;
    }
    Ok(())
}

fn speculations_are_traced() -> Outcome {
    for (name, file) in [("anon", None), ("shared", Some(files::memfd(4, 40)?))] {
        let source = file
            .as_ref()
            .map_or(crate::Source::Anon, |file| files::shared(file, 0));
        let arena = Arena::backed(4, Prot::READ_WRITE, source)?;
        arena.space.set_policy(Policy::SPF_RANGE)?;
        let events = Events::of(|| {
            arena.window.load(PAGE + 8)?;
            arena.window.load(2 * PAGE)?;
            arena.unmap(2, 1)
        })?;
        let address = arena.window.address() + PAGE + 8;
        let (page, leaf) = (number(1), number(1) / 512);
        let what = format!("address={address:x} page={page} write=false");
        events.must_have("fault_speculated", &format!("{what} backing={name}"))?;
        events.must_have(
            "fault_completed",
            &format!("{what} path=speculative result=ok"),
        )?;
        events.must_have("commit", &format!("page={page} leaf={leaf} slot=filled"))?;
        events.must_be(2, "fault_speculated", "")?;
        events.must_be(0, "fault_aborted", "")?;
        events.must_be(0, "fault_fell_back", "")?;
        // Only what has been there.
        events.must_have("zap", &format!("first={} pages=1", number(2)))?;
        events.must_be(1, "zap", "")?;
    }
    Ok(())
}

fn aborts_are_traced_by_their_names() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.space.set_policy(Policy::SPF_GLOBAL)?;
    arena.remap(2, 1, Prot::READ)?;
    arena.unmap(3, 1)?;
    let read_only = arena.space.query(BASE + 2 * PAGE as u64)?;
    let sequence = read_only.map_or(0, |region| region.generation);
    ensure!(sequence != 0, "no generation of the region");
    let events = Events::of(|| {
        raises(arena.window.store(2 * PAGE, 1), Signal::Segv, "store")?;
        raises(arena.window.load(3 * PAGE), Signal::Bus, "load")
    })?;
    let denied = format!("page={} write=true", number(2));
    let stray = format!("page={} write=false", number(3));
    for (what, cause, seen) in [(&denied, "denied", sequence), (&stray, "no_region", 0)] {
        let aborted = format!("{what} cause={cause} sequence={seen}");
        events.must_have("fault_aborted", &aborted)?;
        events.must_have("fault_fell_back", what)?;
        let completed = format!("{what} path=locked result={cause}");
        events.must_have("fault_completed", &completed)?;
    }
    events.must_be(2, "fault_aborted", "")?;
    events.must_be(0, "fault_speculated", "")?;
    events.must_be(0, "commit", "")
}

fn locked_faults_are_traced() -> Outcome {
    for (policy, path) in [
        (Policy::GLOBAL, "locked"),
        (Policy::REGION, "region"),
        (Policy::RANGE, "locked"),
    ] {
        let arena = Arena::new(2, Prot::READ_WRITE)?;
        arena.space.set_policy(policy)?;
        let events = Events::of(|| {
            arena.window.load(PAGE)?;
            Ok(arena.window.store(PAGE, 1)?)
        })?;
        let page = number(1);
        for (write, slot) in [(false, "filled"), (true, "found")] {
            let what = format!("page={page} write={write} path={path} result=ok");
            events.must_have("fault_completed", &what)?;
            events.must_have("commit", &format!("page={page} slot={slot}"))?;
        }
        events.must_be(0, "fault_speculated", "")?;
        events.must_be(0, "fault_fell_back", "")?;
    }
    Ok(())
}

fn operations_are_traced() -> Outcome {
    let arena = Arena::empty(32)?;
    let events = Events::of(|| {
        arena.remap(0, 4, Prot::READ_WRITE)?;
        let placed = (BASE, bytes(2), Prot::READ, Placement::FixedNoreplace);
        let (addr, length, prot, placement) = placed;
        let refused = arena.space.map(addr, length, prot, placement);
        fails(refused, libc::EEXIST, "MAP of what is there")?;
        arena.protect(1, 2, Prot::READ)?;
        fails(
            arena.protect(3, 2, Prot::READ),
            libc::ENOMEM,
            "PROTECT of a hole",
        )?;
        arena.advise(0, 1, Advice::WillNeed)?;
        arena.advise(0, 4, Advice::DontNeed)?;
        arena.shift(1, 1, 20)?;
        arena.unmap(0, 8)
    })?;
    events.must_have(
        "map",
        &format!("pages={} prot=rw backing=anon result=0", range(0, 4)),
    )?;
    let exists = format!("pages={} prot=r- result=-{}", range(0, 2), libc::EEXIST);
    events.must_have("map", &exists)?;
    events.must_have(
        "protect",
        &format!("pages={} prot=r- result=0", range(1, 3)),
    )?;
    let hole = format!("pages={} result=-{}", range(3, 5), libc::ENOMEM);
    events.must_have("protect", &hole)?;
    events.must_have("commit", &format!("page={} slot=filled", number(0)))?;
    events.must_have(
        "advise",
        &format!("pages={} advice=willneed result=0", range(0, 1)),
    )?;
    events.must_have(
        "advise",
        &format!("pages={} advice=dontneed result=0", range(0, 4)),
    )?;
    let moved = format!("pages={} new={} result=0", range(1, 2), range(20, 21));
    events.must_have("remap", &moved)?;
    events.must_have("unmap", &format!("pages={} result=0", range(0, 8)))?;
    // Where it went is only known when it is over.
    let mut start = 0;
    let events = Events::of(|| {
        start = arena
            .space
            .map(BASE, bytes(3), Prot::READ_WRITE, Placement::Hint)?;
        Ok(())
    })?;
    let start = start / PAGE as u64;
    let pages = format!("pages=[{start},{})", start + 3);
    events.must_have("map", &format!("{pages} backing=anon result=0"))
}

fn revoked_pages_are_traced() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(2, 3, 1)?;
    let events = Events::of(|| Ok(arena.protect(0, 8, Prot::READ)?))?;
    events.must_have("zap", &format!("first={} pages=3", number(2)))
}

/// The names that tools find in the event's format.
fn causes_are_named_as_the_counters() -> Outcome {
    let trace = Trace::new()?;
    let file = "events/faultline/faultline_fault_aborted/format";
    let format = fs::read_to_string(trace.0.join(file))?;
    let table = format.split("REC->cause, ").nth(1).unwrap_or_default();
    let names: Vec<&str> = table
        .split(" }")
        .map_while(|entry| entry.split('"').nth(1))
        .collect();
    let expected = [
        "writer_active",
        "no_region",
        "not_speculable",
        "stale",
        "denied",
        "detached",
        "not_cached",
        "leaf_busy",
        "raced",
        "no_memory",
    ];
    ensure_eq!(names, expected, "names of causes in {format}");
    Ok(())
}

fn events_are_as_many_as_counted() -> Outcome {
    let policies = crate::Space::open()?.policies()?;
    for policy in policies {
        let arena = Arena::empty(64)?;
        arena.space.set_policy(policy)?;
        let events = Events::of(|| {
            for round in 1..4 {
                arena.remap(0, 32, Prot::READ_WRITE)?;
                arena.stamp(0, 16, round)?;
                reads(arena.window.load(20 * PAGE), 0, "page never stored to")?;
                arena.protect(8, 8, Prot::READ)?;
                let denied = arena.window.store(9 * PAGE, 1);
                raises(denied, Signal::Segv, "store to what is read-only")?;
                arena.advise(0, 4, Advice::DontNeed)?;
                arena.shift(16, 8, 40)?;
                let stray = arena.window.load(17 * PAGE);
                raises(stray, Signal::Bus, "load of what was moved")?;
                arena.unmap(0, 4)?;
            }
            Ok(())
        })?;
        let stats = arena.space.stats()?;
        let counts = Counts::of(&stats);
        let (successes, aborts) = (counts.successes(), counts.aborts());
        for (event, fields, counted) in [
            ("fault_speculated", "", successes),
            ("fault_aborted", "", aborts),
            ("fault_aborted", "cause=denied", stats.spf_denied),
            ("fault_aborted", "cause=no_region", stats.spf_no_region),
            ("fault_fell_back", "", stats.spf_fallbacks),
            ("fault_completed", "", stats.faults),
            ("fault_completed", "result=ok", stats.fault_ok),
            ("fault_completed", "result=denied", stats.fault_denied),
            ("fault_completed", "result=no_region", stats.fault_no_region),
            ("fault_completed", "write=true", stats.fault_write),
            ("fault_completed", "path=speculative", successes),
            ("fault_completed", "path=region", stats.fault_region_locked),
            ("commit", "", stats.fault_ok),
            ("commit", "slot=filled", stats.pages_added),
            ("map", "result=0", stats.maps),
            ("unmap", "result=0", stats.unmaps),
            ("protect", "result=0", stats.protects),
            ("remap", "result=0", stats.remaps),
            ("advise", "result=0", stats.advises),
        ] {
            ensure_eq!(
                events.count(event, fields),
                counted,
                "{policy}: events {event} {fields}"
            );
        }
        ensure!(stats.fault_denied == 3 && stats.maps == 3, "{stats:?}");
        must_add_up(&arena.space)?;
    }
    Ok(())
}
