// SPDX-License-Identifier: GPL-2.0-only
//! will-it-scale's columns, so that its plotters can be used: the workload and the target
//! stand before them.

use super::cells::{Cell, cells};
use super::record::{Record, Run};

/// One line for each workload, target and count of threads, all medians of a second.
/// Nothing is measured with processes, so these columns are 0 and 100.
pub(super) fn csv(records: &[Record], run: &Run) -> String {
    let mut text =
        "workload,target,tasks,processes,processes_idle,threads,threads_idle,linear\n".to_owned();
    let cells = cells(records);
    for cell in &cells {
        let rate = cell.rate().map_or(0.0, |summary| summary.median);
        // What as many processors would do as well as the first one does: by the line
        // with the fewest threads.
        let same = |other: &&Cell<'_>| other.work() == cell.work();
        let fewest = cells
            .iter()
            .filter(same)
            .min_by_key(|other| other.threads());
        let of_one = fewest.map_or(0.0, |fewest| {
            fewest.rate().map_or(0.0, |summary| summary.median) / f64::from(fewest.threads())
        });
        let (workload, target) = cell.work();
        text += &format!(
            "{workload},{target},{0},0,100.00,{1:.0},{2:.2},{3:.0}\n",
            cell.threads(),
            rate,
            idle(cell, run.machine.cpus),
            of_one * f64::from(cell.threads()),
        );
    }
    text
}

/// Percent of all processors' time that the process did not use.
fn idle(cell: &Cell<'_>, cpus: u32) -> f64 {
    let idle = |used: f64, seconds: f64| 100.0 * (1.0 - used / (seconds * f64::from(cpus)));
    let samples = cell.samples().iter();
    let parts: Vec<f64> = samples
        .filter(|sample| sample.seconds > 0.0)
        .map(|sample| idle(sample.user_seconds + sample.system_seconds, sample.seconds))
        .collect();
    let median = super::stats::Summary::of(&parts).map_or(0.0, |summary| summary.median);
    median.clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::record::Sample;

    #[test]
    fn lines_have_the_columns_of_will_it_scale() {
        let sample = |threads: u32, done: u64| {
            Record::Sample(Box::new(Sample {
                workload: "mmap1".to_owned(),
                target: "anon".to_owned(),
                threads,
                seconds: 2.0,
                per_thread: vec![done; threads as usize],
                user_seconds: 1.0,
                system_seconds: 0.5 * f64::from(threads),
                ..Sample::default()
            }))
        };
        let mut run = Run::default();
        run.machine.cpus = 2;
        let text = csv(&[sample(1, 200), sample(2, 150)], &run);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0].split(',').count(), 8);
        assert_eq!(lines[1], "mmap1,anon,1,0,100.00,100,62.50,100");
        assert_eq!(lines[2], "mmap1,anon,2,0,100.00,150,50.00,200");
    }
}
