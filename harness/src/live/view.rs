// SPDX-License-Identifier: GPL-2.0-only
//! A picture as lines of text, or as JSON.

use serde_json::{Value, json};

use super::rates::{Picture, Rates, Row};

/// How much room there is, in characters. 0 is no end of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

impl Room {
    fn fits(self, columns: usize) -> bool {
        self.columns == 0 || columns <= self.columns
    }

    fn cut(self, mut line: String) -> String {
        if self.columns != 0 {
            if let Some((end, _)) = line.char_indices().nth(self.columns) {
                line.truncate(end);
            }
        }
        line
    }
}

/// What a column has for a space.
type Cell = fn(&Row) -> String;

/// Columns: title, whether numbers, what is in it, and how early it goes if there is
/// no room; 0 never.
const COLUMNS: [(&str, bool, Cell, u32); 12] = [
    ("SPACE", true, |row| row.space.id.to_string(), 0),
    ("PID", true, |row| row.space.pid.to_string(), 3),
    ("COMMAND", false, |row| visible(&row.space.command), 4),
    ("POLICY", false, |row| row.space.policy.clone(), 5),
    ("REGIONS", true, |row| short(row.space.regions as f64), 8),
    ("PAGES", true, |row| short(row.space.pages as f64), 6),
    ("WINDOWS", true, |row| short(row.space.windows as f64), 9),
    ("FAULTS/s", true, |row| rate(row, Rates::faults), 1),
    ("ABORTS/s", true, |row| rate(row, Rates::aborts), 2),
    ("WAITS/s", true, |row| rate(row, Rates::waits), 7),
    ("WAIT", true, |row| row.rates.map_or_else(unknown, mean), 7),
    (
        "WHY",
        false,
        |row| row.rates.map_or_else(String::new, causes),
        10,
    ),
];

/// Lines for people, the totals first; no more and no longer than there is room for.
pub(super) fn lines(picture: &Picture, room: Room) -> Vec<String> {
    let mut lines = head(picture);
    let left = match room.lines {
        0 => usize::MAX,
        // A line for what is left out.
        lines_of_room => lines_of_room.saturating_sub(lines.len() + 2),
    };
    let shown = &picture.rows[..picture.rows.len().min(left)];
    if !shown.is_empty() {
        lines.extend(table(shown, room));
    }
    match picture.rows.len() - shown.len() {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    if room.lines != 0 {
        lines.truncate(room.lines);
    }
    lines.into_iter().map(|line| room.cut(line)).collect()
}

/// What all spaces have together.
fn head(picture: &Picture) -> Vec<String> {
    let mut lines = vec![format!(
        "{}, {} ended; {} regions, {} pages",
        spaces(picture.rows.len()),
        picture.ended,
        short(picture.regions() as f64),
        short(picture.pages() as f64)
    )];
    if let Some(totals) = picture.totals {
        let causes = causes(totals);
        let causes = if causes.is_empty() {
            causes
        } else {
            format!(" ({causes})")
        };
        lines.push(format!(
            "{} faults/s, {} aborts/s{causes}, {} waits/s of {}",
            short(totals.faults()),
            short(totals.aborts()),
            short(totals.waits()),
            mean(totals)
        ));
    }
    for group in &picture.groups {
        lines.push(format!(
            "{}: {}, {} regions, {} pages, {} faults/s",
            group.policy,
            spaces(group.spaces),
            short(group.regions as f64),
            short(group.pages as f64),
            group.faults.map_or_else(unknown, short)
        ));
    }
    lines
}

fn spaces(count: usize) -> String {
    match count {
        1 => "1 space".to_owned(),
        count => format!("{count} spaces"),
    }
}

/// A header, and a line for each row, of those columns that there is room for.
fn table(rows: &[Row], room: Room) -> Vec<String> {
    let mut columns: Vec<Column> = COLUMNS
        .iter()
        .map(|&(title, is_number, cell, goes)| Column::new(title, is_number, cell, goes, rows))
        .collect();
    while !room.fits(columns.iter().map(|c| c.width + 1).sum::<usize>() - 1) {
        let first = columns.iter().enumerate().max_by_key(|(_, c)| c.goes);
        match first {
            Some((index, column)) if column.goes != 0 => drop(columns.remove(index)),
            _ => break,
        }
    }
    (0..=rows.len())
        .map(|line| {
            let cells: Vec<_> = columns.iter().map(|column| column.line(line)).collect();
            cells.join(" ").trim_end().to_owned()
        })
        .collect()
}

/// A column of a table.
struct Column {
    /// The title first.
    cells: Vec<String>,
    width: usize,
    is_number: bool,
    goes: u32,
}

impl Column {
    fn new(title: &str, is_number: bool, cell: Cell, goes: u32, rows: &[Row]) -> Column {
        let cells: Vec<String> = [title.to_owned()]
            .into_iter()
            .chain(rows.iter().map(cell))
            .collect();
        let width = cells.iter().map(|c| c.chars().count()).max().unwrap_or(0);
        Column {
            cells,
            width,
            is_number,
            goes,
        }
    }

    fn line(&self, index: usize) -> String {
        let (cell, width) = (&self.cells[index], self.width);
        match self.is_number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        }
    }
}

