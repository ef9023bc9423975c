// SPDX-License-Identifier: GPL-2.0-only
//! A report of a run as one page of HTML that needs nothing else.
//!
//! The page is made from the [records](super::record) alone. Charts are SVG in
//! the page itself, coloured by its style sheet, so that they follow the reader's
//! light or dark scheme; each has its figures in a table below. There is no script
//! and nothing is fetched. The page is well-formed XML, too, which is tested.
//!
//! * `data`: the records, cell by cell; `spread`, `number`.
//! * `scale`, `plot`, `rows`: axes, and the two kinds of charts.
//! * `page`: marked figures, tables and colours, of which sections are made.
//! * [`command`], which writes it to a file, and a file for each section.

mod aborts;
mod about;
mod all;
pub(super) mod command;
mod data;
mod fairness;
mod interference;
mod kernel;
mod latency;
mod number;
mod overhead;
mod page;
mod plot;
mod rows;
mod scale;
mod spread;
mod standout;
mod summary;
#[cfg(test)]
mod testdata;
#[cfg(test)]
mod tests;
mod throughput;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::data::Data;
pub(super) use self::data::Error;
use self::page::Page;
use super::record::Record;

const STYLE: &str = include_str!("style.css");

/// `maud` leaves empty elements open, which is HTML but not XML.
const META: &str = "<meta charset=\"utf-8\"/>\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
    <meta name=\"color-scheme\" content=\"light dark\"/>";

struct Section {
    id: &'static str,
    title: &'static str,
    make: fn(&Page<'_>) -> Markup,
}

const SECTIONS: [Section; 10] = [
    Section {
        id: "about",
        title: "What was measured",
        make: about::section,
    },
    Section {
        id: "summary",
        title: "At a glance",
        make: summary::section,
    },
    Section {
        id: "throughput",
        title: "Throughput",
        make: throughput::section,
    },
    Section {
        id: "latency",
        title: "Latency",
        make: latency::section,
    },
    Section {
        id: "aborts",
        title: "Speculation and waits",
        make: aborts::section,
    },
    Section {
        id: "interference",
        title: "Interference",
        make: interference::section,
    },
    Section {
        id: "fairness",
        title: "Fairness",
        make: fairness::section,
    },
    Section {
        id: "kernel",
        title: "The kernel's own view",
        make: kernel::section,
    },
    Section {
        id: "overhead",
        title: "The harness's own overhead",
        make: overhead::section,
    },
    Section {
        id: "all",
        title: "All figures",
        make: all::section,
    },
];

/// Makes the page.
///
/// # Errors
///
/// If the records are not those of one run of this version, or latencies cannot be
/// decoded.
pub(super) fn render(records: &[Record]) -> Result<String, Error> {
    let page = Page {
        data: Data::new(records)?,
    };
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (PreEscaped(META))
                title { "faultline bench: " (page.data.run.machine.kernel) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "faultline bench" }
                    p { "Page faults and changes under each policy of the module, beside the kernel's own memory." }
                    (about::warnings(&page))
                }
                nav aria-label="Contents" {
                    ol {
                        @for section in &SECTIONS { li { a href={"#" (section.id)} { (section.title) } } }
                    }
                }
                main {
                    @for section in &SECTIONS {
                        section id=(section.id) {
                            h2 { (section.title) }
                            ((section.make)(&page))
                        }
                    }
                }
            }
        }
    };
    Ok(printable(&html.into_string()))
}

/// Neither HTML nor XML has a way to write what is replaced here.
fn printable(text: &str) -> String {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.replace(bad, "\u{fffd}")
}
