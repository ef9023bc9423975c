// SPDX-License-Identifier: GPL-2.0-only
//! What reports are made of: a page of HTML that needs nothing else, and its parts.
//!
//! Charts are SVG in the page itself, coloured by its style sheet, so that they follow
//! the reader's light or dark scheme; each has its figures in a table below. There is no
//! script and nothing is fetched. Pages are well-formed XML, too, which is tested.
//!
//! * `scale`, `plot`, `rows`: axes, and the two kinds of charts.
//! * `table`: figures, below a chart or alone; `number`: how they are written.

pub(crate) mod number;
pub(crate) mod plot;
pub(crate) mod rows;
pub(crate) mod scale;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod testing;

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// `maud` leaves empty elements open, which is HTML but not XML.
const META: &str = "<meta charset=\"utf-8\"/>\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
    <meta name=\"color-scheme\" content=\"light dark\"/>";

/// A whole page.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let html = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (PreEscaped(META))
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    printable(&html.into_string())
}

/// Neither HTML nor XML has a way to write what is replaced here.
fn printable(text: &str) -> String {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t') || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.replace(bad, "\u{fffd}")
}

/// "faults/s, logarithmic".
pub(crate) fn axis_name(unit: &str, axis: &scale::Axis) -> String {
    match axis.is_log() {
        true => format!("{unit}, logarithmic"),
        false => unit.to_owned(),
    }
}
