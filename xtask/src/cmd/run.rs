// SPDX-License-Identifier: GPL-2.0-only
//! `run`: any command in the VM.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::{VmArgs, report};
use crate::ctx::Ctx;
use crate::exit::Coded;
use crate::host::busybox;
use crate::say;
use crate::vm::outcome::Outcome;
use crate::vm::{Added, Spec, Task};

/// Boot the VM, load the module, run a command, and return its exit status
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    vm: VmArgs,
    /// File to take along, executable, at GUEST or in the command's directory (may be repeated)
    #[arg(long, value_name = "HOST[:GUEST]")]
    add: Vec<String>,
    /// Seconds that the command may take
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Copy what CMD has left in /out to DIR of the host, whatever its status
    #[arg(long, value_name = "DIR")]
    bring: Option<PathBuf>,
    /// Command and its arguments
    #[arg(last = true, value_name = "CMD", default_value = "true")]
    command: Vec<OsString>,
}

impl RunArgs {
    /// Runs the command; its output goes to stdout, all else to stderr.
    pub(crate) fn run(self, ctx: &Ctx) -> Result<u8> {
        let added = added_files(&self.add)?;
        let task = Task::Run {
            argv: self.command,
            echo: true,
        };
        if let Some(dir) = &self.bring {
            must_be_no_file(dir)?;
        }
        let adjust = |spec: &mut Spec| {
            spec.added = added;
            spec.run_limit = Some(Duration::from_secs(self.timeout));
            spec.bring = self.bring.is_some();
        };
        match &self.bring {
            Some(dir) if !self.vm.dry_run => {
                let outcome = self.vm.boot(ctx, "run", task, adjust)?;
                let code = report(&outcome);
                deliver(&outcome, dir)?;
                Ok(code)
            }
            _ => self.vm.go(ctx, "run", task, adjust),
        }
    }
}

/// Fails if files cannot go to `dir`.
pub(crate) fn must_be_no_file(dir: &Path) -> Result<()> {
    match dir.exists() && !dir.is_dir() {
        true => Err(Coded::usage(format!(
            "{} is there and no directory",
            dir.display()
        ))),
        false => Ok(()),
    }
}

/// Copies what came back from the guest to `dir`, and says so.
pub(crate) fn deliver(outcome: &Outcome, dir: &Path) -> Result<()> {
    if let Some(brought) = &outcome.brought {
        brought.copy_to(dir)?;
        say!("{} brought to {}", brought.text(), dir.display());
    }
    Ok(())
}

/// Reads and checks all `--add` options.
pub(crate) fn added_files(options: &[String]) -> Result<Vec<Added>> {
    let added: Vec<Added> = options
        .iter()
        .map(|o| parse_add(o, Path::exists))
        .collect::<Result<_>>()?;
    for file in &added {
        let host = file.host.display();
        if !file.host.is_file() {
            return Err(Coded::usage(format!("--add {host}: not a file")));
        }
        if busybox::is_dynamic(&file.host) {
            say!(
                "NOTE: {host} wants shared libraries, which the guest does not have: link it statically"
            );
        }
    }
    Ok(added)
}

/// Splits `HOST[:GUEST]`. A name with a colon that `exists` is a HOST.
fn parse_add(option: &str, exists: impl Fn(&Path) -> bool) -> Result<Added> {
    let split = option
        .rsplit_once(':')
        .filter(|_| !exists(Path::new(option)));
    let (host, guest) = match split {
        Some((host, guest)) if guest.starts_with('/') => (host, guest),
        Some(_) => {
            return Err(Coded::usage(format!(
                "--add {option}: GUEST must begin with a slash, or there is no such file"
            )));
        }
        None => (option, "/root/"),
    };
    let name = Path::new(host)
        .file_name()
        .map(|n| n.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| Coded::usage(format!("--add {option}: names no file")))?;
    let guest = match guest.ends_with('/') {
        true => format!("{guest}{name}"),
        false => guest.to_owned(),
    };
    let parts: Vec<&str> = guest
        .split('/')
        .filter(|p| !p.is_empty() && *p != ".")
        .collect();
    match parts.contains(&"..") {
        true => Err(Coded::usage(format!(
            "--add {option}: GUEST may not have `..` in it"
        ))),
        false => Ok(Added {
            host: host.into(),
            guest: parts.join("/"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(option: &str) -> Result<(String, String)> {
        let added = parse_add(option, |p| p == Path::new("a:b"))?;
        Ok((added.host.display().to_string(), added.guest))
    }

    #[test]
    fn a_file_goes_where_the_command_starts() {
        assert_eq!(
            parse("out/prog").unwrap(),
            ("out/prog".into(), "root/prog".into())
        );
    }

    #[test]
    fn a_place_may_be_a_file_or_a_directory() {
        assert_eq!(parse("prog:/bin/p").unwrap().1, "bin/p");
        assert_eq!(parse("x/prog:/opt//t/").unwrap().1, "opt/t/prog");
    }

    #[test]
    fn colons_in_names_are_kept() {
        assert_eq!(parse("a:b").unwrap().0, "a:b");
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for option in ["prog:relative", "prog:/a/../b", "/"] {
            let error = parse(option).unwrap_err();
            assert_eq!(crate::exit::code_of(&error), crate::exit::USAGE, "{option}");
        }
    }
}
