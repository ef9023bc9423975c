// SPDX-License-Identifier: GPL-2.0-only
//! What each thread did last, for the report of a mismatch.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::State;
use crate::access::{Fault, Signal};
use crate::shared::SharedWords;
use crate::sys;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the operations of these names")]
pub enum Op {
    Load,
    Store,
    MapFixed,
    MapNoreplace,
    MapHint,
    Unmap,
    Protect,
    Shrink,
    Grow,
    MoveFrom,
    MoveTo,
    DontNeed,
    WillNeed,
    Query,
}

impl Op {
    fn is_access(self) -> bool {
        matches!(self, Op::Load | Op::Store)
    }
}

const OPS: [Op; 14] = [
    Op::Load,
    Op::Store,
    Op::MapFixed,
    Op::MapNoreplace,
    Op::MapHint,
    Op::Unmap,
    Op::Protect,
    Op::Shrink,
    Op::Grow,
    Op::MoveFrom,
    Op::MoveTo,
    Op::DontNeed,
    Op::WillNeed,
    Op::Query,
];

/// One operation of one thread.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What was done.
    pub op: Op,
    /// First page.
    pub page: u32,
    /// Number of pages.
    pub count: u32,
    /// State of the first page at the start.
    pub before: State,
    /// Byte in the page, for an access.
    pub byte: usize,
}

/// Accesses and calls.
const RINGS: usize = 2;
/// Events kept per thread and ring.
const EVENTS: usize = 512;
/// Words per event: a cache line, so that threads do not disturb each other.
const WORDS: usize = 8;
/// An event without an end.
const PENDING: u64 = u64::MAX;

/// The last events of each thread: accesses in one ring, calls in another, so
/// that many accesses do not push out the few calls. A thread writes its own
/// rings only; what a report reads may be torn when others still run, so it
/// helps a human, and decides nothing.
#[derive(Debug)]
pub struct Trail {
    words: SharedWords,
    threads: usize,
}

/// Where a thread is in its rings.
#[derive(Debug, Default)]
pub struct Cursor {
    counts: [usize; RINGS],
    ring: usize,
}

impl Trail {
    /// For this many threads.
    pub fn new(threads: usize) -> io::Result<Trail> {
        Ok(Trail {
            words: SharedWords::new(threads * RINGS * EVENTS * WORDS)?,
            threads,
        })
    }

    fn slot(&self, thread: usize, ring: usize, index: usize) -> &[AtomicU64] {
        let at = ((thread * RINGS + ring) * EVENTS + index % EVENTS) * WORDS;
        &self.words[at..at + WORDS]
    }

    /// Notes that `thread` starts an operation.
    pub fn begin(&self, thread: usize, cursor: &mut Cursor, event: Event) {
        cursor.ring = usize::from(!event.op.is_access());
        cursor.counts[cursor.ring] += 1;
        let slot = self.slot(thread, cursor.ring, cursor.counts[cursor.ring]);
        let place = (u64::from(event.page) << 32) | u64::from(event.count);
        let words = [
            sys::ticks(),
            PENDING,
            ((event.op as u64) << 32) | event.byte as u64,
            place,
            event.before.pack(),
            event.before.pack(),
            0,
        ];
        // Relaxed: see the type; the release in `end` is enough for the rest.
        slot.iter()
            .zip(words)
            .for_each(|(word, value)| word.store(value, Relaxed));
    }

    /// Notes how that operation ended: with what a load saw, what a store
    /// stored, or the errno of a call.
    pub fn end(&self, thread: usize, cursor: &Cursor, after: State, result: Result<u64, Fault>) {
        let slot = self.slot(thread, cursor.ring, cursor.counts[cursor.ring]);
        let (value, fault) = match result {
            Ok(value) => (value, 0),
            Err(Fault {
                signal: Signal::Bus,
                code,
            }) => (code as u64, 1),
            Err(Fault {
                signal: Signal::Segv,
                code,
            }) => (code as u64, 2),
        };
        slot[5].store(after.pack(), Relaxed);
        slot[6].store(value, Relaxed);
        slot[7].store(fault, Relaxed);
        slot[1].store(sys::ticks(), Release);
    }

    /// The last accesses of `page` and the last calls that touched it, up to
    /// `count` of each, oldest first, one per line.
    pub fn of_page(&self, page: u32, count: usize) -> String {
        let touches = |line: &Line| (line.page..line.page + line.count).contains(&page);
        self.last(0..self.threads, count, touches)
    }

