// SPDX-License-Identifier: GPL-2.0-only
//! A counted run as a page, or as a section of the benchmark's report.
//!
//! * `chart`: values by processors, a line for each target.
//! * `lines`: the hottest lines.
//! * `limits`: what the hottest line allows.

mod chart;
mod limits;
mod lines;
#[cfg(test)]
mod tests;

use faultline_coherence::measured::Measured;
use maud::{Markup, html};

use self::chart::{Chart, Series};
use super::ceiling::Costs;
use super::counted::Counted;
use super::{KERNELS, words};
use crate::Policy;
use crate::html::table::{ink, legend};
use crate::html::{document, number};

/// What every chart and table has to be read with.
const MARKS: [&str; 1] = ["counted under emulation"];

/// The whole page.
pub(super) fn page(counted: &Counted, costs: &Costs) -> String {
    let body = html! {
        header {
            h1 { "faultline coherence" }
            p {
                "Cache lines that several processors write, under each policy of the module and in \
                 the kernel's own memory."
            }
        }
        main { section id="coherence" { h2 { "Cache lines" } (section(counted, costs)) } }
    };
    let title = format!("faultline coherence: {}", counted.run.kernel);
    document(&title, &body)
}

/// What is below the heading of a section.
pub(super) fn section(counted: &Counted, costs: &Costs) -> Markup {
    let sharing = |phase: &Measured| phase.per_operation(phase.counted.sharing_writes);
    let moves = |phase: &Measured| phase.per_operation(phase.counted.transfers);
    let targets = counted.targets();
    let inks = targets
        .iter()
        .map(|target| (target_ink(target), *target, ""));
    html! {
        p class="note" { (words::NOTE) }
        dl class="facts" {
            @for (name, value) in facts(counted) { dt { (name) } dd { (value) } }
        }
        (legend(inks))
        h3 { "Sharing writes" }
        p class="note" { "What is 0 stands at the foot of a logarithmic axis." }
        (charts(counted, "sharing writes", &sharing))
        h3 { "Moves" }
        p class="note" {
            "As they happened to be interleaved here: on as many real processors there are more."
        }
        (charts(counted, "moves", &moves))
        h3 { "What limits it" }
        (limits::section(counted, costs))
        h3 { "The hottest lines" }
        (lines::section(counted))
    }
}

fn facts(counted: &Counted) -> [(&'static str, String); 7] {
    let run = &counted.run;
    let cpus: Vec<_> = run.cpus.iter().map(u32::to_string).collect();
    [
        ("Began", number::date(run.began)),
        ("Kernel", run.kernel.clone()),
        ("Emulator", format!("QEMU {}", run.qemu)),
        ("Processors, and threads", cpus.join(", ")),
        ("Pages of each thread", number::count(run.pages)),
        ("Shown", words::rounds(run.rounds)),
        ("Workloads", counted.workloads().join(", ")),
    ]
}

/// A chart for each workload, of a value per operation.
fn charts(counted: &Counted, what: &str, value: &dyn Fn(&Measured) -> f64) -> Markup {
    let chart = |workload: &str| Chart {
        title: workload.to_owned(),
        unit: format!("{what} per {}", counted.unit(workload)),
        series: by_target(counted, workload, value),
    };
    html! {
        div class="charts" {
            @for workload in counted.workloads() { (chart(workload).figure()) }
        }
    }
}

/// A value of all phases of a workload.
fn by_target(counted: &Counted, workload: &str, value: &dyn Fn(&Measured) -> f64) -> Vec<Series> {
    let of_target = |target: &str| {
        let phases = counted.series(workload, target).into_iter();
        Series {
            ink: target_ink(target),
            name: target.to_owned(),
            is_measured: true,
            values: phases.map(|phase| (phase.threads, value(phase))).collect(),
        }
    };
    let all = counted.targets().into_iter().map(of_target);
    all.filter(|series| !series.values.is_empty()).collect()
}

/// The colour of a target: that of the benchmark's report, if that is of all targets.
fn target_ink(target: &str) -> String {
    let policy: Result<Policy, _> = target.parse();
    let place = policy
        .ok()
        .and_then(|named| Policy::all().position(|policy| policy == named));
    let of_kernel = || KERNELS.iter().position(|(name, _)| *name == target);
    match place {
        Some(before) => ink(false, before),
        None => ink(true, of_kernel().unwrap_or(KERNELS.len())),
    }
}
