// SPDX-License-Identifier: GPL-2.0-only
//! Where records go while a run is under way, and the files that are made of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::cells::cells;
use super::options::Options;
use super::read::{self, make_dir};
use super::record::Record;
use super::run::Sinks;
use super::{csv, hdr, html};

/// The report, in the directory that `--out` names.
pub(super) const PAGE: &str = "report.html";

/// The records of a run so far, and the directory they are written to.
#[derive(Debug, Default)]
pub(super) struct Records {
    all: Vec<Record>,
    to: Option<(PathBuf, File)>,
    prints: bool,
}

/// Those of a run and of its twin.
#[derive(Debug)]
pub(super) struct Outputs {
    run: Records,
    twin: Records,
}

impl Outputs {
    /// As the options say; directories are made now, so that a bad one ends the run
    /// before it has begun.
    pub(super) fn new(options: &Options) -> io::Result<Outputs> {
        let records = |dir: Option<&PathBuf>, prints| -> io::Result<Records> {
            let to = match dir {
                None => None,
                Some(dir) => {
                    let dir = make_dir(dir)?;
                    let file = File::create(dir.join(read::FILE))?;
                    Some((dir, file))
                }
            };
            let all = Vec::new();
            Ok(Records { all, to, prints })
        };
        Ok(Outputs {
            run: records(options.out.as_ref(), options.json)?,
            twin: records(options.twin.as_ref(), false)?,
        })
    }

    /// Writes all that is made of the records; the run's own.
    pub(super) fn finish(self) -> io::Result<Vec<Record>> {
        for records in [&self.run, &self.twin] {
            if let Some((dir, _)) = &records.to {
                write_files(dir, &records.all)?;
            }
        }
        Ok(self.run.all)
    }
}

impl Sinks for Outputs {
    fn take(&mut self, record: Record) -> io::Result<()> {
        self.run.take(record)
    }

    fn take_twin(&mut self, record: Record) -> io::Result<()> {
        self.twin.take(record)
    }
}

impl Records {
    /// At once, so that a run that breaks off leaves what it has measured.
    fn take(&mut self, record: Record) -> io::Result<()> {
        let line = serde_json::to_string(&record)? + "\n";
        if let Some((_, file)) = &mut self.to {
            file.write_all(line.as_bytes())?;
        }
        if self.prints {
            io::stdout().lock().write_all(line.as_bytes())?;
        }
        self.all.push(record);
        Ok(())
    }
}

/// All but the records themselves.
fn write_files(dir: &Path, records: &[Record]) -> io::Result<()> {
    let Some(run) = read::run(records) else {
        return Ok(());
    };
    fs::write(dir.join("run.csv"), csv::csv(records, run))?;
    let page = html::render(records, None).map_err(io::Error::other)?;
    fs::write(dir.join(PAGE), page)?;
    let histograms = make_dir(&dir.join("histograms"))?;
    for cell in cells(records) {
        if let Some(latencies) = cell.latencies() {
            let (workload, target, threads) = cell.key();
            let name = hdr::file_name(workload, target, threads) + ".hgrm";
            fs::write(histograms.join(name), hdr::distribution(&latencies))?;
        }
    }
    fs::write(histograms.join("all.hlog"), hdr::log(records, run)?)
}
