// SPDX-License-Identifier: GPL-2.0-only
//! One boot under the plugin, and what was counted in it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use faultline_coherence::measured::Measured;

use super::join::Taken;
use super::library;
use super::lines::Lines;
use super::rounds;
use super::symbols::Symbols;
use crate::ctx::Ctx;
use crate::exit::Coded;
use crate::host::qemu;
use crate::host::toolchain::Toolchain;
use crate::module::Variant;
use crate::pipeline::Built;
use crate::vm::outcome::Outcome;
use crate::vm::plugin::Plugin;
use crate::vm::qemu::Accel;
use crate::vm::{Task, machine};
use crate::{exit, say};

/// More processors than so many have more memory: where that is scarce, the lists of free
/// pages that each has are short, and all take pages of one that is everybody's.
const FEW: u32 = 16;
const MUCH: &str = "8G";

/// What is counted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Virtual processors, each with a thread.
    pub(crate) cpus: u32,
    /// Pages that each thread touches.
    pub(crate) pages: u64,
    /// How often all of it is done; each phase that is kept is the median.
    pub(crate) rounds: u32,
    /// Work, separated by commas; all if none is named.
    pub(crate) workload: Option<String>,
    /// Targets, separated by commas; all if none is named.
    pub(crate) target: Option<String>,
    /// No work that has threads sleep for each other.
    pub(crate) calm: bool,
    /// How long it may take behind the boot.
    pub(crate) limit: Duration,
    /// The build of the module.
    pub(crate) variant: Variant,
    /// Its parameters.
    pub(crate) params: Vec<String>,
}

/// A boot, and what was counted if it passed.
pub(crate) struct Measurement {
    pub(crate) outcome: Outcome,
    pub(crate) phases: Vec<Measured>,
}

/// Boots, counts, and names what was counted.
pub(crate) fn measure(ctx: &Ctx, built: &Built, wanted: &Wanted) -> Result<Measurement> {
    if let Some(why) = qemu::refuses_plugin(ctx) {
        return Err(Coded::unavailable(why));
    }
    let tools = Toolchain::find(ctx)?;
    let plugin = Plugin {
        library: library(ctx, &tools)?,
        map: built.kernel.dir.join("System.map"),
    };
    let task = Task::Run {
        argv: ["sh", "-c", &script(wanted)].map(Into::into).to_vec(),
        echo: false,
    };
    let mut spec = built.spec("coherence", task);
    spec.smp = wanted.cpus;
    if wanted.cpus > FEW {
        spec.mem = Some(MUCH.into());
    }
    spec.bring = true;
    spec.run_limit = Some(wanted.limit);
    // Every access costs a call: several times as slow.
    spec.boot_limit *= 4;
    spec.load = Some(wanted.variant);
    spec.params.clone_from(&wanted.params);
    spec.plugin = Some(plugin);
    let outcome = machine::boot(ctx, &spec, Accel::Tcg)?;
    let mut phases = Vec::new();
    if outcome.verdict().code == exit::PASS {
        let module = built.modules.iter().find(|m| m.variant == wanted.variant);
        let module = module.context("the module was not built")?.path.clone();
        phases = named(&outcome, &tools.llvm.symbolizer(), module)?;
        if let Some(phase) = phases.iter().find(|phase| phase.counted.beyond != 0) {
            bail!(
                "{} accesses of {} on {} are not in what was counted: they are beyond the table",
                phase.counted.beyond,
                phase.workload,
                phase.target
            );
        }
    }
    let phases = rounds::medians(phases);
    Ok(Measurement { outcome, phases })
}

fn named(outcome: &Outcome, symbolizer: &str, module: PathBuf) -> Result<Vec<Measured>> {
    let brought = outcome.brought.as_ref();
    let dir = &brought.context("the guest brought nothing")?.dir;
    let read = |path: PathBuf| {
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let symbols = Symbols::parse(&read(dir.join("kallsyms"))?);
    let guest = read(dir.join("phases.jsonl"))?;
    let taken = Taken::read(&guest, &read(outcome.dir.coherence())?, symbols)?;
    let text = read(dir.join("text"))?;
    let text = u64::from_str_radix(text.trim().trim_start_matches("0x"), 16);
    let text = text.context("where the module's code begins")?;
    let lines = Lines::find(symbolizer, &module, text, taken.instructions());
    // It may not be installed: then functions have to do.
    let lines = lines.unwrap_or_else(|error| {
        say!("no lines of source: {error:#}");
        Lines::default()
    });
    Ok(taken.measured(&lines))
}

fn script(wanted: &Wanted) -> String {
    let lists = [
        ("--workload", &wanted.workload),
        ("--target", &wanted.target),
    ];
    let lists = lists.map(|(name, list)| match list {
        Some(list) => format!(" {name} {}", quoted(list)),
        None => String::new(),
    });
    // Real-time threads would make room for others now and then; these do not.
    // RCU's thread would read every processor's state, which lies in one line with its batches
    // of pages, once a grace period is a few ticks old: now at a second (more is cut to that).
    // A processor that idles is not seen before; who waits for RCU is not to wait so long.
    // And each second what a processor has of free pages is given back, be that early in a
    // phase or late: here it is not.
    format!(
        "echo -1 >/proc/sys/kernel/sched_rt_runtime_us && \
         for runtime in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do \
         [ -e $runtime ] || continue; read -r ns <$runtime; \
         [ $ns = 0 ] || echo 0 >$runtime || exit; done; \
         echo 1 >/sys/kernel/rcu_expedited && \
         echo 1000 >/sys/module/rcutree/parameters/jiffies_till_first_fqs && \
         echo 3600 >/proc/sys/vm/stat_interval && \
         faultline coherence --threads {} --pages {} --rounds {}{}{} >/out/phases.jsonl && \
         cat /proc/kallsyms >/out/kallsyms && \
         cat /sys/module/faultline/sections/.text >/out/text",
        wanted.cpus,
        wanted.pages,
        wanted.rounds,
        if wanted.calm { " --calm" } else { "" },
        lists.concat()
    )
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_word_whatever_is_in_it() {
        assert_eq!(quoted("a'; reboot"), "'a'\\''; reboot'");
    }
}
