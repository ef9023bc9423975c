// SPDX-License-Identifier: GPL-2.0-only
//! Lines over an axis of chosen places, with a label at the end of each.

use maud::{Markup, html};

use super::scale::{Axis, Label, spread_out};

/// Size of a drawing, in its own units.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 270.0;
/// Where its lines may be: left, right, top, bottom.
const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 104.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = HEIGHT - 40.0;
/// Letters of a label.
const LETTERS: usize = 14;
/// From one label to the next.
const APART: f64 = 13.0;

/// Where values of the upright axis may stand.
pub(crate) const UPRIGHT: (f64, f64) = (BOTTOM, TOP);
/// Where values of the other may.
pub(crate) const ACROSS: (f64, f64) = (LEFT + 14.0, RIGHT - 14.0);

/// A point, in places of the drawing.
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// Ends of the bar that shows the spread.
    pub(crate) bar: Option<(f64, f64)>,
    /// For who points at it.
    pub(crate) tip: String,
}

/// A line.
pub(crate) struct Line {
    pub(crate) ink: String,
    pub(crate) name: String,
    /// Whether the points are to be seen, or only their line.
    pub(crate) dots: bool,
    pub(crate) points: Vec<Point>,
}

/// A drawing; `about` is for those who cannot see it.
pub(crate) struct Plot<'a> {
    pub(crate) about: String,
    pub(crate) y: &'a [(f64, String)],
    pub(crate) y_name: String,
    pub(crate) x: &'a [Label],
    pub(crate) x_name: &'a str,
    pub(crate) lines: Vec<Line>,
}

/// Marks of the upright axis, at their places.
pub(crate) fn upright(axis: &Axis, plain: fn(f64) -> String) -> Vec<Label> {
    let marks = axis.marks(plain).into_iter();
    marks.map(|(value, name)| (axis.at(value), name)).collect()
}

/// A number in a drawing: a tenth of a unit is less than can be seen.
pub(crate) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A name that has room for so many letters, and is told in full to who points at it.
pub(crate) fn clipped(name: &str, letters: usize) -> Markup {
    html! {
        @if name.chars().count() > letters {
            (name.chars().take(letters - 1).collect::<String>()) "…" title { (name) }
        } @else {
            (name)
        }
    }
}

impl Plot<'_> {
    pub(crate) fn draw(&self) -> Markup {
        html! {
            svg class="plot" viewBox={"0 0 " (WIDTH) " " (HEIGHT)} role="img" aria-label=(self.about) {
                (self.axes())
                @for line in &self.lines { (line.draw()) }
                (self.names())
            }
        }
    }

    fn axes(&self) -> Markup {
        html! {
            @for (y, name) in self.y {
                line class="grid" x1=(px(LEFT)) y1=(px(*y)) x2=(px(RIGHT)) y2=(px(*y)) {}
                text class="mark" x=(px(LEFT - 6.0)) y=(px(y + 4.0)) text-anchor="end" { (name) }
            }
            @for (x, name) in self.x {
                line class="tick" x1=(px(*x)) y1=(px(BOTTOM)) x2=(px(*x)) y2=(px(BOTTOM + 4.0)) {}
                text class="mark" x=(px(*x)) y=(px(BOTTOM + 17.0)) text-anchor="middle" { (name) }
            }
            line class="axis" x1=(px(LEFT)) y1=(px(BOTTOM)) x2=(px(RIGHT)) y2=(px(BOTTOM)) {}
            text class="name" x="4" y="11" { (self.y_name) }
            text class="name" x=(px((LEFT + RIGHT) / 2.0)) y=(px(HEIGHT - 6.0)) text-anchor="middle" {
                (self.x_name)
            }
        }
    }

    /// The names of the lines, where they end.
    fn names(&self) -> Markup {
        let ends: Vec<_> = self
            .lines
            .iter()
            .filter_map(|l| Some((l, l.points.last()?)))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, end)| end.y).collect();
        let places = spread_out(&wanted, APART, TOP - 4.0, BOTTOM);
        html! {
                   @for ((line, end), y) in ends.iter().zip(places) {
                       g class=(line.ink) {
                           polyline class="lead" points={
                               (px(end.x + 5.0)) "," (px(end.y)) " "
                               (px(RIGHT + 2.0)) "," (px(y)) " " (px(RIGHT + 8.0)) "," (px(y))
                           } {}
                           text class="label" x=(px(RIGHT + 11.0)) y=(px(y + 4.0)) {
        (clipped(&line.name, LETTERS)) }
                       }
                   }
               }
    }
}

impl Line {
    fn draw(&self) -> Markup {
        let points: Vec<String> = self
            .points
            .iter()
            .map(|p| format!("{},{}", px(p.x), px(p.y)))
            .collect();
        html! {
            g class=(self.ink) {
                polyline class="line" points=(points.join(" ")) { title { (self.name) } }
                @for point in &self.points {
                    @if let Some((low, high)) = point.bar {
                        line class="bar" x1=(px(point.x)) y1=(px(low)) x2=(px(point.x)) y2=(px(high)) {}
                    }
                    @if self.dots {
                        circle class="dot" cx=(px(point.x)) cy=(px(point.y)) r="3.5" {
                            title { (point.tip) }
                        }
                    }
                }
            }
        }
    }
}
