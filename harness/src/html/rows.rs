// SPDX-License-Identifier: GPL-2.0-only
//! A row for each thing, along an axis: bars, dots and ranges.

use maud::{Markup, html};

use super::plot::{clipped, px};
use super::scale::Axis;

const WIDTH: f64 = 460.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 26.0;
const TOP: f64 = 8.0;
/// Letters that stand left of them.
const LETTERS: usize = 24;
/// Height of a row, at least, and above and below the dots of one that is higher.
const ROW: f64 = 21.0;
const AROUND: f64 = 8.0;
/// Half of a bar's.
const HALF: f64 = 6.5;

/// Where values may stand.
pub(crate) const ALONG: (f64, f64) = (LEFT, RIGHT);

/// What stands in a row, in values of the axis.
pub(crate) enum Piece {
    /// From one value to another.
    Bar {
        ink: String,
        from: f64,
        to: f64,
        tip: String,
    },
    /// A thin line that shows the spread.
    Range { ink: String, from: f64, to: f64 },
    /// A value, so far below the middle of its row.
    Dot {
        ink: String,
        at: f64,
        size: f64,
        below: f64,
        tip: String,
    },
}

/// A row.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) pieces: Vec<Piece>,
}

/// Draws `rows`; `about` is for those who cannot see them.
pub(crate) fn draw(
    about: &str,
    axis: &Axis,
    (axis_name, plain): (&str, fn(f64) -> String),
    rows: &[Row],
) -> Markup {
    let row_height = height(rows);
    let bottom = TOP + row_height * rows.len() as f64;
    let height = bottom + 38.0;
    html! {
        svg class="plot" viewBox={"0 0 " (px(WIDTH)) " " (px(height))} role="img" aria-label=(about) {
            @for (value, name) in axis.marks(plain) {
                @let x = px(axis.at(value));
                line class="grid" x1=(x) y1=(px(TOP)) x2=(x) y2=(px(bottom + 3.0)) {}
                text class="mark" x=(x) y=(px(bottom + 16.0)) text-anchor="middle" { (name) }
            }
            @for (at, row) in rows.iter().enumerate() {
                @let y = TOP + row_height * (at as f64 + 0.5);
                text class="mark" x=(px(LEFT - 7.0)) y=(px(y + 4.0)) text-anchor="end" {
                    (clipped(&row.name, LETTERS))
                }
                @for piece in &row.pieces { (piece.draw(axis, y)) }
            }
            line class="axis" x1=(px(LEFT)) y1=(px(TOP)) x2=(px(LEFT)) y2=(px(bottom)) {}
            text class="name" x=(px((LEFT + RIGHT) / 2.0)) y=(px(height - 5.0)) text-anchor="middle" {
                (axis_name)
            }
        }
    }
}

/// As much as the row needs that needs most.
fn height(rows: &[Row]) -> f64 {
    let below = |piece: &Piece| match piece {
        Piece::Dot { below, .. } => below.abs(),
        Piece::Bar { .. } | Piece::Range { .. } => 0.0,
    };
    let most = rows
        .iter()
        .flat_map(|row| &row.pieces)
        .map(below)
        .fold(0.0, f64::max);
    ROW.max((most + AROUND) * 2.0)
}

impl Piece {
    fn draw(&self, axis: &Axis, y: f64) -> Markup {
        html! {
            @match self {
                Piece::Bar { ink, from, to, tip } => {
                    @let (from, to) = (axis.at(*from), axis.at(*to));
                    rect class={"fill " (ink)} x=(px(from)) y=(px(y - HALF))
                        width=(px((to - from).max(0.0))) height=(px(HALF * 2.0)) { title { (tip) } }
                }
                Piece::Range { ink, from, to } => {
                    line class={"bar " (ink)} x1=(px(axis.at(*from))) y1=(px(y))
                        x2=(px(axis.at(*to))) y2=(px(y)) {}
                }
                Piece::Dot { ink, at, size, below, tip } => {
                    circle class={"dot " (ink)} cx=(px(axis.at(*at))) cy=(px(y + below)) r=(size) {
                        title { (tip) }
                    }
                }
            }
        }
    }
}
