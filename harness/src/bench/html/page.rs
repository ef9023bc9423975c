// SPDX-License-Identifier: GPL-2.0-only
//! What all sections are made of: marked figures, tables, and the targets' colours.

use maud::{Markup, html};

use super::data::Data;
use crate::bench::record::Target;

/// What sections are made from.
pub(super) struct Page<'a> {
    pub(super) data: Data<'a>,
}

/// Rows of a table: so many of the first cells of each are its name.
pub(super) struct Table {
    pub(super) caption: String,
    pub(super) head: Vec<String>,
    pub(super) names: usize,
    pub(super) rows: Vec<Vec<Markup>>,
}

impl Page<'_> {
    /// What every chart and every table of this run has to be marked with.
    fn marks(&self) -> Vec<&'static str> {
        let machine = &self.data.run.machine;
        let checked = machine.checked_kernel;
        let checked = checked.then_some("checked kernel: figures worthless");
        machine.caveat().into_iter().chain(checked).collect()
    }

    fn badges(&self) -> Markup {
        html! {
            @for mark in self.marks() { " " span class="badge" { (mark) } }
        }
    }

    /// A chart with its figures below it.
    pub(super) fn figure(&self, title: &str, chart: &Markup, table: Table) -> Markup {
        html! {
            figure {
                figcaption { strong { (title) } (self.badges()) }
                (chart)
                details { summary { "Figures" } (self.table(table)) }
            }
        }
    }

    /// A table that is opened by who wants to see it, unless it is short.
    pub(super) fn folded(&self, table: Table) -> Markup {
        let rows = table.rows.len();
        html! {
            details open=[(rows <= FEW).then_some("open")] {
                summary { "Table of " (rows) @if rows == 1 { " row" } @else { " rows" } }
                (self.table(table))
            }
        }
    }

    /// A table that is always seen.
    pub(super) fn table(&self, table: Table) -> Markup {
        let Table {
            caption,
            head,
            names,
            rows,
        } = table;
        html! {
            div class="scroll" tabindex="0" role="region" aria-label=(caption) {
                table {
                    caption { (caption) (self.badges()) }
                    thead { tr { @for (at, name) in head.iter().enumerate() {
                        th scope="col" class=[(at < names).then_some("text")] { (name) }
                    } } }
                    tbody {
                        @for row in &rows {
                            tr {
                                @for (at, cell) in row.iter().enumerate() {
                                    @if at < names { th scope="row" { (cell) } }
                                    @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The class that colours a target, the same all over the report.
    pub(super) fn ink(&self, place: usize) -> String {
        let targets = self.data.targets;
        let kernel = targets.get(place).is_some_and(|target| target.kernel);
        let alike = targets[..place]
            .iter()
            .filter(|t| t.kernel == kernel)
            .count();
        match kernel {
            true => format!("k{}", alike % KERNELS),
            false => format!("p{}", alike % POLICIES),
        }
    }

    /// Which colour is which target.
    pub(super) fn legend(&self) -> Markup {
        html! {
            ul class="legend" {
                @for (place, Target { name, about, .. }) in self.data.targets.iter().enumerate() {
                    li class=(self.ink(place)) title=(about) {
                        svg width="30" height="12" aria-hidden="true" {
                            line class="line" x1="1" y1="6" x2="29" y2="6" {}
                            circle class="dot" cx="15" cy="6" r="3.5" {}
                        }
                        " " (name)
                    }
                }
            }
        }
    }
}

/// Rows that are shown without being asked for.
const FEW: usize = 20;

/// Colours that the style sheet has for policies, and for the kernel's own memory.
const POLICIES: usize = 6;
const KERNELS: usize = 4;

/// A cell of a table.
pub(super) fn text(value: impl AsRef<str>) -> Markup {
    html! { (value.as_ref()) }
}

/// A cell for what was not measured.
pub(super) fn missing(why: Option<&str>) -> Markup {
    html! {
        @match why {
            Some(why) => span title=(why) { "skipped" },
            None => "–",
        }
    }
}

/// Owned, for the head of a table.
pub(super) fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
