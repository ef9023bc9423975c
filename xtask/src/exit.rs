// SPDX-License-Identifier: GPL-2.0-only
//! Exit statuses, and errors that choose one.

use std::fmt;

/// Everything asked for was done and is right.
pub(crate) const PASS: u8 = 0;
/// Something was done and is wrong.
pub(crate) const FAIL: u8 = 1;
/// Nothing could be tried here.
pub(crate) const SKIP: u8 = 4;
/// The command line makes no sense.
pub(crate) const USAGE: u8 = 64;
/// The VM could not be started, or never came up.
pub(crate) const UNAVAILABLE: u8 = 69;
/// A deadline passed.
pub(crate) const TIMEOUT: u8 = 124;
/// SIGINT or SIGTERM ended the command.
pub(crate) const INTERRUPTED: u8 = 130;
/// The guest ended by itself before its command did.
pub(crate) const GUEST_DIED: u8 = 255;

/// An error that ends the process with a status other than [`FAIL`].
#[derive(Debug)]
pub(crate) struct Coded {
    code: u8,
    message: String,
}

impl Coded {
    /// The command line or an option's value is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> anyhow::Error {
        Self::error(USAGE, message)
    }

    /// No VM can be had.
    pub(crate) fn unavailable(message: impl Into<String>) -> anyhow::Error {
        Self::error(UNAVAILABLE, message)
    }

    /// A signal asked for the end.
    pub(crate) fn interrupted() -> anyhow::Error {
        Self::error(INTERRUPTED, "interrupted")
    }

    fn error(code: u8, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self {
            code,
            message: message.into(),
        })
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Coded {}

/// The status that `error` ends the process with.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Coded>())
        .map_or(FAIL, |coded| coded.code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_keeps_the_status() {
        let wrapped = Err::<(), _>(Coded::unavailable("no qemu"))
            .context("booting")
            .unwrap_err();
        assert_eq!(code_of(&wrapped), UNAVAILABLE);
        assert_eq!(code_of(&anyhow::anyhow!("plain")), FAIL);
    }
}
