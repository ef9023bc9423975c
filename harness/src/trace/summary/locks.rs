// SPDX-License-Identifier: GPL-2.0-only
//! How long the locks of spaces were waited for and held, and who waited for whom.
//!
//! A wait is the time from asking to getting, so that of a request which gets its
//! pages at once is there, too, and short. A request for two intervals, as REMAP makes
//! it, is two waits. Events say that pages are given back just before they are: so who
//! asks at that moment may wait a little for nobody that is known.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::spread::{Spread, Times};
use crate::trace::event::{Claim, Event, Lock, Pages, What};

/// How many holds and pairs are shown.
const TOP: usize = 10;

/// How large an interval is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Size {
    Page,
    Leaf,
    Gibibyte,
    More,
    Space,
}

impl Size {
    fn of(claim: &Claim) -> Size {
        match (claim.kind, claim.pages.count()) {
            (Lock::Semaphore, _) => Size::Space,
            (_, 0..=1) => Size::Page,
            (_, 2..=512) => Size::Leaf,
            (_, 513..=262_144) => Size::Gibibyte,
            _ => Size::More,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Size::Page => "1 page",
            Size::Leaf => "2 to 512 pages (2 MiB)",
            Size::Gibibyte => "up to 262144 pages (1 GiB)",
            Size::More => "more, up to everything",
            Size::Space => "the space (semaphore)",
        }
    }
}

/// Pages that somebody holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    pid: i32,
    claim: Claim,
    since: u64,
}

/// Somebody that waits, and how long for whom.
#[derive(Clone, Debug)]
struct Waiter {
    pid: i32,
    claim: Claim,
    since: u64,
    blame: HashMap<i32, u64>,
}

/// What is known so far.
#[derive(Debug, Default)]
pub struct Locks {
    held: Vec<Held>,
    waiting: Vec<Waiter>,
    waits: BTreeMap<(Size, bool), (Times, u64)>,
    holds: BTreeMap<(Size, bool), Times>,
    pairs: HashMap<(i32, i32), (u64, u64)>,
    longest: Vec<(u64, Held)>,
}

/// Waits and holds of intervals of one size.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How many pages.
    pub size: &'static str,
    /// "read" or "write".
    pub mode: &'static str,
    /// Those that ended without the pages.
    pub failed: u64,
    /// Times from asking to getting, or to the end without.
    pub waited: Spread,
    /// Times from getting to giving back, of each part that was.
    pub held: Spread,
}

/// A task that has waited for another.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// Who has waited.
    pub waiter: String,
    /// Who had the pages then.
    pub holder: String,
    /// How often.
    pub count: u64,
    /// How long, in all.
    pub total_ns: u64,
}

/// Pages that were held for long.
#[derive(Clone, Debug, Serialize)]
pub struct LongHold {
    /// By whom.
    pub task: String,
    /// "range" or "semaphore".
    pub lock: &'static str,
    /// "read" or "write".
    pub mode: &'static str,
    /// Which.
    pub start: u64,
    /// Which.
    pub end: u64,
    /// How long.
    pub held_ns: u64,
    /// When they were got.
    pub since_ns: u64,
}

/// See [`Locks`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct LocksSummary {
    /// Times by size and mode.
    pub by_size: Vec<Row>,
    /// Who waited longest for whom.
    pub pairs: Vec<Pair>,
    /// Pairs that are not among these.
    pub more_pairs: u64,
    /// The longest holds.
    pub longest: Vec<LongHold>,
    /// Holds that had not ended.
    pub unfinished: u64,
}

impl Locks {
    /// Takes in one event.
    pub fn take(&mut self, event: &Event) {
        match event.what {
            What::Asked(claim) => self.ask(event, claim),
            What::Got(claim, success) => self.get(event, claim, success),
            What::Gave(claim) => self.give(event, claim),
            _ => {}
        }
    }

    fn ask(&mut self, event: &Event, claim: Claim) {
        let stale = |claim: &Claim, pid| pid == event.pid && claim.kind == Lock::Range;
        // A task has one request of a lock at a time: what is older was lost.
        self.held
            .retain(|held| !(stale(&held.claim, held.pid) && held.claim.lock == claim.lock));
        self.waiting.retain(|waiter| {
            !(waiter.pid == event.pid && waiter.claim.lock == claim.lock)
                || waiter.claim.pages != claim.pages
        });
        self.waiting.push(Waiter {
            pid: event.pid,
            claim,
            since: event.time,
            blame: HashMap::new(),
        });
    }

