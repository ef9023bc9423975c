// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel says of a ring buffer, of a processor each.

use serde::Serialize;

/// The file `stats` of a processor's buffer, once all of it has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BufferStats {
    /// The processor.
    pub cpu: usize,
    /// Events that were overwritten before they were read.
    pub overrun: u64,
    /// Events that came while the buffer was full of one that was not finished.
    pub commit_overrun: u64,
    /// Events for which there was no room.
    pub dropped: u64,
    /// Events that were read.
    pub read: u64,
}

impl BufferStats {
    /// Reads the file of processor `cpu`.
    pub fn parse(cpu: usize, text: &str) -> BufferStats {
        let number = |key: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(key));
            value.and_then(|v| v.trim().parse().ok()).unwrap_or(0)
        };
        BufferStats {
            cpu,
            overrun: number("overrun:"),
            commit_overrun: number("commit overrun:"),
            dropped: number("dropped events:"),
            read: number("read events:"),
        }
    }

    /// Events that are not in the trace.
    pub fn lost(&self) -> u64 {
        self.overrun + self.commit_overrun + self.dropped
    }

    /// Reads all of them from the text that trace files have: "CPU: 0", then the file.
    pub fn parse_all(text: &str) -> Vec<BufferStats> {
        let parts = text.split("CPU: ").skip(1);
        let part = |part: &str| {
            let (cpu, rest) = part.split_once('\n')?;
            Some(BufferStats::parse(cpu.trim().parse().ok()?, rest))
        };
        parts.filter_map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_all_processors_are_read() {
        let file = "entries: 0\noverrun: 7\ncommit overrun: 1\nbytes: 0\n\
                    oldest event ts:     0.000000\nnow ts:    9.123456\n\
                    dropped events: 2\nread events: 40\n";
        let all = BufferStats::parse_all(&format!("CPU: 0\n{file}CPU: 1\n{file}"));
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].cpu, all[1].lost(), all[1].read), (1, 10, 40));
    }
}
