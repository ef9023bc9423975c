// SPDX-License-Identifier: GPL-2.0-only
//! `faultline bench report`: from the file of a run to a page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::bench::out::PAGE;
use crate::bench::read::read;
use crate::{EXIT_FAIL, EXIT_PASS};

/// Options of `faultline bench report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Report {
    /// What `faultline bench` wrote: a file, or the directory that it is in
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// The page to write [default: beside the run, as .html]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,

    /// Add what `cargo xtask coherence` counted of cache lines
    #[arg(long, value_name = "FILE")]
    coherence: Option<PathBuf>,
}

/// Writes the page, and says where it is.
pub(crate) fn run(report: &Report) -> ExitCode {
    let output = report.output.clone();
    let output = output.unwrap_or_else(|| match report.run.is_dir() {
        true => report.run.join(PAGE),
        false => report.run.with_extension("html"),
    });
    match make(&report.run, &output, report.coherence.as_deref()) {
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

fn make(run: &Path, output: &Path, coherence: Option<&Path>) -> Result<(), String> {
    if run == output || coherence == Some(output) {
        return Err(format!(
            "{}: is the run itself: give another file with -o",
            output.display()
        ));
    }
    let records = read(run)?;
    let counted = coherence.map(crate::coherence::read).transpose()?;
    let page = super::render(&records, counted.as_ref())
        .map_err(|why| format!("{}: {why}", run.display()))?;
    fs::write(output, page).map_err(|why| format!("{}: {why}", output.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::html::testdata::{Shape, records};
    use crate::bench::record::Record;

    fn lines(records: &[Record]) -> String {
        let line = |record| serde_json::to_string(record).expect("a record") + "\n";
        records.iter().map(line).collect()
    }

    #[test]
    fn a_file_of_records_becomes_a_page() {
        let dir = std::env::temp_dir().join(format!("faultline-report-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let (run, page) = (dir.join("run.jsonl"), dir.join("run.html"));
        fs::write(&run, lines(&records(&Shape::small()))).expect("a file");
        let made = make(&run, &page, None).map(|()| fs::read_to_string(&page).expect("the page"));
        let why = make(&dir.join("none.jsonl"), &page, None).expect_err("no such file");
        fs::remove_dir_all(&dir).expect("an end of it");
        assert!(made.expect("it is made").starts_with("<!DOCTYPE html>"));
        assert!(why.contains("none.jsonl"), "{why}");
    }

    #[test]
    fn a_run_is_not_overwritten_by_its_report() {
        let path = Path::new("run.html");
        let why = make(path, path, None).expect_err("the same file");
        assert!(why.contains("-o"), "{why}");
        let why = make(Path::new("run.jsonl"), path, Some(path)).expect_err("the same file");
        assert!(why.contains("-o"), "{why}");
    }
}
