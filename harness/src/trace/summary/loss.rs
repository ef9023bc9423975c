// SPDX-License-Identifier: GPL-2.0-only
//! Events that are not in the trace.

use serde::Serialize;

use super::recorded;
use crate::trace::read::{Gap, TraceFile};
use crate::trace::stats::BufferStats;

/// What is known of them, by two ways: the kernel's statistics of its buffers, and the
/// marks in the pages.
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
    /// Bytes of a processor's buffer, if it was noted.
    pub buffer: Option<u64>,
}

impl Losses {
    /// Of a file with `there` events.
    pub fn of(file: &TraceFile, gaps: &[Gap], there: u64) -> Losses {
        let mut by_cpu: Vec<(usize, u64)> = Vec::new();
        for gap in gaps {
            match by_cpu.iter_mut().find(|(cpu, _)| *cpu == gap.cpu) {
                Some((_, count)) => *count += 1,
                None => by_cpu.push((gap.cpu, 1)),
            }
        }
        Losses {
            buffers: file.buffers.clone(),
            gaps: by_cpu,
            missed: gaps.iter().filter_map(|gap| gap.events).sum(),
            there,
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
        let read: u64 = self.buffers.iter().map(|buffer| buffer.read).sum();
        read.saturating_sub(self.there)
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.counted() != 0 || !self.gaps.is_empty() || self.unread() != 0
    }

    /// What is to be said of them; nothing if there are none.
    pub fn text(&self) -> String {
        if !self.any() {
            return String::new();
        }
        let mut where_lost = Vec::new();
        for buffer in self.buffers.iter().filter(|buffer| buffer.lost() != 0) {
            where_lost.push(format!(
                "processor {}: {} (overrun {}, commit overrun {}, dropped {})",
                buffer.cpu,
                buffer.lost(),
                buffer.overrun,
                buffer.commit_overrun,
                buffer.dropped
            ));
        }
        for (cpu, places) in &self.gaps {
            where_lost.push(format!(
                "processor {cpu}: {places} places marked in its pages"
            ));
        }
        if self.unread() != 0 {
            where_lost.push(format!(
                "{} more were read, and are not in the file",
                self.unread()
            ));
        }
        let lost = self.counted().max(self.missed) + self.unread();
        let size = self
            .buffer
            .map_or(String::new(), |bytes| format!(" (it was {}K)", bytes >> 10));
        format!(
            "EVENTS WERE LOST: {} of {}. All counts below are too small, and times may be wrong.\n  \
             {}\n  Take a larger --buffer{size}, fewer --events, or a --filter.\n",
            if lost == 0 {
                "some".into()
            } else {
                lost.to_string()
            },
            lost + self.there,
            where_lost.join("\n  ")
        )
    }
}