    /// The same of one thread, for all pages.
    pub fn of_thread(&self, thread: usize, count: usize) -> String {
        self.last(thread..thread + 1, count, |_| true)
    }

    fn last(&self, threads: Range<usize>, count: usize, wanted: impl Fn(&Line) -> bool) -> String {
        let now = sys::ticks();
        let mut lines = Vec::new();
        for ring in 0..RINGS {
            let mut of_ring: Vec<Line> = threads
                .clone()
                .flat_map(|thread| (0..EVENTS).map(move |index| (thread, index)))
                .filter_map(|(thread, index)| Line::read(thread, self.slot(thread, ring, index)))
                .filter(&wanted)
                .collect();
            of_ring.sort_by_key(|line| line.start);
            let skip = of_ring.len().saturating_sub(count);
            lines.extend(of_ring.drain(skip..));
        }
        lines.sort_by_key(|line| line.start);
        lines
            .iter()
            .map(|line| format!("    {:>12} {line}\n", line.age(now)))
            .collect()
    }
}

/// An event as it is printed.
struct Line {
    thread: usize,
    start: u64,
    end: u64,
    op: Op,
    byte: u32,
    page: u32,
    count: u32,
    before: State,
    after: State,
    value: u64,
    fault: u64,
}

impl Line {
    fn read(thread: usize, slot: &[AtomicU64]) -> Option<Line> {
        let end = slot[1].load(Acquire);
        let word = |index: usize| slot[index].load(Relaxed);
        (word(0) != 0).then(|| Line {
            thread,
            start: word(0),
            end,
            op: OPS[(word(2) >> 32) as usize % OPS.len()],
            byte: word(2) as u32,
            page: (word(3) >> 32) as u32,
            count: word(3) as u32,
            before: State::unpack(word(4)),
            after: State::unpack(word(5)),
            value: word(6),
            fault: word(7),
        })
    }

    /// How long ago it started, in units that sort by eye.
    fn age(&self, now: u64) -> String {
        format!("-{}k", now.saturating_sub(self.start) / 1000)
    }
}

impl Line {
    fn fmt_access(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " byte {}: {}", self.byte, self.before)?;
        if self.end == PENDING {
            return f.write_str(", not over");
        }
        if self.after != self.before {
            write!(f, " -> {}", self.after)?;
        }
        match self.fault {
            0 => write!(f, " = {:#x}", self.value),
            1 => f.write_str(" = SIGBUS"),
            _ => f.write_str(" = SIGSEGV"),
        }
    }

    /// The pages of a call differ in their generations: that of the first one.
    fn fmt_call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (page, epoch) = (self.page, self.before.epoch);
        write!(f, " pages {page}..{} (page {page}: ", page + self.count)?;
        if self.end == PENDING {
            return write!(f, "generation {epoch}), not over");
        }
        write!(f, "{:?}, generation {})", self.after.kind, self.after.epoch)?;
        match self.value {
            0 => f.write_str(" = ok"),
            errno => write!(f, " = {}", io::Error::from_raw_os_error(errno as i32)),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread {:<2} {:?}", self.thread, self.op)?;
        if self.op.is_access() {
            self.fmt_access(f)
        } else {
            self.fmt_call(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_all_threads_are_merged_by_time() {
        let trail = Trail::new(2).expect("memory");
        let mut cursors = [Cursor::default(), Cursor::default()];
        let event = |op, page, count| Event {
            op,
            page,
            count,
            before: State::NEW,
            byte: 8,
        };
        trail.begin(1, &mut cursors[1], event(Op::MapFixed, 3, 4));
        trail.end(1, &cursors[1], State::NEW, Ok(0));
        trail.begin(0, &mut cursors[0], event(Op::Load, 5, 1));
        trail.begin(0, &mut cursors[0], event(Op::Load, 7, 1));
        let text = trail.of_page(5, 10);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("thread 1  MapFixed pages 3..7"), "{text}");
        assert!(lines[1].contains("thread 0  Load byte 8") && lines[1].contains("not over"));
        assert_eq!(trail.of_page(5, 1).lines().count(), 2, "one of each kind");
        assert_eq!(trail.of_thread(0, 10).lines().count(), 2);
    }
}
