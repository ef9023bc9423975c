// SPDX-License-Identifier: GPL-2.0-only
//! The guard of C10, on what the plugin counts: a successful speculative fault writes, in
//! code of the module or of its objects, no line that a fault on another leaf by another
//! processor also writes. Modules that do must be found, and what they do named.

use std::time::Duration;

use anyhow::Result;
use faultline_coherence::measured::{Hot, Kind, Measured};

use super::Suite;
use crate::coherence::measure::{Measurement, Wanted, measure};
use crate::ctx::Ctx;
use crate::exit;
use crate::host::needs::Scope;
use crate::host::qemu;
use crate::kernel::Flavour;
use crate::ktap::Status;
use crate::module::Variant;
use crate::pipeline;

/// Processors, each with a thread that faults in a leaf of its own.
const CPUS: u32 = 4;
/// Writes to a line by a fault that are none: what is done once for many faults, such as to
/// take a stock of pages.
const NONE: f64 = 0.02;

/// A module that is wrong on purpose, and what has to be said of it.
struct Planted {
    mistake: &'static str,
    is_truly_shared: bool,
    /// Where the write is.
    file: &'static str,
}

const PLANTED: [Planted; 2] = [
    Planted {
        mistake: "shared_count",
        is_truly_shared: true,
        file: "module/driver/precision.rs",
    },
    Planted {
        mistake: "share_line",
        is_truly_shared: false,
        file: "module/driver/mistake.rs",
    },
];

/// All of it.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    suite.case("vm.coherence.guard", |ctx| {
        if let Some(why) = qemu::refuses_plugin(ctx) {
            return Ok(Status::Skip(why));
        }
        let Measurement { outcome, phases } = count(ctx, Variant::Plain, "")?;
        let problems = match outcome.verdict() {
            verdict if verdict.code != exit::PASS => verdict.reasons,
            _ if phases.is_empty() => vec!["nothing was counted".into()],
            _ => phases.iter().flat_map(problems).collect(),
        };
        Ok(match problems.is_empty() {
            true => Status::Pass,
            false => Status::Fail(problems.join("\n")),
        })
    })?;
    for planted in &PLANTED {
        suite.case(&format!("vm.coherence.{}", planted.mistake), |ctx| {
            if let Some(why) = qemu::refuses_plugin(ctx) {
                return Ok(Status::Skip(why));
            }
            let busted = format!("busted={}", planted.mistake);
            let Measurement { outcome, phases } = count(ctx, Variant::Busted, &busted)?;
            let verdict = outcome.verdict();
            let is_found = phases.iter().any(|phase| planted.is_found_in(phase));
            Ok(match verdict.code {
                exit::PASS if is_found => Status::Pass,
                exit::PASS => {
                    let seen: Vec<String> = phases.iter().flat_map(problems).collect();
                    Status::Fail(format!("not found, but:\n{}", seen.join("\n")))
                }
                _ => Status::Fail(verdict.reasons.join("\n")),
            })
        })?;
    }
    Ok(())
}

fn count(ctx: &Ctx, variant: Variant, param: &str) -> Result<Measurement> {
    let built = pipeline::build(ctx, Scope::ALL, Flavour::Base, &[variant])?;
    let params = [param].into_iter().filter(|param| !param.is_empty());
    let wanted = Wanted {
        cpus: CPUS,
        pages: 256,
        rounds: 1,
        workload: Some("pft,pft_striped".into()),
        target: Some("spf-range,spf-global".into()),
        calm: false,
        limit: Duration::from_secs(300),
        variant,
        params: params.map(str::to_owned).collect(),
    };
    measure(ctx, &built, &wanted)
}

/// Lines that several processors write for many of their faults, by the module or in it.
fn offenders(phase: &Measured) -> impl Iterator<Item = &Hot> {
    phase.of_module.iter().filter(|line| {
        let by_module = line.code.iter().filter(|code| code.module.is_some());
        let writes = match line.owner.kind {
            Kind::Module => line.writes,
            _ => by_module.map(|code| code.writes).sum(),
        };
        line.writers > 1 && phase.per_operation(writes) >= NONE
    })
}

fn problems(phase: &Measured) -> Vec<String> {
    let describe = |line: &Hot| {
        let by = line.code.first();
        format!(
            "{}, {}: {} processors write {} {:.2} times a fault, first of all {}, {}",
            phase.workload,
            phase.target,
            line.writers,
            line.owner.name,
            phase.per_operation(line.writes),
            by.map_or("unknown code", |code| &code.function),
            by.and_then(|code| code.line.as_deref())
                .unwrap_or("line unknown"),
        )
    };
    offenders(phase).map(describe).collect()
}

impl Planted {
    fn is_found_in(&self, phase: &Measured) -> bool {
        offenders(phase).any(|line| {
            let mut places = line.code.iter().filter_map(|code| code.line.as_deref());
            line.is_truly_shared == self.is_truly_shared
                && line.owner.kind == Kind::Module
                && places.any(|place| place.starts_with(self.file))
        })
    }
}

#[cfg(test)]
mod tests {
    use faultline_coherence::measured::{Code, Owner};

    use super::*;

    fn phase(writers: u32, writes: u64, kind: Kind) -> Measured {
        let code = Code {
            function: "fault".into(),
            module: Some("faultline".into()),
            line: Some("module/driver/precision.rs:1".into()),
            writes,
            ..Code::default()
        };
        let line = Hot {
            writers,
            writes,
            is_truly_shared: true,
            owner: Owner {
                kind,
                name: "Space".into(),
            },
            code: vec![code],
            ..Hot::default()
        };
        Measured {
            operations: 100,
            of_module: vec![line],
            ..Measured::default()
        }
    }

    #[test]
    fn a_line_that_many_faults_of_several_processors_write_is_a_problem() {
        assert_eq!(problems(&phase(4, 100, Kind::Module)).len(), 1);
        assert_eq!(problems(&phase(4, 100, Kind::Slab)).len(), 1);
        assert_eq!(problems(&phase(1, 100, Kind::Module)).len(), 0);
        assert_eq!(problems(&phase(4, 1, Kind::Module)).len(), 0);
        assert_eq!(problems(&phase(4, 10, Kind::Module)).len(), 1);
    }

    #[test]
    fn what_was_planted_has_to_be_told_as_what_it_is() {
        let found = phase(4, 100, Kind::Module);
        let is_found = |planted: &Planted| planted.is_found_in(&found);
        assert_eq!(PLANTED.each_ref().map(is_found), [true, false]);
    }
}
