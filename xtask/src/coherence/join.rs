// SPDX-License-Identifier: GPL-2.0-only
//! What the plugin counted, put together with what the guest says it has done.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use faultline_coherence::report::{Phase, Record, SharedLine, VERSION};
use serde::{Deserialize, Serialize};

use super::symbols::Symbols;

/// The module whose share is told apart.
const MODULE: &str = "faultline";
/// Lines of a phase that are named.
const HOTTEST: usize = 10;

/// What `faultline coherence` prints of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    phase: u32,
    pub(crate) workload: String,
    pub(crate) unit: String,
    pub(crate) target: String,
    pub(crate) threads: u32,
    pub(crate) operations: u64,
}

/// A phase, with its figures by operation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    #[serde(flatten)]
    pub(crate) done: Done,
    #[serde(flatten)]
    pub(crate) phase: Phase,
    /// Of `sharing_writes`, those by instructions of the module.
    pub(crate) module_sharing_writes: u64,
    /// The lines with most sharing writes.
    pub(crate) hottest: Vec<Hot>,
}

/// One of the hottest lines.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hot {
    /// Sharing writes.
    pub(crate) writes: u32,
    /// Whether different processors meet in the same bytes.
    pub(crate) truly_shared: bool,
    /// What is there, if it has a name.
    pub(crate) data: Option<String>,
    /// The function with most of these writes.
    pub(crate) code: Option<String>,
    pub(crate) physical: u64,
}

impl Measured {
    /// A count by operation.
    pub(crate) fn per_operation(&self, count: u64) -> f64 {
        count as f64 / self.done.operations.max(1) as f64
    }
}

/// Joins both, in order. An error says what does not fit.
pub(crate) fn join(guest: &str, plugin: &str, symbols: &Symbols) -> Result<Vec<Measured>> {
    let mut phases: BTreeMap<u32, (Phase, Vec<SharedLine>)> = BTreeMap::new();
    for (at, line) in plugin.lines().enumerate() {
        let record = serde_json::from_str(line)
            .with_context(|| format!("line {} of the plugin's records", at + 1))?;
        match record {
            Record::Plugin { version, .. } => ensure!(
                version == VERSION,
                "the plugin writes records of version {version}, and {VERSION} is read"
            ),
            Record::Phase(phase) => drop(phases.insert(phase.number, (phase, Vec::new()))),
            Record::Line(line) => {
                let phase = phases.get_mut(&line.phase);
                phase.context("a line of no phase")?.1.push(line);
            }
        }
    }
    let measured = guest.lines().map(|line| {
        let done: Done =
            serde_json::from_str(line).with_context(|| format!("of the guest: {line}"))?;
        let (phase, lines) = phases
            .remove(&done.phase)
            .with_context(|| format!("the plugin has not seen phase {}", done.phase))?;
        Ok(Measured {
            module_sharing_writes: lines.iter().map(|line| by_module(line, symbols)).sum(),
            hottest: lines
                .iter()
                .take(HOTTEST)
                .map(|line| hot(line, symbols))
                .collect(),
            done,
            phase,
        })
    });
    measured.collect()
}

fn by_module(line: &SharedLine, symbols: &Symbols) -> u64 {
    let of_module = line
        .sites
        .iter()
        .filter(|site| symbols.is_in(site.0, MODULE));
    of_module.map(|site| u64::from(site.1)).sum()
}

fn hot(line: &SharedLine, symbols: &Symbols) -> Hot {
    let name = |address| symbols.name(address).map(str::to_owned);
    let most = line.sites.iter().max_by_key(|site| site.1);
    Hot {
        writes: line.writes,
        truly_shared: line.common != 0,
        data: line.address.and_then(name),
        code: most.and_then(|site| name(site.0)),
        physical: line.physical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str = r#"{"phase":1,"workload":"pft","unit":"fault","target":"range","threads":2,"operations":4}"#;

    fn plugin() -> String {
        let phase = Phase {
            number: 1,
            sharing_writes: 8,
            ..Phase::default()
        };
        let line = SharedLine {
            phase: 1,
            address: Some(0x2000),
            writes: 8,
            sites: vec![(0x1000, 6, 0, 1), (0x1100, 2, 0, 0)],
            ..SharedLine::default()
        };
        let records = [Record::Phase(phase), Record::Line(line)];
        let line = |record| serde_json::to_string(record).unwrap() + "\n";
        records.iter().map(line).collect()
    }

    #[test]
    fn the_modules_part_and_the_hottest_line_are_told() {
        let symbols = Symbols::parse("1000 t bump\t[faultline]\n1100 T other\n2000 D counter\n");
        let measured = join(GUEST, &plugin(), &symbols).unwrap();
        let of_phase = &measured[0];
        assert_eq!(of_phase.module_sharing_writes, 6);
        assert_eq!(of_phase.per_operation(of_phase.phase.sharing_writes), 2.0);
        let hot = &of_phase.hottest[0];
        let names = (hot.data.as_deref(), hot.code.as_deref());
        assert_eq!(names, (Some("counter"), Some("bump")));
        assert!(!hot.truly_shared);
    }

    #[test]
    fn a_phase_that_one_side_has_not_seen_is_an_error() {
        let symbols = Symbols::default();
        let error = join(GUEST, "", &symbols).unwrap_err();
        assert!(error.to_string().contains("not seen phase 1"));
    }
}
