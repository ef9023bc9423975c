// SPDX-License-Identifier: GPL-2.0-only
//! The QEMU that boots the VM.

use std::fs::read_to_string;
use std::path::PathBuf;
use std::process::Command;

use super::debian::numbers;
use super::needs::Remedy;
use super::{apt, which};
use crate::ctx::{AccelChoice, Ctx};
use crate::step::output;

/// The package that has it.
const PACKAGE: &str = "qemu-system-x86";

/// The oldest that emulates several processors well enough. Before it, one of
/// them may translate code that another is changing and keep the old bytes
/// ("accel/tcg: Always lock pages before translation", in 8.1): a kernel that
/// patches itself, as when a trace event is switched on, then dies of a
/// breakpoint of the patch ("Oops: int3"), under 7.2 within 150 switches of all
/// scheduler events beside a load, under 10.0 once in 21 loops of 3 s (see
/// ARCHITECTURE, "The VM").
const OLDEST: [u32; 2] = [8, 1];

/// The oldest that can tell a plugin what is in the guest's memory (its interface 4).
const OLDEST_FOR_PLUGINS: [u32; 2] = [9, 2];

/// An installed QEMU.
struct Qemu {
    path: PathBuf,
    /// "10.0.2".
    version: String,
}

impl Qemu {
    fn find(ctx: &Ctx) -> Option<Self> {
        let path = which(&ctx.global.qemu)?;
        let text = output(Command::new(&path).arg("--version")).ok()?;
        let version = version(&text)?.to_owned();
        Some(Self { path, version })
    }

    fn is_fit(&self, ctx: &Ctx) -> bool {
        // Hardware has no translations to keep.
        matches!(ctx.global.accel, AccelChoice::Kvm) || is_new_enough(&self.version)
    }
}

/// The version of the one that there is.
pub(crate) fn found_version(ctx: &Ctx) -> Option<String> {
    Qemu::find(ctx).map(|qemu| qemu.version)
}

/// Why the plugin that counts cache lines cannot be loaded, if so.
pub(crate) fn refuses_plugin(ctx: &Ctx) -> Option<String> {
    let version = found_version(ctx)?;
    let [major, minor] = OLDEST_FOR_PLUGINS;
    (numbers(&version) < OLDEST_FOR_PLUGINS.to_vec()).then(|| {
        format!("QEMU {version}: counting cache lines takes {major}.{minor} or later (--qemu)")
    })
}

/// What there is, and how to get what is wanted.
pub(crate) fn look(ctx: &Ctx) -> (Option<String>, Remedy) {
    let here = Qemu::find(ctx);
    let remedy = remedy(ctx, here.as_ref());
    let fit = here.filter(|qemu| qemu.is_fit(ctx));
    let found = fit.map(|qemu| format!("{} ({})", qemu.path.display(), qemu.version));
    (found, remedy)
}

fn remedy(ctx: &Ctx, here: Option<&Qemu>) -> Remedy {
    let [major, minor] = OLDEST;
    if ctx.global.qemu.components().count() > 1 {
        let named = "--qemu or FAULTLINE_QEMU names";
        return Remedy::Manual(match here {
            None => format!("{named} a file that is not there or is no QEMU"),
            Some(Qemu { version, .. }) => format!(
                "{named} QEMU {version}; emulating a kernel with several processors takes {major}.{minor} or later"
            ),
        });
    }
    let packages = vec![PACKAGE.to_owned()];
    match (apt::candidate(PACKAGE), backports()) {
        (Some(version), _) if is_new_enough(&version) => Remedy::Packages(packages),
        (_, Some(suite)) => Remedy::Suite { suite, packages },
        _ => Remedy::Manual(format!("install QEMU {major}.{minor} or later")),
    }
}

fn is_new_enough(version: &str) -> bool {
    numbers(version) >= OLDEST.to_vec()
}

/// The number in QEMU's answer to `--version`.
fn version(answer: &str) -> Option<&str> {
    let rest = answer.split_once("version ")?.1;
    let version = rest.split_whitespace().next()?;
    (!numbers(version).is_empty()).then_some(version)
}

/// The suite in which Debian has newer packages for this host's release.
fn backports() -> Option<String> {
    backports_of(&read_to_string("/etc/os-release").ok()?)
}

fn backports_of(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        let mut lines = os_release.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim_matches('"')))
    };
    let codename = field("VERSION_CODENAME=")?;
    (field("ID=") == Some("debian")).then(|| format!("{codename}-backports"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright";
        assert_eq!(version(debian), Some("10.0.2"));
        assert_eq!(version("BusyBox v1.35"), None);
        assert!(is_new_enough("10.0.2"));
        assert!(is_new_enough("8.1.0"));
        assert!(!is_new_enough("8.0.5"));
        assert!(!is_new_enough("7.2.22"));
    }

    #[test]
    fn only_debian_has_its_backports() {
        let of = |id: &str| backports_of(&format!("VERSION_CODENAME=bookworm\nID={id}\n"));
        assert_eq!(of("debian").as_deref(), Some("bookworm-backports"));
        assert_eq!(of("ubuntu"), None);
    }
}
