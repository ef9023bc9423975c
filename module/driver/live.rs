// SPDX-License-Identifier: GPL-2.0-only

//! How many objects of each kind the module has, over all spaces.

use kernel::{fmt, prelude::*};

use crate::kern::{
    debugfs::Text,
    percpu::{live_add, live_sum, LIVE_KINDS},
};

/// Kinds of objects, as indices of [`NAMES`].
pub(crate) const SPACE: usize = 0;
pub(crate) const REGION: usize = 1;
pub(crate) const LEAF: usize = 2;
pub(crate) const PAGE: usize = 3;

const NAMES: [&str; LIVE_KINDS] = ["spaces", "regions", "leaves", "pages"];

/// Counts the object that has it as a field, from its creation to its end.
pub(crate) struct Live<const KIND: usize>(());

impl<const KIND: usize> Live<KIND> {
    pub(crate) fn new() -> Self {
        live_add(KIND, 1);
        Self(())
    }
}

impl<const KIND: usize> Drop for Live<KIND> {
    fn drop(&mut self) {
        live_add(KIND, 1u64.wrapping_neg());
    }
}

/// The contents of debugfs `faultline/live`: a line for each kind.
pub(super) struct Shown;

impl Text for Shown {
    type Data = ();

    fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, name) in NAMES.iter().enumerate() {
            writeln!(f, "{name} {}", live_sum(kind))?;
        }
        Ok(())
    }
}

/// At unload, when nothing may be left: warns about what is.
pub(crate) fn check_none() {
    for (kind, name) in NAMES.iter().enumerate() {
        let left = live_sum(kind);
        if left != 0 {
            pr_err!("BUG: {left} {name} left at unload\n");
        }
    }
}
