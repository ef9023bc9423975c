// SPDX-License-Identifier: GPL-2.0-only
//! A trace for people: a line for each event.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::format::{Field, Format, Kind};
use super::read::{Gap, Record, TraceFile};

/// Writes all of it.
pub fn write(
    out: &mut impl Write,
    file: &TraceFile,
    records: &[Record],
    gaps: &[Gap],
) -> io::Result<()> {
    writeln!(out, "# recorded by {}", first_line(&file.recorded))?;
    for line in file.recorded.lines().skip(1) {
        writeln!(out, "# {line}")?;
    }
    writeln!(out, "# kernel: {}", file.kernel)?;
    writeln!(out, "# clock: {} (seconds)", file.clock)?;
    writeln!(out, "#{:>22}  CPU {:>15}  EVENT", "TASK-PID", "TIME")?;
    let mut gaps = gaps.to_vec();
    gaps.sort_by_key(|gap| gap.time);
    let mut gaps = gaps.iter().peekable();
    for record in records {
        while let Some(gap) = gaps.next_if(|gap| gap.time <= record.time) {
            let events = gap.events.map_or("some".to_owned(), |n| n.to_string());
            writeln!(out, "# LOST: {events} events of processor {}", gap.cpu)?;
        }
        writeln!(out, "{}", line(file, record))?;
    }
    for gap in gaps {
        let events = gap.events.map_or("some".to_owned(), |n| n.to_string());
        writeln!(out, "# LOST: {events} events of processor {}", gap.cpu)?;
    }
    Ok(())
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("an unknown program")
}

/// One event.
pub fn line(file: &TraceFile, record: &Record) -> String {
    let task = format!("{}-{}", file.task(record.pid), record.pid);
    format!(
        "{task:>23}  {:>3} {:>15}  {}",
        format!("[{}]", record.cpu),
        seconds(record.time),
        event(file, record)
    )
}

/// "12.345678901".
fn seconds(time: u64) -> String {
    format!("{}.{:09}", time / 1_000_000_000, time % 1_000_000_000)
}

/// Name and fields of an event.
pub fn event(file: &TraceFile, record: &Record) -> String {
    let content = file.content(record);
    let Some(format) = file.formats.get(&record.id) else {
        return format!(
            "event {}: {} bytes of an unknown format",
            record.id,
            content.len()
        );
    };
    format!("{}: {}", format.name, fields(file, format, content))
}

fn fields(file: &TraceFile, format: &Format, content: &[u8]) -> String {
    let mut text = String::new();
    let own = |field: &&Field| !field.name.starts_with("common_");
    for field in format.fields.iter().filter(own) {
        let gap = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{gap}{}={}", field.name, value(file, field, content));
    }
    text
}

fn value(file: &TraceFile, field: &Field, content: &[u8]) -> String {
    let Some(bytes) = content.get(field.offset..field.offset + field.size) else {
        return "?".into();
    };
    match (field.kind, field.number(content)) {
        (Kind::Text, _) => until_zero(bytes),
        (Kind::Elsewhere, Some(place)) => {
            let (at, length) = (place as usize & 0xffff, (place as usize >> 16) & 0xffff);
            until_zero(content.get(at..at + length).unwrap_or(b"?"))
        }
        (_, None) | (Kind::Bytes, _) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
        (_, Some(number)) => match (field.name_of(number), field.kind) {
            (Some(name), _) => name.to_owned(),
            (None, Kind::Bool) => (number != 0).to_string(),
            (None, Kind::Signed) => signed(number, field.size).to_string(),
            (None, Kind::Address) => function(file, number).unwrap_or(format!("{number:#x}")),
            (None, _) => number.to_string(),
        },
    }
}

fn until_zero(bytes: &[u8]) -> String {
    let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A number of so many bytes, with its sign.
fn signed(number: u64, size: usize) -> i64 {
    let shift = 64 - 8 * size.clamp(1, 8) as u32;
    ((number << shift) as i64) >> shift
}

/// The function at an address, with its name as it is written in Rust.
fn function(file: &TraceFile, address: u64) -> Option<String> {
    let behind = file.symbols.partition_point(|(start, _)| *start <= address);
    let (start, name) = file.symbols.get(behind.checked_sub(1)?)?;
    // A function is not that long: it is something else.
    let offset = address - start;
    let name = format!("{:#}", rustc_demangle::demangle(name));
    match offset {
        0 => Some(name),
        1..0x10000 => Some(format!("{name}+{offset:#x}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_signs() {
        assert_eq!(signed(0xff, 1), -1);
        assert_eq!(signed(0xffff_fff4, 4), -12);
        assert_eq!(signed(12, 4), 12);
        assert_eq!(signed(u64::MAX, 8), -1);
    }

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds(1_000_000_001), "1.000000001");
    }
}
