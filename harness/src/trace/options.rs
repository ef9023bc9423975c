// SPDX-License-Identifier: GPL-2.0-only
//! What `faultline trace` can be asked for.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Options of `faultline trace record`.
#[derive(Args, Clone, Debug)]
pub struct Record {
    /// The file to write
    #[arg(long, value_name = "FILE", default_value = "trace.dat")]
    pub out: PathBuf,

    /// Events, as SYSTEM:EVENT or EVENT of the module, with * and ?, separated by commas
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "faultline:*"
    )]
    pub events: Vec<String>,

    /// Keep only such events, as tracefs takes it: 'fault_aborted:cause == 3' (may be repeated)
    #[arg(long = "filter", value_name = "EVENT:EXPR")]
    pub filters: Vec<String>,

    /// Trace functions on the way of faults and changes, with their durations, too
    #[arg(long)]
    pub function_graph: bool,

    /// Buffer of each processor, such as 512K or 8M
    #[arg(long, value_name = "SIZE", default_value = "8M", value_parser = parse_size)]
    pub buffer: u64,

    /// Clock of the time stamps, as tracefs has them
    #[arg(long, value_name = "CLOCK", default_value = "mono")]
    pub clock: String,

    /// Command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Options of `faultline trace report`.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// The trace
    #[arg(value_name = "FILE", default_value = "trace.dat")]
    pub file: PathBuf,

    /// Write all events as text to this file ("-": to stdout, instead of the summary)
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,

    /// The summary in JSON
    #[arg(long)]
    pub json: bool,

    /// Show the life of this fault, counted from 1 in the order of their ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub fault: Option<u64>,

    /// Choose the faults that are shown among those of this thread
    #[arg(long, value_name = "PID")]
    pub task: Option<i32>,
}

/// Bytes, of a number followed by K, M or G.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let shift = match text.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        _ => return Err("not a number followed by K, M or G".into()),
    };
    let number: u64 = text[..text.len() - 1]
        .parse()
        .map_err(|_| "not a number followed by K, M or G".to_owned())?;
    match number.checked_shl(shift) {
        Some(bytes) if bytes >= 4096 && bytes >> shift == number => Ok(bytes),
        _ => Err("not between 4K and what there is of memory".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_and_a_page() {
        assert_eq!(parse_size("8M"), Ok(8 << 20));
        assert_eq!(parse_size("4k"), Ok(4096));
        for wrong in ["8", "M", "3K", "-1M", "99999999999G", ""] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
