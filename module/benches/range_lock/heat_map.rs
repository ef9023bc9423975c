// SPDX-License-Identifier: GPL-2.0-only

//! Heat maps of ratios as one SVG that needs nothing else.

use core::fmt::Write as _;

const CELL_WIDTH: usize = 78;
const CELL_HEIGHT: usize = 26;
/// Room for the names of rows, and for titles and the names of columns.
const LEFT: usize = 150;
const ABOVE: usize = 70;
/// Ratios with the fullest colour: this, and one by this.
const FULLEST: f64 = 4.0;

/// A map: rows of ratios, each with more to say.
pub(crate) struct Map {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<(f64, String)>)>,
}

impl Map {
    pub(crate) fn new(title: &str, columns: Vec<String>) -> Self {
        Self {
            title: title.to_owned(),
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add_row(&mut self, name: String, cells: Vec<(f64, String)>) {
        self.rows.push((name, cells));
    }

    pub(crate) fn ratios(&self) -> impl Iterator<Item = f64> + '_ {
        self.rows
            .iter()
            .flat_map(|(_, row)| row)
            .map(|(ratio, _)| *ratio)
    }

    fn height(&self) -> usize {
        ABOVE + self.rows.len() * CELL_HEIGHT + 20
    }

    fn width(&self) -> usize {
        LEFT + self.columns.len() * CELL_WIDTH + 20
    }

    /// Draws it from `top` on.
    fn draw(&self, top: usize, svg: &mut String) {
        text(svg, 10, top + 20, "start", 15, &self.title);
        for (n, name) in self.columns.iter().enumerate() {
            let x = LEFT + n * CELL_WIDTH + CELL_WIDTH / 2;
            let (above, below) = name.split_once(", ").unwrap_or((name, ""));
            text(svg, x, top + 46, "middle", 11, above);
            text(svg, x, top + 60, "middle", 11, below);
        }
        for (n, (name, cells)) in self.rows.iter().enumerate() {
            let y = top + ABOVE + n * CELL_HEIGHT;
            text(svg, LEFT - 8, y + 17, "end", 11, name);
            for (n, (ratio, detail)) in cells.iter().enumerate() {
                let x = LEFT + n * CELL_WIDTH;
                let _ = write!(
                    svg,
                    r##"<g><title>{}</title><rect x="{x}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" fill="{}" stroke="#fff"/>"##,
                    escaped(detail),
                    colour(*ratio),
                );
                let middle = x + CELL_WIDTH / 2;
                text(svg, middle, y + 17, "middle", 12, &format!("{ratio:.2}"));
                svg.push_str("</g>\n");
            }
        }
    }
}

fn text(svg: &mut String, x: usize, y: usize, anchor: &str, size: usize, what: &str) {
    let _ = writeln!(
        svg,
        r#"<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">{}</text>"#,
        escaped(what)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Blue above one, red below, white at it.
fn colour(ratio: f64) -> String {
    let much = (ratio.ln() / FULLEST.ln()).clamp(-1.0, 1.0);
    let faded = (255.0 - 150.0 * much.abs()) as u8;
    let half = (255.0 - 75.0 * much.abs()) as u8;
    match much > 0.0 {
        true => format!("#{faded:02x}{half:02x}ff"),
        false => format!("#ff{half:02x}{faded:02x}"),
    }
}

/// The maps below each other.
pub(crate) fn svg(maps: &[Map]) -> String {
    let width = maps.iter().map(Map::width).max().unwrap_or(0);
    let height: usize = maps.iter().map(Map::height).sum::<usize>() + 30;
    let mut svg = format!(
        concat!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" font-family="sans-serif">"#,
            "\n",
            r##"<rect width="100%" height="100%" fill="#fff"/>"##,
            "\n"
        ),
        w = width,
        h = height
    );
    let mut top = 0;
    for map in maps {
        map.draw(top, &mut svg);
        top += map.height();
    }
    let note = "Throughput of two threads; blue: the range lock is faster. Hold the pointer over a cell for all figures.";
    text(&mut svg, 10, top + 16, "start", 11, note);
    svg.push_str("</svg>\n");
    svg
}
