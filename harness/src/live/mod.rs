// SPDX-License-Identifier: GPL-2.0-only
//! `faultline top` and `faultline maps`: what the module shows in debugfs, for people.
//!
//! * `source`: reads the files, and says what is in the way of that.
//! * `rates`: what two readings make of counters; pure.
//! * `view`: a picture of it, as wide and as high as there is room; pure.
//! * `terminal`: the alternate screen, keys, and the terminal's size.
//! * `top` and `maps`: the verbs.

mod maps;
mod rates;
mod source;
mod terminal;
mod top;
mod view;

use std::io;
use std::process::ExitCode;

pub use maps::{Maps, run as run_maps};
pub use top::{Top, run as run_top};

use self::source::Trouble;
use crate::{EXIT_FAIL, EXIT_PASS, EXIT_SKIP};

/// The exit status for how a verb ended, and the message.
fn end(verb: &str, result: Result<(), Trouble>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::from(EXIT_PASS),
        // Who reads the output has seen enough.
        Err(Trouble::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(EXIT_PASS)
        }
        Err(trouble) => {
            eprintln!("faultline {verb}: {trouble}");
            let is_missing = matches!(trouble, Trouble::NotLoaded | Trouble::NotMounted);
            ExitCode::from(if is_missing { EXIT_SKIP } else { EXIT_FAIL })
        }
    }
}
