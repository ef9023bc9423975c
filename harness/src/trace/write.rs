// SPDX-License-Identifier: GPL-2.0-only
//! Writing a trace file: version 6 of trace-cmd's format, see trace-cmd.dat.v6(5).
//!
//! All numbers are little-endian, as those of the pages are.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::drain::Pages;

/// What a file begins with.
pub const MAGIC: &[u8] = b"\x17\x08\x44tracing";
/// The version, as it stands behind that.
pub const VERSION: &[u8] = b"6\0";
/// The mark in front of options.
pub const OPTIONS: &[u8; 10] = b"options  \0";
/// The mark in front of the table of pages.
pub const FLYRECORD: &[u8; 10] = b"flyrecord\0";
/// Option: what `stats` says of each buffer.
pub const OPTION_CPUSTAT: u16 = 2;
/// Option: the clocks, that in use in brackets.
pub const OPTION_CLOCK: u16 = 4;
/// Option: the kernel.
pub const OPTION_UNAME: u16 = 5;
/// Option: who has recorded it, and what.
pub const OPTION_VERSION: u16 = 9;

/// All that stands in a file but the pages.
#[derive(Debug, Default)]
pub struct Header {
    /// Bytes of a page of the ring buffers.
    pub page_size: u32,
    /// `events/header_page`.
    pub header_page: Vec<u8>,
    /// `events/header_event`.
    pub header_event: Vec<u8>,
    /// Formats of ftrace's own events.
    pub ftrace: Vec<Vec<u8>>,
    /// Systems with the formats of their events.
    pub systems: Vec<(String, Vec<Vec<u8>>)>,
    /// Lines of `/proc/kallsyms`.
    pub symbols: Vec<u8>,
    /// `printk_formats`.
    pub printk: Vec<u8>,
    /// `saved_cmdlines`.
    pub cmdlines: Vec<u8>,
    /// Numbers and texts of options.
    pub options: Vec<(u16, Vec<u8>)>,
    /// The clocks, that in use in brackets: behind the table of pages, where who finds
    /// the option looks for it, too.
    pub clock: Vec<u8>,
}

/// Writes `path`, with the pages of all processors in the order of their numbers.
pub fn write(path: &Path, header: &Header, pages: &[Pages]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::new(file);
    put(&mut out, header, pages)
        .and_then(|()| out.flush())
        .with_context(|| format!("writing {}", path.display()))
}

fn put(out: &mut (impl Write + Seek), header: &Header, pages: &[Pages]) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(VERSION)?;
    // Little-endian; bytes of a long.
    out.write_all(&[0, 8])?;
    out.write_all(&header.page_size.to_le_bytes())?;
    out.write_all(b"header_page\0")?;
    long(out, &header.header_page)?;
    out.write_all(b"header_event\0")?;
    long(out, &header.header_event)?;
    count(out, header.ftrace.len())?;
    for format in &header.ftrace {
        long(out, format)?;
    }
    count(out, header.systems.len())?;
    for (system, formats) in &header.systems {
        out.write_all(system.as_bytes())?;
        out.write_all(&[0])?;
        count(out, formats.len())?;
        for format in formats {
            long(out, format)?;
        }
    }
    short(out, &header.symbols)?;
    short(out, &header.printk)?;
    long(out, &header.cmdlines)?;
    count(out, pages.len())?;
    out.write_all(OPTIONS)?;
    for (number, text) in &header.options {
        out.write_all(&number.to_le_bytes())?;
        short(out, text)?;
    }
    out.write_all(&0u16.to_le_bytes())?;
    out.write_all(FLYRECORD)?;
    put_pages(out, u64::from(header.page_size), &header.clock, pages)
}

/// The table of pages, the clock, and the pages, each processor's from a multiple of a page on.
fn put_pages(
    out: &mut (impl Write + Seek),
    page: u64,
    clock: &[u8],
    pages: &[Pages],
) -> io::Result<()> {
    let table = 16 * pages.len() as u64 + 8 + clock.len() as u64;
    let first = (out.stream_position()? + table).next_multiple_of(page);
    let mut at = first;
    for cpu in pages {
        out.write_all(&at.to_le_bytes())?;
        out.write_all(&cpu.bytes.to_le_bytes())?;
        at = (at + cpu.bytes).next_multiple_of(page);
    }
    long(out, clock)?;
    for cpu in pages {
        let here = out.stream_position()?;
        let padding = here.next_multiple_of(page) - here;
        io::copy(&mut io::Read::take(io::repeat(0), padding), out)?;
        let copied = io::copy(&mut File::open(&cpu.file)?, out)?;
        if copied != cpu.bytes {
            return Err(io::Error::other(format!(
                "{} has {copied} bytes, not {}",
                cpu.file.display(),
                cpu.bytes
            )));
        }
    }
    Ok(())
}

fn count(out: &mut impl Write, count: usize) -> io::Result<()> {
    let count = u32::try_from(count).map_err(io::Error::other)?;
    out.write_all(&count.to_le_bytes())
}

/// Bytes with their number, in 4 bytes.
fn short(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    count(out, bytes.len())?;
    out.write_all(bytes)
}

/// Bytes with their number, in 8 bytes.
fn long(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}
