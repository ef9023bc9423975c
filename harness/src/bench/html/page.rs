// SPDX-License-Identifier: GPL-2.0-only
//! What all sections are made of: marked figures, tables, and the targets' colours.

use maud::Markup;

use super::data::Data;
use crate::html::table::{self, ink};
pub(super) use crate::html::table::{Table, head, missing, text};

/// What sections are made from.
pub(super) struct Page<'a> {
    pub(super) data: Data<'a>,
}

impl Page<'_> {
    /// What every chart and every table of this run has to be marked with.
    fn marks(&self) -> Vec<&'static str> {
        let machine = &self.data.run.machine;
        let checked = machine.checked_kernel;
        let checked = checked.then_some("checked kernel: figures worthless");
        machine.caveat().into_iter().chain(checked).collect()
    }

    /// A chart with its figures below it.
    pub(super) fn figure(&self, title: &str, chart: &Markup, table: Table) -> Markup {
        table::figure(title, chart, &table, &self.marks())
    }

    /// A table that is opened by who wants to see it, unless it is short.
    pub(super) fn folded(&self, table: Table) -> Markup {
        table.folded(&self.marks())
    }

    /// A table that is always seen.
    pub(super) fn table(&self, table: Table) -> Markup {
        table.draw(&self.marks())
    }

    /// The class that colours a target, the same all over the report.
    pub(super) fn ink(&self, place: usize) -> String {
        let targets = self.data.targets;
        let kernel = targets.get(place).is_some_and(|target| target.kernel);
        let alike = targets[..place]
            .iter()
            .filter(|t| t.kernel == kernel)
            .count();
        ink(kernel, alike)
    }

    /// Which colour is which target.
    pub(super) fn legend(&self) -> Markup {
        let targets = self.data.targets.iter().enumerate();
        table::legend(
            targets.map(|(place, target)| {
                (self.ink(place), target.name.as_str(), target.about.as_str())
            }),
        )
    }
}
