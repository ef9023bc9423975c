// SPDX-License-Identifier: GPL-2.0-only
//! Tests of the measuring tool: that it runs, that its counters fit what was done, and
//! that it finds what was planted and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{expect, scratch};
use crate::ctx::Ctx;
use crate::{exit, fsx};

const POLICIES: [&str; 5] = ["global", "region", "range", "spf-global", "spf-range"];
const KERNEL: [&str; 4] = ["anon", "shared-anon", "memfd", "file"];
/// Each with how many of the targets it makes sense on.
const WORKLOADS: [(&str, usize); 16] = [
    ("empty", 1),
    ("empty_latency", 1),
    ("page_fault1", 7),
    ("page_fault3", 7),
    ("mmap1", 9),
    ("pft", 9),
    ("pft_striped", 5),
    ("ebizzy", 9),
    ("spf_test", 9),
    ("mapbench_local", 9),
    ("mapbench_pipeline", 9),
    ("mapbench_global", 9),
    ("small_alone", 9),
    ("big_vs_small", 9),
    ("big_vs_small_paced", 9),
    ("vma_chaos", 9),
];

/// Short turns of everything, on two threads.
pub(super) fn every_workload_on_every_target(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "bench-all")?;
    let out = dir.to_string_lossy().into_owned();
    let names = WORKLOADS.map(|(name, _)| name).join(",");
    let args = [
        "bench",
        "--quick",
        "--workload",
        &names,
        "--threads",
        "2",
        "--seconds",
        "0.05",
        "--rounds",
        "1",
        "--out",
        &out,
    ];
    expect(ctx, &args, exit::PASS)?;
    let records = records(&dir)?;
    let samples: Vec<&Value> = of_kind(&records, "sample").collect();
    for (workload, targets) in WORKLOADS {
        let of_it = samples
            .iter()
            .filter(|sample| sample["workload"] == workload);
        let found: BTreeSet<_> = of_it
            .filter_map(|sample| sample["target"].as_str())
            .collect();
        ensure!(found.len() == targets, "{workload} ran on {found:?}");
    }
    for sample in &samples {
        plausible(sample).with_context(|| format!("{sample}"))?;
    }
    ensure!(of_kind(&records, "end").count() == 1, "no end");
    let run = of_kind(&records, "run").next().context("no run")?;
    ensure!(run["machine"]["config_hash"].is_string(), "{run}");
    ensure!(run["machine"]["accelerator"] != "none", "{run}");
    files_are_there(&dir, samples.len())
}

/// What was counted fits what was done.
fn plausible(sample: &Value) -> Result<()> {
    let per_thread = sample["per_thread"].as_array().context("no counts")?;
    let done: u64 = per_thread.iter().filter_map(Value::as_u64).sum();
    ensure!(per_thread.len() == 2 && done > 0, "nothing was done");
    ensure!(sample["seconds"].as_f64() > Some(0.0), "it took no time");
    let target = sample["target"].as_str().context("no target")?;
    let counter = |name: &str| sample["counters"][name].as_u64();
    let workload = sample["workload"].as_str().context("no workload")?;
    if workload.starts_with("empty") {
        return Ok(());
    }
    ensure!(POLICIES.contains(&target) || KERNEL.contains(&target));
    if KERNEL.contains(&target) {
        ensure!(
            sample["counters"] == serde_json::json!({}),
            "counters of no space"
        );
        return Ok(());
    }
    let at_least = |name: &str, least: u64| {
        let count = counter(name);
        ensure!(count >= Some(least), "{name}: {count:?}, {done} were done");
        Ok(())
    };
    match workload {
        "page_fault1" | "page_fault3" | "pft" | "pft_striped" | "spf_test" => {
            at_least("faults", done)?;
        }
        // A thread may find a page that another has touched.
        "mapbench_local" => at_least("faults", done)?,
        "mapbench_pipeline" | "mapbench_global" => at_least("faults", done / 4)?,
        "vma_chaos" => at_least("fault_no_region", 1)?,
        _ => at_least("maps", done)?,
    }
    let is_speculative = target.starts_with("spf-");
    let attempts = counter("spf_attempts").context("no attempts")?;
    let faults = counter("faults").context("no faults")?;
    match is_speculative {
        true => ensure!(attempts >= faults / 2, "{attempts} attempts of {faults}"),
        false => ensure!(attempts == 0, "{attempts} attempts without speculation"),
    }
    Ok(())
}

