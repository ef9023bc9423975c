// SPDX-License-Identifier: GPL-2.0-only

//! What was measured: tables for the terminal, JSON Lines for programs, and
//! what became of the goals.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use comfy_table::{presets, CellAlignment, Table};
use serde_json::{json, Value};

use super::measure::Spread;

/// How long to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Just to see that it works.
    Smoke,
    Usual,
    Long,
}

impl Effort {
    /// Rounds instead of `usual` ones.
    pub(crate) fn rounds(self, usual: usize) -> usize {
        match self {
            Self::Smoke => 1,
            Self::Usual => usual,
            Self::Long => usual * 5,
        }
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Report {
    records: Vec<Value>,
    goals: Vec<String>,
}

/// A table: for each row its name, and what to say for each column.
pub(crate) fn print_table(title: &str, columns: &[String], rows: Vec<(String, Vec<String>)>) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header([String::new()].iter().chain(columns));
    for (name, cells) in rows {
        table.add_row([name].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{title}\n{table}");
}

/// `median (low..high)`, or a dash where there is nothing.
pub(crate) fn cell(spread: Option<&Spread>) -> String {
    spread.map_or("-".into(), |Spread { median, low, high }| {
        let digits = match *median {
            m if m < 10.0 => 2,
            m if m < 100.0 => 1,
            _ => 0,
        };
        format!("{median:.digits$} ({low:.digits$}..{high:.digits$})")
    })
}

impl Report {
    /// Records a figure; `what` says of what.
    pub(crate) fn record(&mut self, section: &str, what: Value, unit: &str, spread: &Spread) {
        self.records.push(json!({
            "section": section,
            "of": what,
            "unit": unit,
            "median": spread.median,
            "low_quartile": spread.low,
            "high_quartile": spread.high,
        }));
    }

    /// Records something else.
    pub(crate) fn record_value(&mut self, value: Value) {
        self.records.push(value);
    }

    /// Says what was to be reached, and what was.
    pub(crate) fn goal(&mut self, goal: &str, reached: &str, met: bool) {
        let verdict = if met { "met   " } else { "MISSED" };
        self.goals.push(format!("  {verdict}  {goal}: {reached}"));
        self.records
            .push(json!({ "section": "goals", "goal": goal, "reached": reached, "met": met }));
    }

    /// Prints the goals, and writes all records.
    pub(crate) fn finish(&self) -> io::Result<()> {
        if !self.goals.is_empty() {
            println!("\nGoals\n{}", self.goals.join("\n"));
        }
        let lines: String = self.records.iter().map(|r| format!("{r}\n")).collect();
        let path = directory()?.join("figures.jsonl");
        fs::write(&path, lines)?;
        println!("\nAll figures: {}", path.display());
        Ok(())
    }
}

/// Where reports go; it exists.
pub(crate) fn directory() -> io::Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let directory = target
        .unwrap_or(Path::new("target"))
        .join("range-lock-report");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}
