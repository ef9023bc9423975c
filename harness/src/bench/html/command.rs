// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench report`: from the file of a run to a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::bench::record::Record;
use crate::{EXIT_FAIL, EXIT_PASS};

/// Options of `faultline bench report`.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// What `faultline bench` wrote
    #[arg(value_name = "RUN.jsonl")]
    run: PathBuf,

    /// The page to write [default: beside RUN.jsonl, as .html]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

/// Writes the page, and says where it is.
pub fn run(report: &Report) -> ExitCode {
    let output = report.output.clone();
    let output = output.unwrap_or_else(|| report.run.with_extension("html"));
    match make(&report.run, &output) {
        Ok(()) => {
            println!("{}", output.display());
            ExitCode::from(EXIT_PASS)
        }
        Err(why) => {
            eprintln!("faultline bench report: {why}");
            ExitCode::from(EXIT_FAIL)
        }
    }
}

fn make(run: &Path, output: &Path) -> Result<(), String> {
    if run == output {
        return Err(format!(
            "{}: is the run itself: give another file with -o",
            run.display()
        ));
    }
    let text = fs::read_to_string(run).map_err(|why| format!("{}: {why}", run.display()))?;
    let records = parse(&text).map_err(|why| format!("{}:{why}", run.display()))?;
    let page = super::render(&records).map_err(|why| format!("{}: {why}", run.display()))?;
    fs::write(output, page).map_err(|why| format!("{}: {why}", output.display()))
}

/// The records of a file. A run that was killed leaves a last line in the middle,
/// which is no reason to show nothing of the rest.
fn parse(text: &str) -> Result<Vec<Record>, String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut records = Vec::new();
    for (at, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let cut_off = at + 1 == lines.len() && !text.ends_with('\n') && !records.is_empty();
        match serde_json::from_str(line) {
            Ok(record) => records.push(record),
            Err(_) if cut_off => {}
            Err(why) => {
                return Err(format!(
                    "{}: not a record of `faultline bench`: {why}",
                    at + 1
                ));
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::html::render;
    use crate::bench::html::testdata::{Shape, records};

    fn lines(records: &[Record]) -> String {
        let line = |record| serde_json::to_string(record).expect("a record") + "\n";
        records.iter().map(line).collect()
    }

    #[test]
    fn records_survive_the_file() {
        let records = records(&Shape::small());
        let read = parse(&lines(&records)).expect("its own lines");
        assert_eq!(read.len(), records.len());
        // Not the records: the last binary digit of some fractions changes.
        assert!(render(&read) == render(&records), "another page");
    }

    #[test]
    fn a_last_line_that_was_cut_off_is_left_out() {
        let records = records(&Shape::small());
        let text = lines(&records);
        let cut = parse(&text[..text.len() - 9]).expect("the others are whole");
        assert_eq!(cut.len(), records.len() - 1);
        assert!(render(&cut).expect("a run").contains("broke off"));
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let text = lines(&records(&Shape::small())[..2]) + "{}\n";
        let why = parse(&text).expect_err("no record");
        assert!(why.starts_with("3: not a record"), "{why}");
        assert!(parse("gibberish").is_err(), "not even one record");
    }

    #[test]
    fn a_file_of_records_becomes_a_page() {
        let dir = std::env::temp_dir().join(format!("faultline-report-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (run, page) = (dir.join("run.jsonl"), dir.join("run.html"));
        fs::write(&run, lines(&records(&Shape::small()))).expect("a file");
        let made = make(&run, &page).map(|()| fs::read_to_string(&page).expect("the page"));
        let why = make(&dir.join("none.jsonl"), &page).expect_err("no such file");
        fs::remove_dir_all(&dir).expect("an end of it");
        assert!(made.expect("it is made").starts_with("<!DOCTYPE html>"));
        assert!(why.contains("none.jsonl"), "{why}");
    }

    #[test]
    fn a_run_is_not_overwritten_by_its_report() {
        let path = Path::new("run.html");
        assert!(make(path, path).expect_err("the same file").contains("-o"));
    }
}
