// SPDX-License-Identifier: GPL-2.0-only
//! Reads what `cargo xtask coherence` has written, and checks that it can be used.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use faultline_coherence::measured::{Entry, Measured, VERSION};

use super::counted::{Counted, key};

/// Where the folder of a run has it.
const FILE: &str = "run.jsonl";

/// The run of a file, or of the folder that has it. The error is for people: it says which
/// line of which file is wrong, how, and what to do.
pub(crate) fn read(path: &Path) -> Result<Counted, String> {
    let in_folder = path.is_dir().then(|| path.join(FILE));
    let path = in_folder.as_deref().unwrap_or(path);
    let explain = |error| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| explain(error.to_string()))?;
    parse(BufReader::new(file)).map_err(explain)
}

/// The same of what is read somewhere.
pub(super) fn parse(text: impl BufRead) -> Result<Counted, String> {
    let mut counted = None;
    for (number, line) in (1..).zip(text.lines()) {
        let explain = |error: String| format!("line {number}: {error}");
        let line = line.map_err(|error| explain(error.to_string()))?;
        if !line.trim().is_empty() {
            add(&mut counted, &line).map_err(explain)?;
        }
    }
    match counted {
        Some(counted) if counted.phases.is_empty() => Err(
            "no phase was counted: did the run break off? do it again with `cargo xtask \
             coherence`"
                .to_owned(),
        ),
        Some(counted) => Ok(counted),
        None => Err("no records: give the file that `cargo xtask coherence` wrote".to_owned()),
    }
}

/// Adds the record of a line where it may stand.
fn add(counted: &mut Option<Counted>, line: &str) -> Result<(), String> {
    // First of all, as the rest may be different in another version.
    check_version(line)?;
    let entry = serde_json::from_str(line).map_err(|error| {
        format!(
            "no record of a counted run ({error}): give the file that `cargo xtask coherence` \
             wrote, whole"
        )
    })?;
    match (entry, counted) {
        (Entry::Run(_), Some(_)) => Err("a second run begins: give a file for each".to_owned()),
        (Entry::Run(run), empty) => {
            let phases = Vec::new();
            *empty = Some(Counted { run, phases });
            Ok(())
        }
        (Entry::Phase(_), None) => Err(
            "the run's own record does not come first: give the whole file that `cargo xtask \
             coherence` wrote"
                .to_owned(),
        ),
        (Entry::Phase(phase), Some(counted)) => push(&mut counted.phases, *phase),
    }
}

fn push(phases: &mut Vec<Measured>, phase: Measured) -> Result<(), String> {
    if phases.iter().any(|other| key(other) == key(&phase)) {
        let (workload, target, threads) = key(&phase);
        return Err(format!(
            "{workload} on {target} with {threads} threads for the second time: was the file put \
             together of two?"
        ));
    }
    phases.push(phase);
    Ok(())
}

fn check_version(line: &str) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        record: String,
        version: u64,
    }
    match serde_json::from_str::<Versioned>(line) {
        Ok(run) if run.record == "run" && run.version != u64::from(VERSION) => Err(format!(
            "records of version {}, and this program reads version {VERSION}: use the faultline \
             that was built with what wrote them",
            run.version
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::testdata::{counted, lines};

    fn refused(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_run_is_read_back() {
        let counted = counted(&[1, 2, 64]);
        assert_eq!(parse(lines(&counted).as_bytes()).unwrap(), counted);
    }

    #[test]
    fn a_run_from_before_there_were_rounds_had_one() {
        let mut text = String::new();
        for line in lines(&counted(&[2])).lines() {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            record.as_object_mut().unwrap().remove("rounds").unwrap();
            text += &format!("{record}\n");
        }
        let older = parse(text.as_bytes()).unwrap();
        assert_eq!(older.run.rounds, 1);
        assert!(older.phases.iter().all(|phase| phase.spread().is_none()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_to_do() {
        let text = lines(&counted(&[2]));
        let (run, phases) = text.split_once('\n').unwrap();
        let phase = phases.lines().next().unwrap();
        let tells = |text: &str, words: [&str; 2]| {
            let why = refused(text);
            assert!(why.starts_with(words[0]) && why.contains(words[1]), "{why}");
        };
        tells("", ["no records", "cargo xtask coherence"]);
        tells(run, ["no phase was counted", "do it again"]);
        tells(phase, ["line 1: the run's own", "the whole file"]);
        tells(&format!("{run}\n\n{run}"), ["line 3: a second run", "each"]);
        tells(&format!("{run}\nnonsense"), ["line 2: no record", "whole"]);
        let cut_off = &text[..text.len() - 20];
        assert!(refused(cut_off).contains("EOF while parsing"));
        let twice = format!("{run}\n{phase}\n{phase}");
        tells(&twice, ["line 3: pft on global with 2", "second time"]);
    }

    #[test]
    fn another_version_is_refused_whatever_else_it_has() {
        let why = refused(r#"{"record":"run","version":2,"machine":{}}"#);
        assert!(why.starts_with("line 1: records of version 2"), "{why}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let why = read(Path::new("/nonexistent/run.jsonl")).unwrap_err();
        assert!(
            why.starts_with("/nonexistent/run.jsonl: No such file"),
            "{why}"
        );
    }
}