fn unknown() -> String {
    "-".to_owned()
}

fn rate(row: &Row, of: fn(&Rates) -> f64) -> String {
    row.rates.as_ref().map_or_else(unknown, |r| short(of(r)))
}

/// What a terminal shows as it is: the name of a command may have anything in it.
fn visible(text: &str) -> String {
    let replace = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(replace).collect()
}

/// A number in few characters.
fn short(number: f64) -> String {
    match number {
        n if n >= 9_999_500.0 => format!("{:.0}M", n / 1e6),
        n if n >= 99_950.0 => format!("{:.0}k", n / 1e3),
        n if n >= 9_999.5 => format!("{:.1}k", n / 1e3),
        n if n >= 9.95 || n == n.trunc() => format!("{n:.0}"),
        n => format!("{n:.1}"),
    }
}

/// The mean wait.
fn mean(rates: Rates) -> String {
    match rates.mean_wait() {
        None => unknown(),
        Some(ns) if ns < 999.5 => format!("{ns:.0}ns"),
        Some(ns) if ns < 999_500.0 => format!("{:.1}us", ns / 1e3),
        Some(ns) if ns < 999_500_000.0 => format!("{:.1}ms", ns / 1e6),
        Some(ns) => format!("{:.1}s", ns / 1e9),
    }
}

/// Aborts a second by cause.
fn causes(rates: Rates) -> String {
    let causes = rates.causes().into_iter();
    let causes: Vec<_> = causes
        .map(|(name, rate)| format!("{name} {}", short(rate)))
        .collect();
    causes.join(", ")
}

/// The same for machines.
pub(super) fn json(picture: &Picture) -> Value {
    let spaces: Vec<Value> = picture.rows.iter().map(row).collect();
    let groups = picture.groups.iter();
    let policies: Vec<Value> = groups
        .map(|group| {
            json!({
                "policy": group.policy, "spaces": group.spaces, "regions": group.regions,
                "pages": group.pages, "faults_per_s": group.faults,
            })
        })
        .collect();
    json!({
        "seconds": picture.time.as_secs_f64(),
        "spaces_ended": picture.ended,
        "regions": picture.regions(),
        "pages": picture.pages(),
        "totals": rates(picture.totals),
        "policies": policies,
        "spaces": spaces,
    })
}

fn row(row: &Row) -> Value {
    let space = &row.space;
    json!({
        "id": space.id, "pid": space.pid, "command": space.command, "policy": space.policy,
        "regions": space.regions, "pages": space.pages, "windows": space.windows,
        "rates": rates(row.rates),
    })
}

