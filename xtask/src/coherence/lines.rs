// SPDX-License-Identifier: GPL-2.0-only
//! Which line of the module's source an instruction is of, by `llvm-symbolizer`.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::step::output;

/// Folder of the module's source, whose lines say more than those inlined from elsewhere.
const SOURCE: &str = "/module/";

/// Lines by address, as `folder/file:line`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(HashMap<u64, String>);

/// What the tool says of an address: the innermost of inlined functions first.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "Address")]
    address: String,
    #[serde(rename = "Symbol", default)]
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "FileName")]
    file: String,
    #[serde(rename = "Line")]
    line: u32,
}

impl Lines {
    /// Those of `addresses` in a module whose code begins at `text`.
    pub(crate) fn find(
        symbolizer: &str,
        module: &Path,
        text: u64,
        addresses: impl IntoIterator<Item = u64>,
    ) -> Result<Lines> {
        let offsets: Vec<String> = addresses
            .into_iter()
            .filter_map(|address| address.checked_sub(text))
            .map(|offset| format!("{offset:#x}"))
            .collect();
        if offsets.is_empty() {
            return Ok(Lines::default());
        }
        let mut command = Command::new(symbolizer);
        command.arg("--obj").arg(module);
        command.arg("--output-style=JSON").args(offsets);
        Lines::parse(&output(&mut command)?, text).context("what llvm-symbolizer says")
    }

    fn parse(json: &str, text: u64) -> Result<Lines> {
        let found: Vec<Found> = serde_json::from_str(json)?;
        let line = |found: Found| {
            let digits = found.address.trim_start_matches("0x");
            let offset = u64::from_str_radix(digits, 16).ok()?;
            let known = || found.frames.iter().filter(|frame| frame.line != 0);
            let own = known().find(|frame| frame.file.contains(SOURCE));
            let frame = own.or_else(|| known().next())?;
            Some((text + offset, frame.place()))
        };
        Ok(Lines(found.into_iter().filter_map(line).collect()))
    }

    /// The line of an address.
    pub(crate) fn at(&self, address: u64) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }
}

impl Frame {
    /// From the folder on that has the module's source.
    fn place(&self) -> String {
        let file = match self.file.rfind(SOURCE) {
            Some(at) => &self.file[at + 1..],
            None => &self.file,
        };
        format!("{file}:{}", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_module_goes_before_what_is_inlined_there() {
        let json = r#"[
            {"Address": "0x10", "Symbol": [
                {"FileName": "/k/rust/kernel/sync/atomic.rs", "Line": 7},
                {"FileName": "/r/module/driver/fault.rs", "Line": 295}]},
            {"Address": "0x20", "Symbol": [{"FileName": "/k/a.rs", "Line": 3}]},
            {"Address": "0x30", "Symbol": [{"FileName": "", "Line": 0}]}]"#;
        let lines = Lines::parse(json, 0x1000).unwrap();
        assert_eq!(lines.at(0x1010), Some("module/driver/fault.rs:295"));
        assert_eq!(lines.at(0x1020), Some("/k/a.rs:3"));
        assert_eq!(lines.at(0x1030), None);
    }
}
