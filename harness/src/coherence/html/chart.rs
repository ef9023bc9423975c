// SPDX-License-Identifier: GPL-2.0-only
//! Values by the number of processors, a line for each series; a bar each if there is
//! but one number.

use std::collections::BTreeSet;

use maud::Markup;

use super::MARKS;
use crate::coherence::words::cpus;
use crate::html::plot::{self, ACROSS, Line, Plot, Point, UPRIGHT};
use crate::html::rows::{self, ALONG, Piece, Row};
use crate::html::scale::{Axis, Label};
use crate::html::table::{self, Table, missing, text};
use crate::html::{axis_name, number};

/// Values that belong together.
pub(super) struct Series {
    pub(super) ink: String,
    pub(super) name: String,
    /// Whether its values are points, or only a line between them is meant.
    pub(super) is_measured: bool,
    /// By processors, from the fewest.
    pub(super) values: Vec<(u32, f64)>,
}

/// A chart and its table.
pub(super) struct Chart {
    pub(super) title: String,
    /// What the values are.
    pub(super) unit: String,
    pub(super) series: Vec<Series>,
}

impl Chart {
    /// The chart, and its figures below.
    pub(super) fn figure(&self) -> Markup {
        let counts = self.counts();
        match counts.as_slice() {
            [one] => {
                let title = format!("{}, {}", self.title, cpus(*one));
                table::figure(&title, &self.bars(), &self.table(&counts), &MARKS)
            }
            _ => table::figure(
                &self.title,
                &self.lines(&counts),
                &self.table(&counts),
                &MARKS,
            ),
        }
    }

    fn counts(&self) -> Vec<u32> {
        let values = self.series.iter().flat_map(|series| &series.values);
        let counts: BTreeSet<_> = values.map(|(cpus, _)| *cpus).collect();
        counts.into_iter().collect()
    }

    fn axis(&self, places: (f64, f64)) -> Axis {
        let all = self.series.iter().flat_map(|series| &series.values);
        let values: Vec<_> = all.map(|(_, value)| *value).collect();
        Axis::fitting(&values, places)
    }

    fn tip(&self, name: &str, count: u32, value: f64) -> String {
        let (cpus, value) = (cpus(count), number::short(value));
        format!("{name}, {cpus}: {value} {}", self.unit)
    }

    fn lines(&self, counts: &[u32]) -> Markup {
        let axis = self.axis(UPRIGHT);
        let x = |count: u32| across(counts, count);
        let marks: Vec<Label> = counts.iter().map(|n| (x(*n), n.to_string())).collect();
        let line = |series: &Series| {
            let points = series.values.iter().map(|&(count, value)| Point {
                x: x(count),
                y: axis.at(value),
                bar: None,
                tip: self.tip(&series.name, count, value),
            });
            Line {
                ink: series.ink.clone(),
                name: series.name.clone(),
                dots: series.is_measured,
                points: points.collect(),
            }
        };
        Plot {
            about: format!("{} of {} by processors", self.unit, self.title),
            y: &plot::upright(&axis, number::plain),
            y_name: axis_name(&self.unit, &axis),
            x: &marks,
            x_name: "processors, logarithmic",
            lines: self.series.iter().map(line).collect(),
        }
        .draw()
    }

    fn bars(&self) -> Markup {
        let axis = self.axis(ALONG);
        let row = |series: &Series| Row {
            name: series.name.clone(),
            pieces: series
                .values
                .iter()
                .map(|&(count, value)| {
                    let tip = self.tip(&series.name, count, value);
                    piece(series.ink.clone(), value, tip, axis.is_log())
                })
                .collect(),
        };
        let rows: Vec<_> = self.series.iter().map(row).collect();
        let about = format!("{} of {}", self.unit, self.title);
        let name = axis_name(&self.unit, &axis);
        rows::draw(&about, &axis, (&name, number::plain), &rows)
    }

    fn table(&self, counts: &[u32]) -> Table {
        let row = |series: &Series| {
            let value = |count: &u32| {
                let found = series.values.iter().find(|(of, _)| of == count);
                found.map_or_else(|| missing(None), |(_, value)| text(number::short(*value)))
            };
            let name = [text(&series.name)].into_iter();
            name.chain(counts.iter().map(value)).collect()
        };
        let names = counts.iter().map(|count| cpus(*count));
        Table {
            caption: format!("{}, {}", self.title, self.unit),
            head: ["target".to_owned()].into_iter().chain(names).collect(),
            names: 1,
            rows: self.series.iter().map(row).collect(),
        }
    }
}

/// The length of a bar would say nothing on a logarithmic axis.
fn piece(ink: String, value: f64, tip: String, is_log: bool) -> Piece {
    match is_log {
        true => Piece::Dot {
            ink,
            at: value,
            size: 5.0,
            below: 0.0,
            tip,
        },
        false => Piece::Bar {
            ink,
            from: 0.0,
            to: value,
            tip,
        },
    }
}

/// Where a count of processors stands: twice as many are one step further.
fn across(counts: &[u32], count: u32) -> f64 {
    let [Some(least), Some(most)] = [counts.first(), counts.last()] else {
        return ACROSS.0;
    };
    let log = |count: u32| f64::from(count.max(1)).log2();
    let range = (log(*most) - log(*least)).max(1e-9);
    ACROSS.0 + (ACROSS.1 - ACROSS.0) * (log(count) - log(*least)) / range
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_processors_are_one_step() {
        let counts = [1, 2, 4, 8, 16, 32, 64];
        let places = counts.map(|count| across(&counts, count));
        let step = (ACROSS.1 - ACROSS.0) / 6.0;
        for two in places.windows(2) {
            assert!((two[1] - two[0] - step).abs() < 1e-9, "{places:?}");
        }
        assert!(step > 30.0, "their numbers have room");
    }
}
