// SPDX-License-Identifier: GPL-2.0-only
//! Reading a trace file, ours or trace-cmd's of version 6.

use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::format::{Field, Format};
use super::pages::{self, Layout};
use super::stats::BufferStats;
use super::write::{
    FLYRECORD, MAGIC, OPTION_CLOCK, OPTION_CPUSTAT, OPTION_UNAME, OPTION_VERSION, OPTIONS,
};

/// A trace file in memory.
pub struct TraceFile {
    bytes: Vec<u8>,
    /// Formats by the number that records begin with.
    pub formats: HashMap<u16, Format>,
    /// Names of tasks.
    pub tasks: HashMap<i32, String>,
    /// Functions by their addresses, ascending.
    pub symbols: Vec<(u64, String)>,
    /// The clock, or nothing if it is not known.
    pub clock: String,
    /// The kernel, or nothing.
    pub kernel: String,
    /// Who has recorded it and what, or nothing.
    pub recorded: String,
    /// What the kernel says of its buffers, if it was kept.
    pub buffers: Vec<BufferStats>,
    layout: Layout,
    pages: Vec<Range<usize>>,
}

/// An event of a trace, undecoded.
#[derive(Clone, Debug)]
pub struct Record {
    /// Nanoseconds, with most clocks.
    pub time: u64,
    /// The processor it happened on.
    pub cpu: usize,
    /// The format's number.
    pub id: u16,
    /// The thread it happened in.
    pub pid: i32,
    bytes: Range<usize>,
}

/// A place where events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The processor.
    pub cpu: usize,
    /// Behind them comes an event of this time.
    pub time: u64,
    /// How many, if the kernel has noted it.
    pub events: Option<u64>,
}

