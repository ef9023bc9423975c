// SPDX-License-Identifier: GPL-2.0-only
//! The life of one fault, and what others did to its page meanwhile.

use serde::Serialize;

use super::faults::Life;
use crate::trace::event::{Claim, Event, Lock, What};
use crate::trace::read::{Record, TraceFile};
use crate::trace::text;

/// Events of others that are shown, at most.
const OTHERS: usize = 30;
/// How far back the beginning of a hold is looked for, in events.
const BACK: usize = 20_000;

/// A fault's life.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// Why it was chosen.
    pub title: &'static str,
    /// Its number, for `--fault`.
    pub fault: u64,
    /// Its task.
    pub task: String,
    /// The page of the space.
    pub page: u64,
    /// From its first event to its last. The first is not its beginning, which has none.
    pub time_ns: u64,
    /// What happened.
    pub steps: Vec<Step>,
    /// Events of others that are left out.
    pub left_out: u64,
}

/// A line of it.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Since its first event; negative for what was there before.
    pub at_ns: i64,
    /// Whose event it is.
    pub task: String,
    /// Whether it is another task's.
    pub is_other: bool,
    /// The event.
    pub event: String,
}

impl Timeline {
    /// Of one fault; `events` are all of the module's.
    pub fn of(
        file: &TraceFile,
        records: &[Record],
        events: &[(usize, Event)],
        title: &'static str,
        life: Life,
    ) -> Timeline {
        let (first, last) = (
            life.events[0],
            *life.events.last().unwrap_or(&life.events[0]),
        );
        let mut steps = Vec::new();
        let step = |number: usize, is_other| {
            let (at, event) = &events[number];
            Step {
                at_ns: event.time as i64 - life.start as i64,
                task: task(file, event.pid),
                is_other,
                event: short(&text::event(file, &records[*at])),
            }
        };
        for number in holders(&events[..first], &life) {
            steps.push(step(number, true));
        }
        let mut left_out = 0;
        let mut others = 0;
        for (number, (_, event)) in events.iter().enumerate().take(last + 1).skip(first) {
            if life.events.contains(&number) {
                steps.push(step(number, false));
            } else if event.pid != life.pid && touches(&event.what, &life) {
                others += 1;
                match others <= OTHERS {
                    true => steps.push(step(number, true)),
                    false => left_out += 1,
                }
            }
        }
        Timeline {
            title,
            fault: life.number,
            task: task(file, life.pid),
            page: life.page,
            time_ns: life.end - life.start,
            steps,
            left_out,
        }
    }
}

fn task(file: &TraceFile, pid: i32) -> String {
    format!("{}-{pid}", file.task(pid))
}

/// Without the module's name, and what all events of the fault have in common.
fn short(event: &str) -> String {
    let event = event.strip_prefix("faultline_").unwrap_or(event);
    let words = event.split(' ');
    let kept = words.filter(|word| {
        let common = ["space=", "lock=", "address="];
        !common.iter().any(|key| word.starts_with(key))
    });
    kept.collect::<Vec<_>>().join(" ")
}

/// Whether it is about the page of the fault.
fn touches(what: &What, life: &Life) -> bool {
    let has = |start: u64, end: u64| (start..end).contains(&life.page);
    what.space() == life.space
        && match *what {
            What::Asked(claim) | What::Got(claim, _) | What::Gave(claim) => is_of(&claim, life),
            What::Zapped(_, pages) | What::Called(_, _, pages, _) => has(pages.start, pages.end),
            What::Speculated(fault, _)
            | What::Aborted(fault, _)
            | What::FellBack(fault)
            | What::Completed(fault, ..) => fault.page == life.page,
            What::Committed(_, page, _) => page == life.page,
            What::Counted(..) => false,
        }
}

fn is_of(claim: &Claim, life: &Life) -> bool {
    let has_page = (claim.pages.start..claim.pages.end).contains(&life.page);
    claim.lock == life.space && (has_page || claim.kind == Lock::Semaphore)
}

/// Who holds the page when the fault begins: the events by which they got it.
fn holders(before: &[(usize, Event)], life: &Life) -> Vec<usize> {
    let mut holding: Vec<(i32, usize)> = Vec::new();
    let from = before.len().saturating_sub(BACK);
    for (number, (_, event)) in before.iter().enumerate().skip(from) {
        match event.what {
            What::Got(claim, true) if is_of(&claim, life) => holding.push((event.pid, number)),
            What::Gave(claim) if is_of(&claim, life) => {
                holding.retain(|(pid, _)| *pid != event.pid);
            }
            _ => {}
        }
    }
    holding.retain(|(pid, _)| *pid != life.pid);
    holding.into_iter().map(|(_, number)| number).collect()
}
