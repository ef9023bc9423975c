// SPDX-License-Identifier: GPL-2.0-only
//! Choosing the accelerator. `/dev/kvm` can be there, open, and make a VM that
//! never runs an instruction, so the only question worth asking is a boot.

use std::collections::BTreeMap;
use std::fs::{File, read_to_string};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::qemu::Accel;
use super::{Spec, Task, machine};
use crate::ctx::{AccelChoice, Ctx};
use crate::kernel::Kernel;
use crate::{fsx, say};

/// How long the test boot may take; where KVM works it takes one second.
const DEADLINE: Duration = Duration::from_secs(5);

/// Answers of earlier test boots, by kernel and boot of the host.
type Answers = BTreeMap<String, Accel>;

/// The accelerator to use for this kernel.
pub(crate) fn choose(ctx: &Ctx, kernel: &Kernel) -> Result<Accel> {
    match ctx.global.accel {
        AccelChoice::Tcg => Ok(Accel::Tcg),
        AccelChoice::Kvm => Ok(Accel::Kvm),
        AccelChoice::Auto if !can_open_kvm() => Ok(Accel::Tcg),
        AccelChoice::Auto => match remembered(ctx, kernel) {
            Some(accel) => Ok(accel),
            None => probe(ctx, kernel),
        },
    }
}

/// What would be used without a test boot, as far as that is known.
pub(crate) fn remembered(ctx: &Ctx, kernel: &Kernel) -> Option<Accel> {
    fsx::load::<Answers>(&record(ctx))?
        .get(&key(kernel))
        .copied()
}

fn probe(ctx: &Ctx, kernel: &Kernel) -> Result<Accel> {
    say!("/dev/kvm is there; trying a boot with it");
    let mut spec = Spec::new("probe", kernel.clone(), Task::Probe);
    spec.boot_limit = DEADLINE;
    let outcome = machine::boot(ctx, &spec, Accel::Kvm)?;
    let accel = match outcome.progress.booted {
        Some(_) => Accel::Kvm,
        None => {
            say!(
                "KVM opens but does not boot a guest here: using TCG (remembered until the host reboots)"
            );
            Accel::Tcg
        }
    };
    let mut answers: Answers = fsx::load(&record(ctx)).unwrap_or_default();
    answers.insert(key(kernel), accel);
    fsx::save(&record(ctx), &answers)?;
    Ok(accel)
}

fn can_open_kvm() -> bool {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok()
}

/// A reboot may have changed the host's kernel or its settings.
fn key(kernel: &Kernel) -> String {
    let boot = read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    format!("{}@{}", kernel.key, boot.trim())
}

fn record(ctx: &Ctx) -> PathBuf {
    ctx.cached("accel.json")
}
