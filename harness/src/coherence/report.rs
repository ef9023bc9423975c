// SPDX-License-Identifier: GPL-2.0-only
//! `faultline coherence report`: what was counted, for people, programs and browsers.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::ceiling::Costs;
use super::{html, json, read, text};
use crate::{EXIT_FAIL, EXIT_PASS};

/// Options of `faultline coherence report`.
#[derive(Args, Clone, Debug)]
pub(super) struct Report {
    /// What `cargo xtask coherence` wrote
    #[arg(value_name = "FILE")]
    run: PathBuf,

    /// Write a page with charts, too
    #[arg(long, value_name = "OUT.html")]
    html: Option<PathBuf>,

    /// JSON Lines instead of tables: a phase each
    #[arg(long)]
    json: bool,

    /// Show the hottest lines, too, each with the most processors
    #[arg(long, conflicts_with = "json")]
    lines: bool,

    /// Print nothing: the page alone is wanted
    #[arg(long, requires = "html", conflicts_with_all = ["json", "lines"])]
    quiet: bool,

    #[command(flatten)]
    costs: Costs,
}

/// Prints, and writes the page if it is asked for.
pub(super) fn run(report: &Report) -> ExitCode {
    match make(report) {
        Ok(text) => {
            print!("{text}");
            ExitCode::from(EXIT_PASS)
        }
        Err(why) => {
            eprintln!("faultline coherence report: {why}");
            ExitCode::from(EXIT_FAIL)
        }
    }
}

/// What is to be printed, once the page is written.
fn make(report: &Report) -> Result<String, String> {
    let counted = read(&report.run)?;
    if let Some(page) = &report.html {
        let explain = |why: &str| format!("{}: {why}", page.display());
        if *page == report.run {
            return Err(explain("is the run itself: give another file to --html"));
        }
        fs::write(page, html::page(&counted, &report.costs))
            .map_err(|why| explain(&why.to_string()))?;
    }
    Ok(match (report.quiet, report.json) {
        (true, _) => String::new(),
        (_, true) => json::json(&counted, &report.costs),
        (_, false) => text::text(&counted, &report.costs, report.lines),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::testdata::{counted, lines};

    #[test]
    fn a_file_becomes_a_table_and_a_page() {
        let dir = std::env::temp_dir().join(format!("faultline-coherence-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let mut report = Report {
            run: dir.join("run.jsonl"),
            html: Some(dir.join("run.html")),
            json: false,
            lines: false,
            quiet: false,
            costs: Costs::default(),
        };
        let missing = make(&report).unwrap_err();
        fs::write(&report.run, lines(&counted(&[2]))).unwrap();
        let text = make(&report);
        let page = fs::read_to_string(dir.join("run.html"));
        report.run = dir.clone();
        assert_eq!(make(&report), text, "of the folder");
        report.quiet = true;
        let nothing = make(&report).unwrap();
        report.run = dir.join("run.jsonl");
        report.html = Some(report.run.clone());
        let onto_itself = make(&report).unwrap_err();
        fs::remove_dir_all(&dir).unwrap();
        assert!(missing.contains("run.jsonl: No such file"), "{missing}");
        assert!(text.unwrap().contains("hottest line"));
        assert_eq!(nothing, "");
        assert!(page.unwrap().starts_with("<!DOCTYPE html>"));
        assert!(onto_itself.contains("--html"), "{onto_itself}");
    }
}