fn rates(rates: Option<Rates>) -> Value {
    let Some(rates) = rates else {
        return Value::Null;
    };
    let causes: serde_json::Map<String, Value> = rates
        .causes()
        .into_iter()
        .map(|(name, rate)| (name.replace(' ', "_"), json!(rate)))
        .collect();
    json!({
        "faults_per_s": rates.faults(),
        "aborts_per_s": rates.aborts(),
        "aborts_per_s_by_cause": causes,
        "waits_per_s": rates.waits(),
        "mean_wait_ns": rates.mean_wait(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::rates::tests::{reading, space};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Two spaces, the second of which has had faults, aborts and waits.
    fn picture() -> Picture {
        let before = reading(vec![space(1, 10), space(2, 10)], 0);
        let mut busy = space(2, 12_010);
        busy.counts.spf_writer_active = 30;
        busy.counts.spf_stale = 4;
        busy.counts.fault_waits = 5;
        busy.counts.fault_wait_ns = 12_500;
        busy.policy = "global".to_owned();
        let after = reading(vec![space(1, 10), busy], 0);
        Picture::of(Some(&before), &after, SECOND)
    }

    #[test]
    fn totals_stand_above_the_spaces() {
        let expected = [
            "2 spaces, 0 ended; 4 regions, 6 pages",
            "12.0k faults/s, 34 aborts/s (writer active 30, snapshot stale 4), 5 waits/s of 2.5us",
            "global: 1 space, 2 regions, 3 pages, 12.0k faults/s",
            "spf-range: 1 space, 2 regions, 3 pages, 0 faults/s",
            "SPACE PID COMMAND  POLICY    REGIONS PAGES WINDOWS FAULTS/s ABORTS/s WAITS/s  WAIT \
             WHY",
            "    2 102 command2 global          2     3       1    12.0k       34       5 2.5us \
             writer active 30, snapshot stale 4",
            "    1 101 command1 spf-range       2     3       1        0        0       0     -",
        ];
        assert_eq!(lines(&picture(), Room::default()), expected);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        for columns in 1..130 {
            let room = Room { columns, lines: 0 };
            for line in lines(&picture(), room) {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }

    #[test]
    fn what_matters_most_stays_on_a_narrow_terminal() {
        let room = Room {
            columns: 30,
            lines: 0,
        };
        let shown = lines(&picture(), room);
        assert_eq!(shown[4], "SPACE PID FAULTS/s ABORTS/s");
        assert_eq!(shown[5], "    2 102    12.0k       34");
    }

    #[test]
    fn no_more_lines_than_the_terminal_has() {
        for count in 0..8 {
            let room = Room {
                columns: 80,
                lines: count,
            };
            let shown = lines(&picture(), room);
            assert!(count == 0 || shown.len() <= count, "{count}: {shown:#?}");
        }
        let room = Room {
            columns: 80,
            lines: 7,
        };
        let shown = lines(&picture(), room);
        assert_eq!(shown.last().map(String::as_str), Some("and 1 more"));
    }

    #[test]
    fn commands_cannot_move_the_cursor() {
        let mut hostile = space(1, 0);
        hostile.command = "\u{1b}[2J\nx".to_owned();
        let picture = Picture::of(None, &reading(vec![hostile], 0), SECOND);
        let shown = lines(&picture, Room::default()).join("");
        assert!(shown.contains("?[2J?x"), "{shown}");
        assert!(!shown.chars().any(char::is_control));
    }

    #[test]
    fn unknown_rates_are_dashes() {
        let picture = Picture::of(None, &reading(vec![space(1, 9)], 0), SECOND);
        let shown = lines(&picture, Room::default());
        assert_eq!(shown.len(), 4, "{shown:#?}");
        assert!(
            shown[3].ends_with("-        -       -    -"),
            "{}",
            shown[3]
        );
        assert_eq!(json(&picture)["spaces"][0]["rates"], Value::Null);
    }

    #[test]
    fn no_space_is_no_table() {
        let picture = Picture::of(None, &reading(vec![], 0), SECOND);
        let shown = lines(&picture, Room::default());
        assert_eq!(shown, ["0 spaces, 0 ended; 0 regions, 0 pages"]);
    }

    #[test]
    fn json_has_the_same_numbers() {
        let value = json(&picture());
        assert_eq!(value["totals"]["faults_per_s"], 12_000.0);
        assert_eq!(value["spaces"][0]["id"], 2);
        let rates = &value["spaces"][0]["rates"];
        assert_eq!(rates["aborts_per_s_by_cause"]["writer_active"], 30.0);
        assert_eq!(rates["mean_wait_ns"], 2500.0);
        assert_eq!(value["policies"][1]["policy"], "spf-range");
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (0.25, "0.2"),
            (9.94, "9.9"),
            (9.96, "10"),
            (9999.0, "9999"),
            (10_000.0, "10.0k"),
            (123_456.0, "123k"),
            (12_345_678.0, "12M"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
