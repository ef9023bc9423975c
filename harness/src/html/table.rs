// SPDX-License-Identifier: GPL-2.0-only
//! Tables and figures, with the marks that they have to be read with.

use maud::{Markup, html};

/// Rows that are shown without being asked for.
const FEW: usize = 20;

/// Rows of a table: so many of the first cells of each are its name.
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<String>,
    pub(crate) names: usize,
    pub(crate) rows: Vec<Vec<Markup>>,
}

impl Table {
    /// A table that is always seen.
    pub(crate) fn draw(&self, marks: &[&str]) -> Markup {
        html! {
            div class="scroll" tabindex="0" role="region" aria-label=(self.caption) {
                table {
                    caption { (self.caption) (badges(marks)) }
                    thead { tr { @for (at, name) in self.head.iter().enumerate() {
                        th scope="col" class=[(at < self.names).then_some("text")] { (name) }
                    } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (at, cell) in row.iter().enumerate() {
                                    @if at < self.names { th scope="row" { (cell) } }
                                    @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// A table that is opened by who wants to see it, unless it is short.
    pub(crate) fn folded(&self, marks: &[&str]) -> Markup {
        let rows = self.rows.len();
        html! {
            details open=[(rows <= FEW).then_some("open")] {
                summary { "Table of " (rows) @if rows == 1 { " row" } @else { " rows" } }
                (self.draw(marks))
            }
        }
    }
}

/// A chart with its figures below it.
pub(crate) fn figure(title: &str, chart: &Markup, table: &Table, marks: &[&str]) -> Markup {
    html! {
        figure {
            figcaption { strong { (title) } (badges(marks)) }
            (chart)
            details { summary { "Figures" } (table.draw(marks)) }
        }
    }
}

fn badges(marks: &[&str]) -> Markup {
    html! {
        @for mark in marks { " " span class="badge" { (mark) } }
    }
}

/// Which colour is which: class, name, and what it is.
pub(crate) fn legend<'a>(entries: impl Iterator<Item = (String, &'a str, &'a str)>) -> Markup {
    html! {
        ul class="legend" {
            @for (ink, name, about) in entries {
                li class=(ink) title=(about) {
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

/// Colours that the style sheet has for policies, and for the kernel's own memory.
const POLICIES: usize = 6;
const KERNELS: usize = 4;

/// The class that colours the policy, or the kernel's memory, that comes after so many
/// of its kind.
pub(crate) fn ink(is_kernel: bool, before: usize) -> String {
    match is_kernel {
        true => format!("k{}", before % KERNELS),
        false => format!("p{}", before % POLICIES),
    }
}

/// A cell of a table.
pub(crate) fn text(value: impl AsRef<str>) -> Markup {
    html! { (value.as_ref()) }
}

/// A cell for what was not measured.
pub(crate) fn missing(why: Option<&str>) -> Markup {
    html! {
        @match why {
            Some(why) => span title=(why) { "skipped" },
            None => "–",
        }
    }
}

/// Owned, for the head of a table.
pub(crate) fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
