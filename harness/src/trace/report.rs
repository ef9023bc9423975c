// SPDX-License-Identifier: GPL-2.0-only
//! Reporting on a trace file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

use super::options::Report;
use super::read::TraceFile;
use super::summary::faults::Choice;
use super::summary::{self, render};
use super::{Usage, text};
use crate::EXIT_PASS;

/// Prints the summary, and writes the trace as text where that is wanted.
pub fn run(options: &Report) -> Result<u8> {
    let file = TraceFile::open(&options.file)?;
    let (records, gaps) = file.records()?;
    if let Some(path) = &options.text {
        if path == Path::new("-") {
            let mut out = BufWriter::new(io::stdout().lock());
            let written = text::write(&mut out, &file, &records, &gaps).and_then(|()| out.flush());
            return hung_up_is_fine(written).map(|()| EXIT_PASS);
        }
        let out = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let mut out = BufWriter::new(out);
        text::write(&mut out, &file, &records, &gaps)
            .and_then(|()| out.flush())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let choice = Choice {
        fault: options.fault,
        task: options.task,
    };
    let summary = summary::summarise(&file, &records, &gaps, choice).map_err(Usage)?;
    let text = match options.json {
        true => format!("{}\n", serde_json::to_string_pretty(&summary)?),
        false => render::text(&summary),
    };
    hung_up_is_fine(io::stdout().lock().write_all(text.as_bytes())).map(|()| EXIT_PASS)
}

/// Who reads may have seen enough.
fn hung_up_is_fine(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout"),
    }
}
