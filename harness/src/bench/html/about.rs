// SPDX-License-Identifier: GPL-2.0-only
//! What was measured, and on what.

use maud::{Markup, html};

use super::number;
use super::page::Page;
use crate::bench::record::{Run, Workload};

/// Warnings that have to be seen before any figure.
pub(super) fn warnings(page: &Page<'_>) -> Markup {
    let machine = &page.data.run.machine;
    html! {
        @if let Some(caveat) = machine.caveat() {
            p class="warning" {
                strong { (caveat) "." }
                " These figures are of an emulated machine. What is compared here was measured \
                 side by side, so ratios may tell something; no figure says how fast real \
                 hardware is."
            }
        }
        @if machine.checked_kernel {
            p class="warning" {
                strong { "Checked kernel: figures worthless." }
                " This kernel checks itself (KASAN or lockdep), which costs more than what is \
                 measured. Use the report to see that all of it runs, and for nothing else."
            }
        }
        @if let Some(percent) = page.data.run.planted_slowdown {
            p class="warning" {
                strong { "Slowed down on purpose." }
                " Work of this run was slowed down by " (percent) " %, to see whether that is found."
            }
        }
        @match page.data.end {
            None => p class="warning" {
                strong { "This run broke off." }
                " It has no end, so later rounds, or whole workloads, may be missing."
            },
            Some(_) => {}
        }
    }
}

/// What was not measured, and why.
fn skipped(page: &Page<'_>) -> Markup {
    let reasons = page.data.end.map(|end| end.reasons()).unwrap_or_default();
    html! {
        @if !reasons.is_empty() {
            h3 { "Not measured" }
            dl class="facts" {
                @for (workload, why, targets) in reasons {
                    dt { (workload) } dd { "on " (targets.join(", ")) ": " (why) }
                }
            }
        }
    }
}

/// The machine and the run.
pub(super) fn section(page: &Page<'_>) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in facts(page) { dt { (name) } dd { (value) } }
        }
        (skipped(page))
        h3 { "Workloads" }
        dl class="facts" {
            @for workload in &page.data.run.workloads { (described(workload)) }
        }
        h3 { "Targets" }
        (page.legend())
        dl class="facts" {
            @for target in page.data.targets {
                dt { (target.name) }
                dd {
                    (target.about)
                    @if target.kernel { " " span class="kind" { "kernel's own memory" } }
                }
            }
        }
        p {
            "The figures that this page is made of are the JSON Lines file beside it: a record \
             for each turn."
        }
    }
}

fn described(workload: &Workload) -> Markup {
    html! {
        dt { (workload.name) }
        dd {
            (workload.about.trim_end_matches('.')) ". Counted in " (workload.unit) "."
            @if let Some(of) = &workload.latency_of { " Latency of each " (of) "." }
            @if workload.interference { " " span class="kind" { "interference" } }
            @if workload.empty { " " span class="kind" { "overhead of the harness" } }
        }
    }
}

fn facts(page: &Page<'_>) -> Vec<(&'static str, String)> {
    let run: &Run = page.data.run;
    let machine = &run.machine;
    let accelerator = match machine.accelerator.as_str() {
        "none" => "none: real hardware",
        other => other,
    };
    let module: Vec<String> = machine
        .module
        .iter()
        .map(|(k, v)| format!("{k} {v}"))
        .collect();
    let took = match page.data.end {
        Some(end) => format!("{:.0} s", end.seconds),
        None => "broke off".to_owned(),
    };
    vec![
        ("Began", number::date(run.began)),
        ("Took", took),
        ("Command", run.command_line.join(" ")),
        ("Seed", run.seed.to_string()),
        (
            "Preset",
            format!(
                "{}; rounds: {}; turns of {} ms",
                run.preset, run.rounds, run.turn_ms
            ),
        ),
        ("Kernel", machine.kernel.clone()),
        (
            "Kernel's configuration",
            machine.config_hash.as_ref().map_or_else(
                || "not shown by the kernel".to_owned(),
                |hash| format!("SHA-256 {hash}"),
            ),
        ),
        ("Accelerator", accelerator.to_owned()),
        (
            "Processor",
            format!("{} × {}", machine.cpus, machine.cpu_model),
        ),
        (
            "Memory",
            format!("{:.1} GiB", machine.memory as f64 / f64::from(1 << 30)),
        ),
        (
            "Module",
            if module.is_empty() {
                "says nothing".to_owned()
            } else {
                module.join(", ")
            },
        ),
        ("faultline", machine.harness.clone()),
    ]
}
