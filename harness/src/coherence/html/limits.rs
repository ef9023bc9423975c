// SPDX-License-Identifier: GPL-2.0-only
//! What the hottest line allows, by the model of [`ceiling`](crate::coherence::ceiling).

use faultline_coherence::measured::Measured;
use maud::{Markup, html};

use super::chart::{Chart, Series};
use super::{MARKS, by_target};
use crate::coherence::ceiling::{Costs, LIMITS};
use crate::coherence::counted::Counted;
use crate::html::number::short;
use crate::html::table::{Table, head, missing, text};

/// The formula, and a chart and a table for each workload.
pub(super) fn section(counted: &Counted, costs: &Costs) -> Markup {
    html! {
        p {
            "A line is with one processor at a time. If h(N) is the number of sharing writes to the \
             hottest line per operation on N processors, C what a transfer takes, and T what an \
             operation takes on one processor, there are no more operations a second than"
        }
        ul class="sentences" {
            li { "the ceiling, 1 / (h(N) · C), however many processors there are, and" }
            li { "the linear ideal, N / T." }
        }
        p {
            "What is allowed is the lesser of both. They meet at T / (h · C) processors: beyond \
             these, more of them bring nothing. Here C is taken for " (costs.transfer_ns)
            " ns and T for " (costs.operation_ns) " ns, for every workload and target: an operation \
             that takes longer comes to the ceiling with more processors."
        }
        p class="note" { (LIMITS) }
        div class="charts" {
            @for workload in counted.workloads() { (chart(counted, workload, costs).figure()) }
        }
        @for workload in counted.workloads() {
            details {
                summary { (workload) ", all of it" }
                (table(counted, workload, costs).draw(&MARKS))
            }
        }
    }
}

fn chart(counted: &Counted, workload: &str, costs: &Costs) -> Chart {
    let cpus = counted.cpus(workload).into_iter();
    // First, so that the others are drawn above it.
    let ideal = Series {
        ink: "over".to_owned(),
        name: "ideal".to_owned(),
        is_measured: false,
        values: cpus.map(|count| (count, costs.ideal(count))).collect(),
    };
    let allowed = by_target(counted, workload, &|phase| costs.limit(phase).allowed);
    Chart {
        title: format!("{workload}, allowed"),
        unit: format!("{}/s", counted.unit(workload)),
        series: [ideal].into_iter().chain(allowed).collect(),
    }
}

fn table(counted: &Counted, workload: &str, costs: &Costs) -> Table {
    let targets = counted.targets();
    let phases = targets
        .iter()
        .flat_map(|target| counted.series(workload, target));
    Table {
        caption: format!("{workload}: the hottest line, and what it allows a second"),
        head: head(&[
            "target",
            "CPUs",
            "writes",
            "moves",
            "ceiling",
            "ceiling by moves",
            "ideal",
            "allowed",
            "CPUs at the ceiling",
        ]),
        names: 2,
        rows: phases.map(|phase| row(phase, costs)).collect(),
    }
}

fn row(phase: &Measured, costs: &Costs) -> Vec<Markup> {
    let limit = costs.limit(phase);
    let known = |rate: Option<f64>| rate.map_or_else(|| missing(None), |rate| text(short(rate)));
    vec![
        text(&phase.target),
        text(phase.threads.to_string()),
        text(short(limit.writes)),
        text(short(limit.moves)),
        known(limit.ceiling),
        known(limit.by_moves),
        text(short(limit.ideal)),
        text(short(limit.allowed)),
        known(limit.meet),
    ]
}
