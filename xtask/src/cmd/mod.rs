// SPDX-License-Identifier: GPL-2.0-only
//! The commands, one file each, and the options that several share.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod build_and_load;
pub(crate) mod clean;
pub(crate) mod coherence;
pub(crate) mod doctor;
pub(crate) mod run;
pub(crate) mod shell;
pub(crate) mod stress;
pub(crate) mod test;
pub(crate) mod trace;

use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::ctx::Ctx;
use crate::host::needs::Scope;
use crate::kernel::{self, Flavour};
use crate::module::Variant;
use crate::pipeline;
use crate::vm::outcome::Outcome;
use crate::vm::qemu::Accel;
use crate::vm::rundir::RunDir;
use crate::vm::{Spec, Task, accel, machine, qemu};
use crate::{exit, say, step};

/// How to boot.
#[derive(Args, Clone, Debug)]
pub(crate) struct VmArgs {
    /// Kernel to boot
    #[arg(long, value_enum, default_value = "base")]
    pub(crate) kernel: Flavour,
    /// Virtual processors
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) smp: u32,
    /// Memory of the guest, such as 512M or 4G [default: 2G, debug kernel 3G]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) mem: Option<String>,
    /// Build of the module to load
    #[arg(long, value_enum, default_value = "plain")]
    pub(crate) module: Variant,
    /// Parameter of the module, as NAME=VALUE
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param)]
    pub(crate) params: Vec<String>,
    /// Seconds that the guest may take to load the module [default: 60, debug kernel 180]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) boot_timeout: Option<u64>,
    /// Print what would be run, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A number followed by M or G, in QEMU's meaning.
fn parse_size(text: &str) -> Result<String, String> {
    let number = text.strip_suffix(['M', 'G', 'm', 'g']).unwrap_or_default();
    match number.parse::<u32>() {
        Ok(1..) => Ok(text.to_ascii_uppercase()),
        _ => Err("not a number followed by M or G".into()),
    }
}

/// One word that insmod and the shell take as it is.
fn parse_param(text: &str) -> Result<String, String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_=,.-".contains(c);
    match text.contains('=') && text.chars().all(safe) {
        true => Ok(text.into()),
        false => Err("not NAME=VALUE of letters, digits and _ , . -".into()),
    }
}

impl VmArgs {
    /// Turns a boot's description into what these options ask for.
    fn apply(&self, spec: &mut Spec) {
        spec.smp = self.smp;
        spec.mem.clone_from(&self.mem);
        spec.params.clone_from(&self.params);
        if let Some(seconds) = self.boot_timeout {
            spec.boot_limit = Duration::from_secs(seconds);
        }
    }

    /// Builds, boots, lets `adjust` complete the description, and reports;
    /// the status is the process's. A dry run only prints.
    pub(crate) fn go(
        &self,
        ctx: &Ctx,
        title: &str,
        task: Task,
        adjust: impl FnOnce(&mut Spec),
    ) -> Result<u8> {
        if self.dry_run {
            return self.dry_run(ctx, title, task, adjust);
        }
        Ok(report(&self.boot(ctx, title, task, adjust)?))
    }

    /// Builds and boots, whether a dry run was asked for or not.
    pub(crate) fn boot(
        &self,
        ctx: &Ctx,
        title: &str,
        task: Task,
        adjust: impl FnOnce(&mut Spec),
    ) -> Result<Outcome> {
        let built = pipeline::build(ctx, Scope::ALL, self.kernel, &[self.module])?;
        let mut spec = built.spec(title, task);
        self.apply(&mut spec);
        adjust(&mut spec);
        let accel = accel::choose(ctx, &spec.kernel)?;
        machine::boot(ctx, &spec, accel)
    }

    fn dry_run(
        &self,
        ctx: &Ctx,
        title: &str,
        task: Task,
        adjust: impl FnOnce(&mut Spec),
    ) -> Result<u8> {
        let mut spec = Spec::new(title, kernel::planned(ctx, self.kernel)?, task);
        self.apply(&mut spec);
        adjust(&mut spec);
        let (accel, why) = match (ctx.global.accel, accel::remembered(ctx, &spec.kernel)) {
            (crate::ctx::AccelChoice::Kvm, _) => (Accel::Kvm, "asked for"),
            (crate::ctx::AccelChoice::Tcg, _) => (Accel::Tcg, "asked for"),
            (_, Some(accel)) => (accel, "found by an earlier test boot"),
            (_, None) => (Accel::Tcg, "unless a test boot finds that KVM works"),
        };
        say!("dry run: nothing is built or started; accelerator {accel:?} ({why})");
        let dir = RunDir::name(ctx, title);
        println!(
            "{}",
            step::show(&qemu::command(&ctx.global.qemu, accel, &spec, &dir))
        );
        Ok(exit::PASS)
    }
}

/// Prints what was wrong and where everything is.
pub(crate) fn report(outcome: &Outcome) -> u8 {
    let verdict = outcome.verdict();
    for reason in &verdict.reasons {
        say!("FAILED: {reason}");
    }
    say!("console and results: {}", outcome.dir.path().display());
    verdict.code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(parse_size("512m").as_deref(), Ok("512M"));
        assert!(parse_size("2").is_err());
        assert!(parse_size("0G").is_err());
        assert!(parse_size("G").is_err());
        assert!(parse_size("-1G").is_err());
    }

    #[test]
    fn parameters_are_single_words() {
        assert!(parse_param("limit=5").is_ok());
        assert!(parse_param("limit").is_err());
        assert!(parse_param("a=$(reboot)").is_err());
    }
}
