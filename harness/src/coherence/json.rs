// SPDX-License-Identifier: GPL-2.0-only
//! A counted run for programs: the figures that are printed, a line for each phase.

use faultline_coherence::measured::Measured;
use serde_json::json;

use super::ceiling::Costs;
use super::counted::{Counted, hottest};

/// JSON Lines.
pub(super) fn json(counted: &Counted, costs: &Costs) -> String {
    let phases = counted.all_series().flatten();
    phases.map(|phase| line(phase, costs)).collect()
}

fn line(phase: &Measured, costs: &Costs) -> String {
    let limit = costs.limit(phase);
    let each = |count| phase.per_operation(count);
    let line = json!({
        "workload": phase.workload,
        "target": phase.target,
        "threads": phase.threads,
        "unit": phase.unit,
        "operations": phase.operations,
        "rounds": phase.rounds,
        "per_operation": {
            "sharing_writes": each(phase.counted.sharing_writes),
            "module_writes": each(phase.module.writes),
            "transfers": each(phase.counted.transfers),
            "hottest_writes": limit.writes,
            "hottest_transfers": limit.moves,
        },
        "module_lines": phase.module.lines,
        "hottest": hottest(phase),
        "per_second": {
            "ideal": limit.ideal,
            "ceiling": limit.ceiling,
            "ceiling_by_transfers": limit.by_moves,
            "allowed": limit.allowed,
        },
        "cpus_at_ceiling": limit.meet,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coherence::testdata::counted;

    #[test]
    fn each_phase_is_a_line() {
        let counted = counted(&[1, 2]);
        let text = json(&counted, &Costs::default());
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), counted.phases.len());
        assert_eq!(lines[0]["per_second"]["ceiling"], serde_json::Value::Null);
        assert_eq!(lines[0]["per_second"]["allowed"], 1e6);
        assert_eq!(lines[1]["per_operation"]["sharing_writes"], 6.0);
        assert_eq!(lines[1]["hottest"]["owner"]["name"], "space");
    }
}