/// The files that are made of so many samples' records.
fn files_are_there(dir: &Path, samples: usize) -> Result<()> {
    let csv = fsx::read(&dir.join("run.csv"))?;
    let mut lines = csv.lines();
    let header = "workload,target,tasks,processes,processes_idle,threads,threads_idle,linear";
    ensure!(lines.next() == Some(header), "{csv}");
    ensure!(lines.clone().count() == samples, "{csv}");
    ensure!(lines.all(|line| line.split(',').count() == 8), "{csv}");
    let mut distributions = 0;
    for entry in fs::read_dir(dir.join("histograms"))? {
        let path = entry?.path();
        let text = fsx::read(&path)?;
        match path.extension().and_then(|e| e.to_str()) {
            Some("hgrm") => {
                distributions += 1;
                ensure!(
                    text.contains("1/(1-Percentile)") && text.contains("#[Max"),
                    "{text}"
                );
            }
            Some("hlog") => ensure!(text.contains("Tag=big_vs_small.spf-range.2,"), "no tag"),
            _ => ensure!(false, "what is {}?", path.display()),
        }
    }
    // One for the empty loop, and for each target of three workloads.
    ensure!(distributions == 1 + 3 * 9, "{distributions} distributions");
    Ok(())
}

/// Two runs that differ by nothing are the same, and 20 percent are found. Both are made
/// turn by turn beside each other, in many rounds: what else the machine does hits both.
pub(super) fn compare_finds_what_was_planted(ctx: &Ctx) -> Result<()> {
    let dir = scratch(ctx, "bench-compare")?;
    let to = dir.to_string_lossy().into_owned();
    let measure = "faultline bench --workload empty,mmap1,mapbench_local \
                   --target anon,spf-range --threads 1 --seconds 0.03 --rounds 60 --json";
    let script = format!(
        "{measure} --out /out/a --twin /out/b >/dev/null && \
         {measure} --out /out/c --twin /out/d --plant-slowdown 20 >/dev/null"
    );
    let args = ["run", "--bring", &to, "--", "sh", "-c", &script];
    expect(ctx, &args, exit::PASS)?;
    let compare = |one: &str, other: &str, code| {
        let [one, other] = [one, other].map(|name| dir.join(name).to_string_lossy().into_owned());
        let output = expect(ctx, &["bench", "compare", &one, &other, "--json"], code)?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().context("nothing was said")?;
        Ok::<Value, anyhow::Error>(serde_json::from_str(last)?)
    };
    let same = compare("a", "b", exit::PASS)?;
    ensure!(same["verdict"] == "same", "{same}");
    let slower = compare("c", "d", exit::FAIL)?;
    ensure!(slower["verdict"] == "worse", "{slower}");
    ensure!(slower["better"] == 0, "{slower}");
    ensure!(slower["worse"].as_u64() >= Some(3), "of four: {slower}");
    let said = slower["notes"].to_string();
    ensure!(said.contains("a slowdown of 20 % was planted"), "{slower}");
    Ok(())
}

fn records(dir: &Path) -> Result<Vec<Value>> {
    let text = fsx::read(&dir.join("run.jsonl"))?;
    text.lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect()
}

fn of_kind<'a>(records: &'a [Value], kind: &'static str) -> impl Iterator<Item = &'a Value> {
    records
        .iter()
        .filter(move |record| record["record"] == kind)
}