    fn get(&mut self, event: &Event, claim: Claim, success: bool) {
        let mut waiting = self.waiting.iter();
        let asked = waiting.position(|w| w.pid == event.pid && w.claim == claim);
        if let Some(at) = asked {
            let mut waiter = self.waiting.swap_remove(at);
            for held in &self.held {
                blame(&mut waiter, held, event.time);
            }
            for (holder, time) in waiter.blame {
                let (count, sum) = self.pairs.entry((event.pid, holder)).or_default();
                *count += 1;
                *sum += time;
            }
            let key = (Size::of(&claim), claim.write);
            let (times, failed) = self.waits.entry(key).or_default();
            times.add(event.time.saturating_sub(waiter.since));
            *failed += u64::from(!success);
        }
        if success {
            self.held.push(Held {
                pid: event.pid,
                claim,
                since: event.time,
            });
        }
    }

    fn give(&mut self, event: &Event, given: Claim) {
        let mut rest = Vec::new();
        let mut parts = Vec::new();
        self.held.retain(|held| {
            let is_it = held.pid == event.pid
                && held.claim.lock == given.lock
                && held.claim.kind == given.kind
                && (given.kind == Lock::Semaphore || held.claim.pages.overlap(given.pages));
            if is_it {
                let (part, left) = split(held, given);
                parts.push(part);
                rest.extend(left);
            }
            !is_it
        });
        self.held.extend(rest);
        for held in parts {
            for waiter in &mut self.waiting {
                blame(waiter, &held, event.time);
            }
            let time = event.time.saturating_sub(held.since);
            let key = (Size::of(&held.claim), held.claim.write);
            self.holds.entry(key).or_default().add(time);
            self.note_long(time, held);
        }
    }

    fn note_long(&mut self, time: u64, held: Held) {
        let at = self.longest.partition_point(|(longer, _)| *longer >= time);
        if at < TOP {
            self.longest.insert(at, (time, held));
            self.longest.truncate(TOP);
        }
    }

    /// What it comes to; `task` names a thread.
    pub fn finish(mut self, task: &dyn Fn(i32) -> String) -> LocksSummary {
        let mut keys: Vec<(Size, bool)> = self.waits.keys().copied().collect();
        keys.extend(self.holds.keys().copied());
        keys.sort_unstable();
        keys.dedup();
        let by_size = keys.into_iter().map(|key| {
            let (waits, failed) = self.waits.remove(&key).unwrap_or_default();
            Row {
                size: key.0.name(),
                mode: mode(key.1),
                failed,
                waited: waits.spread(),
                held: self.holds.remove(&key).unwrap_or_default().spread(),
            }
        });
        let by_size = by_size.collect();
        let mut pairs: Vec<_> = self.pairs.into_iter().collect();
        pairs.sort_by_key(|((waiter, holder), (_, time))| {
            (std::cmp::Reverse(*time), *waiter, *holder)
        });
        let more_pairs = pairs.len().saturating_sub(TOP) as u64;
        pairs.truncate(TOP);
        let pair = |((waiter, holder), (count, total_ns))| Pair {
            waiter: task(waiter),
            holder: task(holder),
            count,
            total_ns,
        };
        let long = |(held_ns, held): (u64, Held)| LongHold {
            task: task(held.pid),
            lock: match held.claim.kind {
                Lock::Range => "range",
                Lock::Semaphore => "semaphore",
            },
            mode: mode(held.claim.write),
            start: held.claim.pages.start,
            end: held.claim.pages.end,
            held_ns,
            since_ns: held.since,
        };
        LocksSummary {
            by_size,
            pairs: pairs.into_iter().map(pair).collect(),
            more_pairs,
            longest: self.longest.into_iter().map(long).collect(),
            unfinished: self.held.len() as u64,
        }
    }
}

fn mode(write: bool) -> &'static str {
    if write { "write" } else { "read" }
}

/// Adds the time that `waiter` has spent beside `held`, up to `now`.
fn blame(waiter: &mut Waiter, held: &Held, now: u64) {
    if waiter.pid != held.pid && waiter.claim.conflicts(&held.claim) {
        let time = now.saturating_sub(waiter.since.max(held.since));
        if time != 0 {
            *waiter.blame.entry(held.pid).or_default() += time;
        }
    }
}

/// The part of `held` that is given back, and what is left of it.
fn split(held: &Held, given: Claim) -> (Held, Vec<Held>) {
    if given.kind == Lock::Semaphore {
        return (*held, Vec::new());
    }
    let with = |start, end| {
        let mut part = *held;
        part.claim.pages = Pages { start, end };
        part
    };
    let (all, gone) = (held.claim.pages, given.pages);
    let part = with(all.start.max(gone.start), all.end.min(gone.end));
    let below = with(all.start, part.claim.pages.start);
    let above = with(part.claim.pages.end, all.end);
    let left = [below, above].into_iter();
    let left = left.filter(|part| part.claim.pages.count() != 0);
    (part, left.collect())
}
