// SPDX-License-Identifier: GPL-2.0-only

//! `stats` and `stats.json`: what all spaces have counted together.

use kernel::fmt;

use super::super::registry::Totals;
use crate::kern::debugfs::Text;

impl Totals {
    /// What does not come from a counter.
    fn others(&self) -> [(&'static str, u64); 4] {
        [
            ("spaces", self.spaces),
            ("spaces_ended", self.spaces_ended),
            ("pages", self.pages),
            ("regions", self.regions),
        ]
    }

    /// Each number with its name.
    fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Iterator::chain(self.others().into_iter(), self.sums.named())
    }
}

/// `stats`: a line for each number.
pub(super) struct Lines;

impl Text for Lines {
    type Data = ();

    fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Totals::now()
            .named()
            .try_for_each(|(name, number)| writeln!(f, "{name} {number}"))
    }
}

/// `stats.json`: an object.
pub(super) struct Json;

impl Text for Json {
    type Data = ();

    fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '{';
        for (name, number) in Totals::now().named() {
            write!(f, "{separator}\"{name}\":{number}")?;
            separator = ',';
        }
        writeln!(f, "}}")
    }
}
