// SPDX-License-Identifier: GPL-2.0-only
//! What the events amount to.

pub mod agreement;
pub mod counts;
pub mod faults;
pub mod locks;
pub mod loss;
pub mod render;
pub mod spread;
pub mod timeline;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use super::event::{self, Event};
use super::read::{Gap, Record, TraceFile};

use agreement::{Agreement, Ledger};
use counts::Counts;
use faults::{Choice, Faults};
use locks::{Locks, LocksSummary};
use loss::Losses;
use timeline::Timeline;

/// The summary of a trace.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// What is not in it.
    pub lost: Losses,
    /// Who has recorded it, and what.
    pub recorded: Vec<String>,
    /// The clock of the times.
    pub clock: String,
    /// From the first event to the last.
    pub seconds: f64,
    /// How many events of each name there are.
    pub events: BTreeMap<String, u64>,
    /// What became of faults and calls.
    pub counts: Counts,
    /// How long a lock was waited for and held, and because of whom.
    pub locks: LocksSummary,
    /// What the module has counted, beside the events.
    pub agreement: Agreement,
    /// The lives of single faults.
    pub lives: Vec<Timeline>,
}

/// Summarises all events.
pub fn summarise(
    file: &TraceFile,
    records: &[Record],
    gaps: &[Gap],
    choice: Choice,
) -> Result<Summary, String> {
    let (events, names) = event::decode(file, records);
    let mut counts = Counts::default();
    let mut locks = Locks::default();
    let mut faults = Faults::default();
    let mut ledger = Ledger::default();
    for (number, (_, event)) in events.iter().enumerate() {
        counts.take(event, &names);
        locks.take(event);
        faults.take(number, event, &names);
        ledger.take(event, &names);
    }
    let lost = Losses::of(file, gaps, records.len() as u64);
    let all = counted(file, records);
    let is_traced = |event: &str| match recorded(file, "events") {
        Some(list) => list.split(',').any(|name| name.ends_with(event)),
        // Nobody has said what was asked for: what came was.
        None => all.contains_key(event),
    };
    let is_filtered = recorded(file, "filters").is_some();
    let agreement = ledger.finish(is_traced, is_filtered, lost.any());
    let lives = faults
        .choose(choice)?
        .into_iter()
        .map(|(title, fault)| Timeline::of(file, records, &events, title, fault))
        .collect();
    Ok(Summary {
        lost,
        recorded: file.recorded.lines().map(str::to_owned).collect(),
        clock: file.clock.clone(),
        seconds: seconds(&events, records),
        events: all,
        counts,
        locks: locks.finish(&|pid| format!("{}-{pid}", file.task(pid))),
        agreement,
        lives,
    })
}

/// What the recorder has written down under `key`.
pub fn recorded<'a>(file: &'a TraceFile, key: &str) -> Option<&'a str> {
    let mut lines = file.recorded.lines();
    lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

fn counted(file: &TraceFile, records: &[Record]) -> BTreeMap<String, u64> {
    let mut by_id: BTreeMap<u16, u64> = BTreeMap::new();
    for record in records {
        *by_id.entry(record.id).or_default() += 1;
    }
    let name = |id: u16| {
        let format = file.formats.get(&id);
        format.map_or_else(|| format!("event {id}"), |format| format.name.clone())
    };
    by_id
        .into_iter()
        .map(|(id, count)| (name(id), count))
        .collect()
}

fn seconds(events: &[(usize, Event)], records: &[Record]) -> f64 {
    let own = events.first().zip(events.last());
    let own = own.map(|((_, first), (_, last))| (first.time, last.time));
    let all = records.first().zip(records.last());
    let all = all.map(|(first, last)| (first.time, last.time));
    own.or(all)
        .map_or(0.0, |(first, last)| (last - first) as f64 / 1e9)
}
