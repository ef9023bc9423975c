// SPDX-License-Identifier: GPL-2.0-only
//! A report of a run as one page of HTML that needs nothing else.
//!
//! The page is made from the [records](super::record), and from those of
//! `cargo xtask coherence` if they are given; of what parts, see [`crate::html`].
//!
//! * `data`: the records, cell by cell; `spread`.
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
mod overhead;
mod page;
mod spread;
mod standout;
mod summary;
#[cfg(test)]
mod testdata;
#[cfg(test)]
mod tests;
mod throughput;

use maud::{Markup, html};

use self::data::Data;
pub(super) use self::data::Error;
use self::page::Page;
use super::record::Record;
use crate::coherence::{self, Counted};
use crate::html::{self as parts, number, plot, rows, scale};

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

/// What is added if there are records of `cargo xtask coherence`.
const COHERENCE: (&str, &str) = ("coherence", "Cache lines");

/// Makes the page, with what was counted of cache lines if that is given.
///
/// # Errors
///
/// If the records are not those of one run of this version, or latencies cannot be
/// decoded.
pub(super) fn render(records: &[Record], counted: Option<&Counted>) -> Result<String, Error> {
    let page = Page {
        data: Data::new(records)?,
    };
    let mut sections: Vec<(&str, &str, Markup)> = SECTIONS
        .iter()
        .map(|section| (section.id, section.title, (section.make)(&page)))
        .collect();
    if let Some(counted) = counted {
        let (id, title) = COHERENCE;
        sections.push((id, title, coherence::section(counted)));
    }
    let body = html! {
        header {
            h1 { "faultline bench" }
            p { "Page faults and changes under each policy of the module, beside the kernel's own memory." }
            (about::warnings(&page))
        }
        nav aria-label="Contents" {
            ol {
                @for (id, title, _) in &sections { li { a href={"#" (id)} { (title) } } }
            }
        }
        main {
            @for (id, title, content) in &sections {
                section id=(id) { h2 { (title) } (content) }
            }
        }
    };
    let title = format!("faultline bench: {}", page.data.run.machine.kernel);
    Ok(parts::document(&title, &body))
}