impl TraceFile {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<TraceFile> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        TraceFile::parse(bytes)
            .with_context(|| format!("{} is no trace that can be read", path.display()))
    }

    /// Reads the content of a file.
    pub fn parse(bytes: Vec<u8>) -> Result<TraceFile> {
        let mut file = TraceFile {
            bytes: Vec::new(),
            formats: HashMap::new(),
            tasks: HashMap::new(),
            symbols: Vec::new(),
            clock: String::new(),
            kernel: String::new(),
            recorded: String::new(),
            buffers: Vec::new(),
            layout: Layout {
                size: 0,
                commit: 8,
                data: 16,
            },
            pages: Vec::new(),
        };
        let mut cursor = Cursor {
            bytes: &bytes,
            at: 0,
        };
        file.read_header(&mut cursor)?;
        file.read_formats(&mut cursor)?;
        file.read_names(&mut cursor)?;
        file.read_rest(&mut cursor)?;
        file.bytes = bytes;
        Ok(file)
    }

    fn read_header(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.take(MAGIC.len())? != MAGIC {
            bail!("it does not begin as one");
        }
        match cursor.text()? {
            "6" => {}
            "7" => bail!(
                "it has version 7: `trace-cmd convert --file-version 6` makes one that can be read"
            ),
            other => bail!("it has version {other:?}, not 6"),
        }
        if cursor.take(2)? != [0, 8] {
            bail!("it is not of a little-endian machine of 64 bits");
        }
        self.layout.size = cursor.u32()? as usize;
        if !(64..=1 << 24).contains(&self.layout.size) {
            bail!("it has pages of {} bytes", self.layout.size);
        }
        cursor.word(b"header_page\0")?;
        let text = cursor.long()?;
        let text = String::from_utf8_lossy(text);
        let fields = text.lines().filter_map(|l| l.trim().strip_prefix("field:"));
        for field in fields.filter_map(Field::parse) {
            match field.name.as_str() {
                "commit" => self.layout.commit = field.offset,
                "data" => self.layout.data = field.offset,
                _ => {}
            }
        }
        cursor.word(b"header_event\0")?;
        cursor.long().map(drop)
    }

    fn read_formats(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        for _ in 0..cursor.u32()? {
            self.add_format("ftrace", cursor.long()?);
        }
        for _ in 0..cursor.u32()? {
            let system = cursor.text()?;
            for _ in 0..cursor.u32()? {
                self.add_format(system, cursor.long()?);
            }
        }
        Ok(())
    }

    /// One that cannot be read is left out: its events are shown as bytes.
    fn add_format(&mut self, system: &str, text: &[u8]) {
        if let Ok(format) = Format::parse(system, &String::from_utf8_lossy(text)) {
            self.formats.insert(format.id, format);
        }
    }

    fn read_names(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let symbols = String::from_utf8_lossy(cursor.short()?);
        for line in symbols.lines() {
            let mut words = line.split_whitespace();
            let address = words.next().and_then(|w| u64::from_str_radix(w, 16).ok());
            if let (Some(address), Some(name)) = (address, words.nth(1)) {
                self.symbols.push((address, name.to_owned()));
            }
        }
        self.symbols.sort();
        cursor.short()?;
        let tasks = String::from_utf8_lossy(cursor.long()?);
        for line in tasks.lines() {
            if let Some((pid, name)) = line.trim().split_once(' ') {
                if let Ok(pid) = pid.parse() {
                    self.tasks.insert(pid, name.to_owned());
                }
            }
        }
        Ok(())
    }

    fn read_rest(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let cpus = cursor.u32()?;
        let mut mark = cursor.take(10)?;
        if mark == OPTIONS {
            loop {
                let number = cursor.u16()?;
                if number == 0 {
                    break;
                }
                self.add_option(number, cursor.short()?);
            }
            mark = cursor.take(10)?;
        }
        if mark != FLYRECORD {
            bail!("it has no pages of events (latency traces have none)");
        }
        for _ in 0..cpus {
            let (start, length) = (cursor.u64()?, cursor.u64()?);
            let range = usize::try_from(start)
                .ok()
                .zip(usize::try_from(length).ok())
                .and_then(|(start, length)| Some(start..start.checked_add(length)?));
            match range {
                Some(range) if range.end <= cursor.bytes.len() => self.pages.push(range),
                _ => bail!("it is cut off: the pages at {start} are {length} bytes"),
            }
        }
        Ok(())
    }

    fn add_option(&mut self, number: u16, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        let text = text.trim_end_matches('\0');
        match number {
            OPTION_CPUSTAT => self.buffers.extend(BufferStats::parse_all(text)),
            OPTION_CLOCK => {
                let chosen = text
                    .split_once('[')
                    .and_then(|(_, rest)| rest.split_once(']'));
                self.clock = chosen.map_or(text.trim(), |(name, _)| name).to_owned();
            }
            OPTION_UNAME => self.kernel = text.to_owned(),
            OPTION_VERSION => self.recorded = text.to_owned(),
            _ => {}
        }
    }

    /// The bytes of a record.
    pub fn content(&self, record: &Record) -> &[u8] {
        &self.bytes[record.bytes.clone()]
    }

    /// The name of a task.
    pub fn task(&self, pid: i32) -> &str {
        match self.tasks.get(&pid) {
            Some(name) => name,
            None if pid == 0 => "<idle>",
            None => "<...>",
        }
    }

    /// All events in the order of their times, and the places where some are missing.
    pub fn records(&self) -> Result<(Vec<Record>, Vec<Gap>)> {
        let mut records = Vec::new();
        let mut gaps = Vec::new();
        for (cpu, range) in self.pages.iter().enumerate() {
            for (number, bytes) in self.bytes[range.clone()]
                .chunks(self.layout.size)
                .enumerate()
            {
                let page = pages::parse(bytes, self.layout)
                    .map_err(|what| anyhow::anyhow!("page {number} of processor {cpu}: {what}"))?;
                if let Some(events) = page.missed {
                    let first = page.entries.first().map_or(page.time, |entry| entry.time);
                    gaps.push(Gap {
                        cpu,
                        time: first,
                        events,
                    });
                }
                let start = range.start + number * self.layout.size;
                for entry in page.entries {
                    let record = start + entry.record.start..start + entry.record.end;
                    records.extend(self.record(entry.time, cpu, record));
                }
            }
        }
        // Stable: events of one processor stay in their order.
        records.sort_by_key(|record| record.time);
        Ok((records, gaps))
    }

    /// `None` if it is too short for what all records begin with.
    fn record(&self, time: u64, cpu: usize, bytes: Range<usize>) -> Option<Record> {
        let content = &self.bytes[bytes.clone()];
        Some(Record {
            time,
            cpu,
            id: u16::from_le_bytes(content.get(..2)?.try_into().ok()?),
            pid: i32::from_le_bytes(content.get(4..8)?.try_into().ok()?),
            bytes,
        })
    }
}

/// A place in a file that is being read.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.with_context(|| format!("it is cut off at byte {}", self.at))?;
        self.at += length;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.take(2)?.try_into()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into()?))
    }

    fn short(&mut self) -> Result<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    fn long(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.u64()?)?;
        self.take(length)
    }

    /// Up to a zero.
    fn text(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| *b == 0);
        let length = length.with_context(|| format!("it is cut off at byte {}", self.at))?;
        let text = std::str::from_utf8(self.take(length + 1)?)?;
        Ok(text.trim_end_matches('\0'))
    }

    fn word(&mut self, word: &[u8]) -> Result<()> {
        let at = self.at;
        match self.take(word.len())? == word {
            true => Ok(()),
            false => bail!(
                "{} is missing at byte {at}",
                String::from_utf8_lossy(word).trim_end_matches('\0')
            ),
        }
    }
}

#[cfg(test)]
mod tests;
