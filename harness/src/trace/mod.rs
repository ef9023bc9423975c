// SPDX-License-Identifier: GPL-2.0-only
//! Looking inside: what the module's trace events tell of a command.
//!
//! * [`record`] runs a command with events on, in a tracefs instance of its own
//!   ([`tracefs`]), takes the raw pages out of the ring buffers ([`drain`]), and writes
//!   a `trace.dat` as trace-cmd does ([`write`](mod@write)).
//! * [`report`] reads such a file ([`read`], [`pages`], [`format`](mod@format)), on any
//!   machine, and makes of it a readable trace ([`text`]) and a [`summary`].

pub mod drain;
pub mod event;
pub mod format;
pub mod options;
pub mod pages;
pub mod read;
pub mod record;
pub mod report;
pub mod select;
pub mod stats;
pub mod summary;
pub mod text;
pub mod tracefs;
pub mod write;

use std::fmt;
use std::process::ExitCode;

use clap::Subcommand;

use crate::{EXIT_FAIL, EXIT_USAGE};

/// `faultline trace`.
#[derive(Subcommand, Clone, Debug)]
pub enum Trace {
    /// Run a command with trace events on, and keep them in a file of trace-cmd's format
    Record(options::Record),
    /// Summarise such a file, and write it as text
    Report(options::Report),
}

/// Runs the verb; the status is the traced command's, if there is one.
pub fn run(verb: &Trace) -> ExitCode {
    let result = match verb {
        Trace::Record(options) => record::run(options),
        Trace::Report(options) => report::run(options),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("faultline trace: {error:#}");
            let usage = error.downcast_ref::<Usage>().is_some();
            ExitCode::from(if usage { EXIT_USAGE } else { EXIT_FAIL })
        }
    }
}

/// The command line asks for what cannot be.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
