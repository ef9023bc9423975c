// SPDX-License-Identifier: GPL-2.0-only
//! Events that are not in the trace.

use serde::Serialize;

use super::recorded;
use crate::trace::read::{Gap, Record, TraceFile};
use crate::trace::stats::BufferStats;

/// What is known of them, by three ways: the kernel's statistics of its buffers, the marks
/// in the pages, and whether as many events are in the file as the kernel gave away.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Losses {
    /// The statistics of each processor's buffer; none if the file has none.
    pub buffers: Vec<BufferStats>,
    /// Places of which the pages say that events are missing, by processor.
    pub gaps: Vec<(usize, u64)>,
    /// How many events the pages say are missing, as far as they know.
    pub missed: u64,
    /// Events in the file.
    pub there: u64,
    /// And how many of each processor.
    pub by_processor: Vec<u64>,
    /// Bytes of a processor's buffer, if it was noted.
    pub buffer: Option<u64>,
}

impl Losses {
    /// Of a file with these events.
    pub fn of(file: &TraceFile, gaps: &[Gap], records: &[Record]) -> Losses {
        let mut by_cpu: Vec<(usize, u64)> = Vec::new();
        for gap in gaps {
            match by_cpu.iter_mut().find(|(cpu, _)| *cpu == gap.cpu) {
                Some((_, count)) => *count += 1,
                None => by_cpu.push((gap.cpu, 1)),
            }
        }
        let cpus = records.iter().map(|record| record.cpu + 1).max();
        let mut by_processor = vec![0; cpus.unwrap_or(0)];
        for record in records {
            by_processor[record.cpu] += 1;
        }
        Losses {
            buffers: file.buffers.clone(),
            gaps: by_cpu,
            missed: gaps.iter().filter_map(|gap| gap.events).sum(),
            there: records.len() as u64,
            by_processor,
            buffer: recorded(file, "buffer").and_then(|bytes| bytes.parse().ok()),
        }
    }

    /// By the kernel's statistics.
    pub fn counted(&self) -> u64 {
        self.buffers.iter().map(BufferStats::lost).sum()
    }

    /// Events that the kernel gave to the recorder and are not in the file. Where the
    /// kernel does not say, none.
    pub fn unread(&self) -> u64 {
        let missing = |buffer: &BufferStats| buffer.read.saturating_sub(self.of_cpu(buffer.cpu));
        self.buffers.iter().map(missing).sum()
    }

    /// Processors of which there are more events than the kernel says it gave. It counts
    /// from the last reset of a buffer on, and a reset throws away what is in there.
    /// Unloading a module is one, as its events have no formats any more.
    pub fn reset(&self) -> Vec<usize> {
        let buffers = self.buffers.iter();
        let reset = buffers.filter(|buffer| self.of_cpu(buffer.cpu) > buffer.read);
        reset.map(|buffer| buffer.cpu).collect()
    }

    fn of_cpu(&self, cpu: usize) -> u64 {
        self.by_processor.get(cpu).copied().unwrap_or(0)
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.counted() != 0
            || !self.gaps.is_empty()
            || self.unread() != 0
            || !self.reset().is_empty()
    }

    /// What is to be said of them; nothing if there are none.
    pub fn text(&self) -> String {
        if !self.any() {
            return String::new();
        }
        let lost = self.counted().max(self.missed) + self.unread();
        let how_many = match (lost, self.reset().is_empty()) {
            (0, _) => "some".to_owned(),
            (lost, true) => format!("{lost} of {}", lost + self.there),
            (lost, false) => format!("{lost} and more"),
        };
        format!(
            "EVENTS WERE LOST: {how_many}. All counts below are too small, and times may be wrong.\n  \
             {}\n{}",
            self.places().join("\n  "),
            self.advice()
        )
    }

    /// Where, and as far as it is known why.
    fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        for buffer in self.buffers.iter().filter(|buffer| buffer.lost() != 0) {
            places.push(format!(
                "processor {}: {} (overrun {}, commit overrun {}, dropped {}, never read {})",
                buffer.cpu,
                buffer.lost(),
                buffer.overrun,
                buffer.commit_overrun,
                buffer.dropped,
                buffer.entries
            ));
        }
        for (cpu, marks) in &self.gaps {
            places.push(format!(
                "processor {cpu}: {marks} places marked in its pages"
            ));
        }
        if self.unread() != 0 {
            places.push(format!(
                "{} more were read, and are not in the file",
                self.unread()
            ));
        }
        for cpu in self.reset() {
            places.push(format!(
                "processor {cpu}: more events than the kernel says it gave: its buffers were \
                 reset meanwhile"
            ));
        }
        places
    }

    /// What to do about it.
    fn advice(&self) -> String {
        let size = self
            .buffer
            .map_or(String::new(), |bytes| format!(" (it was {}K)", bytes >> 10));
        let mut advice = String::new();
        if self.counted() != 0 || !self.gaps.is_empty() {
            advice.push_str(&format!(
                "  Take a larger --buffer{size}, fewer --events, or a --filter.\n"
            ));
        }
        if !self.reset().is_empty() {
            advice.push_str("  Do not let the command unload the module: that resets them.\n");
        }
        advice
    }
}
