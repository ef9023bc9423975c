// SPDX-License-Identifier: GPL-2.0-only
//! The files that the module shows in debugfs.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::counts::Counts;

const DEBUGFS: &str = "/sys/kernel/debug";
const MODULE: &str = "/sys/module/faultline";

/// Why there is nothing to show.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The module is not loaded.
    NotLoaded,
    /// debugfs is not mounted.
    NotMounted,
    /// Only root may look.
    NotRoot,
    /// There is no such process.
    NoProcess(u32),
    /// The process has opened none of the spaces there are.
    NoSpace(u32),
    /// A file could not be read.
    File(PathBuf, io::Error),
    /// A file has something else than expected.
    Contents(PathBuf, String),
    /// What there is to show could not be written.
    Output(io::Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotLoaded => f.write_str(
                "the module is not loaded: `insmod faultline.ko`, or try it in the VM: \
                 `cargo xtask run -- faultline ...`",
            ),
            Trouble::NotMounted => write!(
                f,
                "debugfs is not mounted: `mount -t debugfs debug {DEBUGFS}`"
            ),
            Trouble::NotRoot => f.write_str("only root may see the spaces: run it with sudo"),
            Trouble::NoProcess(pid) => write!(f, "there is no process {pid}"),
            Trouble::NoSpace(pid) => write!(
                f,
                "process {pid} has opened none of the spaces there are; without a PID all \
                 are shown"
            ),
            Trouble::File(path, error) => write!(f, "{}: {error}", path.display()),
            Trouble::Contents(path, what) => write!(
                f,
                "{}: {what}: is the module of another version?",
                path.display()
            ),
            Trouble::Output(error) => write!(f, "output: {error}"),
        }
    }
}

/// The module's file of this name, open.
pub(super) fn open(name: &str) -> Result<(PathBuf, BufReader<File>), Trouble> {
    let path = Path::new(DEBUGFS).join("faultline").join(name);
    match File::open(&path) {
        Ok(file) => Ok((path, BufReader::new(file))),
        Err(error) => Err(why_not(path, error)),
    }
}

fn why_not(path: PathBuf, error: io::Error) -> Trouble {
    if !Path::new(MODULE).exists() {
        return Trouble::NotLoaded;
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => Trouble::NotRoot,
        io::ErrorKind::NotFound if !is_mounted() => Trouble::NotMounted,
        _ => Trouble::File(path, error),
    }
}

/// Whether debugfs is where it belongs.
fn is_mounted() -> bool {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(DEBUGFS) && words.next() == Some("debugfs")
    })
}

/// One space at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Space {
    /// Never used twice while the module is loaded.
    pub(super) id: u64,
    /// Of the process that has opened it, in the initial PID namespace.
    pub(super) pid: u64,
    pub(super) command: String,
    pub(super) policy: String,
    pub(super) windows: u64,
    pub(super) regions: u64,
    pub(super) pages: u64,
    pub(super) counts: Counts,
}

/// All spaces at one moment, or nearly so.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reading {
    /// In the order of their numbers.
    pub(super) spaces: Vec<Space>,
    /// What all there have been have counted.
    pub(super) totals: Counts,
    /// Spaces that are gone.
    pub(super) ended: u64,
}

impl Reading {
    /// As the module shows it now.
    pub(super) fn take() -> Result<Reading, Trouble> {
        let mut reading = Reading::default();
        let (path, lines) = open("spaces.jsonl")?;
        for line in lines.lines() {
            let line = line.map_err(|error| Trouble::File(path.clone(), error))?;
            let space = space(&line).map_err(|what| Trouble::Contents(path.clone(), what))?;
            reading.spaces.push(space);
        }
        let (path, file) = open("stats.json")?;
        let text = io::read_to_string(file).map_err(|error| Trouble::File(path.clone(), error))?;
        (reading.totals, reading.ended) =
            totals(&text).map_err(|what| Trouble::Contents(path, what))?;
        Ok(reading)
    }
}

/// A line of `spaces.jsonl`.
fn space(line: &str) -> Result<Space, String> {
    let value = parse(line)?;
    let text = |name: &str| match &value[name] {
        Value::String(text) => Ok(text.clone()),
        _ => Err(format!("no \"{name}\"")),
    };
    Ok(Space {
        id: number(&value, "id")?,
        pid: number(&value, "pid")?,
        command: text("command")?,
        policy: text("policy")?,
        windows: number(&value, "windows")?,
        regions: number(&value, "regions")?,
        pages: number(&value, "pages")?,
        counts: counts(&value)?,
    })
}

/// The text of `stats.json`: what was counted, and spaces that are gone.
fn totals(text: &str) -> Result<(Counts, u64), String> {
    let value = parse(text)?;
    Ok((counts(&value)?, number(&value, "spaces_ended")?))
}

fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn number(value: &Value, name: &str) -> Result<u64, String> {
    value[name].as_u64().ok_or_else(|| format!("no \"{name}\""))
}

fn counts(value: &Value) -> Result<Counts, String> {
    Counts::find(|name| value[name].as_u64()).map_err(|name| format!("no \"{name}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All counters that there are, each 1.
    fn all_counts() -> String {
        let all = Counts::default().all();
        let all: Vec<_> = all
            .iter()
            .map(|(name, _)| format!("\"{name}\":1"))
            .collect();
        all.join(",")
    }

    fn line(command: &str) -> String {
        format!(
            "{{\"id\":3,\"pid\":17,\"command\":{command},\"policy\":\"range\",\"windows\":2,\
             \"regions\":5,\"pages\":7,{}}}",
            all_counts()
        )
    }

    #[test]
    fn a_space_is_read() {
        let space = space(&line(r#""a \"b\"\u000a""#)).expect("a space");
        assert_eq!((space.id, space.pid, space.windows), (3, 17, 2));
        assert_eq!((space.regions, space.pages), (5, 7));
        assert_eq!(space.command, "a \"b\"\n");
        assert_eq!(space.policy, "range");
        assert_eq!((space.counts.faults, space.counts.fault_wait_ns), (1, 1));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(space("{\"id\":3}"), Err("no \"pid\"".to_owned()));
        let old = line("\"x\"").replace("\"spf_stale\":1,", "");
        assert_eq!(space(&old), Err("no \"spf_stale\"".to_owned()));
        assert_eq!(space(&line("7")), Err("no \"command\"".to_owned()));
        assert!(space("nonsense").is_err());
    }

    #[test]
    fn totals_are_read() {
        let text = format!("{{\"spaces_ended\":9,{}}}\n", all_counts());
        let (counts, ended) = totals(&text).expect("totals");
        assert_eq!((counts.faults, ended), (1, 9));
    }
}
