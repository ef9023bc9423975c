// SPDX-License-Identifier: GPL-2.0-only
//! Reads what a run has left behind, and checks that it can be used.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::record::{Record, Run, VERSION};

/// The records' file in a directory that `--out` names.
pub const FILE: &str = "run.jsonl";

/// The records of a file, or of the [`FILE`] in a directory. They begin with the run; a
/// run that broke off has no end, and a last line that was cut off is left out.
///
/// The error is for people: it says which line of which file is wrong, and how.
pub fn read(path: &Path) -> Result<Vec<Record>, String> {
    let path = match path.is_dir() {
        true => path.join(FILE),
        false => path.to_owned(),
    };
    let explain = |error| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(|error| explain(error.to_string()))?;
    parse(BufReader::new(file)).map_err(explain)
}

/// The same of what is read somewhere.
pub fn parse(mut text: impl BufRead) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        let explain = |error: &dyn fmt::Display| format!("line {number}: {error}");
        match text.read_line(&mut line) {
            Ok(0) => break,
            Ok(_) if line.trim().is_empty() => continue,
            Ok(_) => {}
            Err(error) => return Err(explain(&error)),
        }
        // First of all, as the rest may be different in another version.
        check_version(&line).map_err(|error| explain(&error))?;
        match serde_json::from_str(&line) {
            Ok(record) => push(&mut records, record).map_err(|error| explain(&error))?,
            // The writer was killed in the middle of it.
            Err(_) if !line.ends_with('\n') && !records.is_empty() => break,
            Err(error) => return Err(explain(&format!("no record of a run: {error}"))),
        }
    }
    match records.is_empty() {
        true => Err("no records".to_owned()),
        false => Ok(records),
    }
}

/// Adds a record where it may stand.
fn push(records: &mut Vec<Record>, record: Record) -> Result<(), &'static str> {
    match (&record, records.last()) {
        (Record::Run(_), Some(_)) => Err("a second run begins: one file, one run"),
        (Record::Sample(_) | Record::End(_), None) => {
            Err("the run's own record does not come first")
        }
        (_, Some(Record::End(_))) => Err("the run has ended before"),
        _ => {
            records.push(record);
            Ok(())
        }
    }
}

fn check_version(line: &str) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: Option<u64>,
    }
    match serde_json::from_str::<Versioned>(line) {
        Ok(Versioned {
            version: Some(version),
        }) if version != u64::from(VERSION) => Err(format!(
            "records of version {version}; this program reads version {VERSION}"
        )),
        _ => Ok(()),
    }
}

/// The run's own record.
pub fn run(records: &[Record]) -> Option<&Run> {
    records.iter().find_map(|record| match record {
        Record::Run(run) => Some(&**run),
        _ => None,
    })
}

/// A directory that can be written to, made if it is not there.
pub(super) fn make_dir(path: &Path) -> std::io::Result<PathBuf> {
    fs::create_dir_all(path).map_err(|error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::{End, Sample};

    fn lines(records: &[Record]) -> String {
        let line = |record| serde_json::to_string(record).unwrap() + "\n";
        records.iter().map(line).collect()
    }

    fn begin() -> Record {
        Record::Run(Box::new(Run {
            version: VERSION,
            ..Run::default()
        }))
    }

    #[test]
    fn records_are_read_back() {
        let records = [
            begin(),
            Record::Sample(Box::new(Sample {
                workload: "pft".to_owned(),
                per_thread: vec![3, 4],
                ..Sample::default()
            })),
            Record::End(End::default()),
        ];
        assert_eq!(parse(lines(&records).as_bytes()).unwrap(), records);
        let broken_off = &records[..2];
        assert_eq!(parse(lines(broken_off).as_bytes()).unwrap(), broken_off);
        let text = lines(&records);
        let cut_off = &text.as_bytes()[..text.len() - 5];
        assert_eq!(parse(cut_off).unwrap(), broken_off);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let refused = |text: &str| parse(text.as_bytes()).unwrap_err();
        let (run, end) = (lines(&[begin()]), lines(&[Record::End(End::default())]));
        assert_eq!(refused(""), "no records");
        assert!(refused(&format!("{run}nonsense\n")).starts_with("line 2: no record"));
        assert!(refused(&end).starts_with("line 1: the run's own"));
        assert!(refused(&format!("{run}{run}")).starts_with("line 2: a second run"));
        assert!(refused(&format!("{run}{end}{end}")).starts_with("line 3: the run has ended"));
        let newer = run.replace("\"version\":1", "\"version\":2");
        assert!(refused(&newer).contains("version 2; this program reads version 1"));
        let missing = read(Path::new("/nonexistent/run.jsonl")).unwrap_err();
        assert!(
            missing.starts_with("/nonexistent/run.jsonl: No such file"),
            "{missing}"
        );
    }
}
