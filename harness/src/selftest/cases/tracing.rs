// SPDX-License-Identifier: GPL-2.0-only
//! Trace events.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::concurrency::for_a_while;
use crate::selftest::check::{Outcome, Stop, ensure};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE};
use crate::{Policy, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "tracing":
    range_lock_events_are_traced,
    events_are_switched_beside_a_load,
];

/// A tracing instance of one's own, removed at the end.
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

/// Each switch changes code that other processors are running. An emulator that
/// cannot do that kills the guest here, not in the middle of another test.
fn events_are_switched_beside_a_load() -> Outcome {
    let cpus = thread::available_parallelism()?.get();
    let arena = Arena::new(8 * cpus, Prot::READ_WRITE)?;
    let trace = Trace::new()?;
    let switched = ["faultline", "sched"];
    for_a_while(Duration::from_secs(3), cpus, |number, round| match number {
        0 => switched
            .iter()
            .try_for_each(|event| trace.switch(event, round % 2 == 0)),
        _ => {
            arena.remap(8 * number, 8, Prot::READ_WRITE)?;
            arena.stamp(8 * number, 8, round)
        }
    })?;
    switched
        .iter()
        .try_for_each(|event| trace.switch(event, false))
}
