// SPDX-License-Identifier: GPL-2.0-only
//! apt: the host's for packages, and a private one for sources.
//!
//! The private one has its own sources list, lists directory and archive in
//! the cache, so suites that the host does not use can be read without
//! changing the host. The host's `apt.conf.d` stays in force (proxies), and
//! apt checks every signature against Debian's archive keyring.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::debian::{Offer, parse_madison};
use super::which;
use crate::ctx::Ctx;
use crate::fsx;
use crate::step::{Step, output};

/// Debian's keys, from the package debian-archive-keyring.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Where the host's apt finds more sources.
const HOST_PARTS: &str = "/etc/apt/sources.list.d";
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
/// Suites under their rolling names, so that this list does not age.
const SUITES: [&str; 4] = ["stable", "stable-backports", "testing", "unstable"];

/// Refreshes the lists of the host's apt.
pub(crate) fn update(ctx: &Ctx) -> Result<()> {
    tolerant_update(ctx, "apt-get update", &["update"])
}

fn tolerant_update(ctx: &Ctx, title: &str, args: &[&str]) -> Result<()> {
    // A third party's source that does not answer must not stop the install.
    host(ctx, title, args).or_else(|e| {
        crate::signal::check()?;
        crate::say!("{e:#}\n  going on with the lists that are there");
        Ok(())
    })
}

/// Installs packages with the host's apt.
pub(crate) fn install(ctx: &Ctx, packages: &[String]) -> Result<()> {
    let mut args = vec!["install", "--no-install-recommends"];
    args.extend(packages.iter().map(String::as_str));
    host(ctx, "apt-get install", &args)
}

/// Installs packages of a suite that the host's apt may not read, with what
/// they depend on: for this once apt reads that suite too, and nothing stays of
/// it in the host's apt but its lists, until the next update.
pub(crate) fn install_from(ctx: &Ctx, suite: &str, packages: &[String]) -> Result<()> {
    let parts = ctx.cached("apt").join(suite);
    fsx::make_dir(&parts)?;
    for part in fs::read_dir(HOST_PARTS).into_iter().flatten().flatten() {
        let is_read = matches!(part.path().extension(), Some(e) if e == "list" || e == "sources");
        if is_read {
            fsx::write_atomic(&parts.join(part.file_name()), fs::read(part.path())?)?;
        }
    }
    let mirror = ctx.global.mirror.clone().unwrap_or_else(host_mirror);
    let line = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
    fsx::write_atomic(&parts.join("faultline.list"), line)?;
    let parts = format!("Dir::Etc::sourceparts={}", parts.display());
    let reading = ["-o", &parts, "update"];
    tolerant_update(ctx, &format!("apt-get update with {suite}"), &reading)?;
    let mut args = vec![
        "-o",
        &parts,
        "install",
        "--no-install-recommends",
        "-t",
        suite,
    ];
    args.extend(packages.iter().map(String::as_str));
    host(ctx, &format!("apt-get install -t {suite}"), &args)
}

/// The version that the host's apt would install, without its epoch.
pub(crate) fn candidate(package: &str) -> Option<String> {
    let text = output(Command::new("apt-cache").args(["policy", package])).ok()?;
    let mut lines = text.lines();
    let version = lines.find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    (version != "(none)").then(|| version.to_owned())
}

fn host(ctx: &Ctx, title: &str, args: &[&str]) -> Result<()> {
    let mut command = as_root("apt-get");
    command
        .args(["-y", "-o", "DPkg::Lock::Timeout=120"])
        .args(args);
    Step::new(ctx, title, command).foreground().run()
}

fn as_root(program: &str) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            sudo.arg("-n");
        }
        sudo.args(["--preserve-env=DEBIAN_FRONTEND", program]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Whether the host's apt would find a package of this name.
pub(crate) fn knows(package: &str) -> bool {
    candidate(package).is_some()
}

/// An apt of our own.
pub(crate) struct PrivateApt {
    dir: PathBuf,
}

impl PrivateApt {
    /// Whether this host can run it at all.
    pub(crate) fn possible() -> bool {
        ["apt-get", "apt-cache", "dpkg-deb"]
            .iter()
            .all(|t| which(t).is_some())
            && Path::new(KEYRING).is_file()
    }

    /// Sets it up in the cache and fetches the package indexes.
    pub(crate) fn open(ctx: &Ctx) -> Result<Self> {
        if !Self::possible() {
            bail!(
                "Debian's archive cannot be read here: apt, dpkg and {KEYRING} (package debian-archive-keyring) are needed; or give --kdir DIR"
            );
        }
        let apt = Self {
            dir: ctx.cached("apt"),
        };
        let mirror = ctx.global.mirror.clone().unwrap_or_else(host_mirror);
        let updated = apt.dir.join("updated");
        if is_fresh(&updated, &mirror) {
            return Ok(apt);
        }
        let rolling = SUITES.map(str::to_owned);
        apt.configure(&mirror, &rolling)?;
        apt.update(ctx, "reading Debian's package lists")?;
        // A mirror may serve an older state under a rolling name than under
        // the release's own, so both are read.
        let named: Vec<String> = rolling.into_iter().chain(apt.codenames()?).collect();
        apt.configure(&mirror, &named)?;
        apt.update(ctx, "reading Debian's package lists by codename")?;
        fsx::write_atomic(&updated, &mirror)?;
        Ok(apt)
    }

    fn update(&self, ctx: &Ctx, title: &str) -> Result<()> {
        let mut update = self.command("apt-get");
        update.args(["update", "--allow-releaseinfo-change"]);
        match Step::new(ctx, title, update).run() {
            // One suite that has gone must not hide the others.
            Err(e) if self.has_lists() => {
                crate::signal::check()?;
                crate::say!("{e:#}\n  going on with the lists that are there");
                Ok(())
            }
            other => other.context("Debian's archive could not be read (is there a network?)"),
        }
    }

    fn has_lists(&self) -> bool {
        let lists = fs::read_dir(self.dir.join("lists")).into_iter().flatten();
        lists
            .flatten()
            .any(|e| e.file_name().to_string_lossy().contains("_Packages"))
    }

    /// The codenames that the rolling names stand for today.
    fn codenames(&self) -> Result<Vec<String>> {
        let lists = fs::read_dir(self.dir.join("lists"))?;
        let mut names: Vec<String> = lists
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with("InRelease"))
            .filter_map(|path| codename(&fs::read_to_string(path).ok()?))
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn configure(&self, mirror: &str, suites: &[String]) -> Result<()> {
        for part in ["lists/partial", "archives/partial"] {
            fsx::make_dir(&self.dir.join(part))?;
        }
        let dir = self.dir.display();
        let line = |suite: &String| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        let sources: String = suites.iter().map(line).collect();
        let user = env::var("USER").unwrap_or_else(|_| "root".into());
        fsx::write_atomic(&self.dir.join("sources.list"), sources)?;
        fsx::write_atomic(&self.dir.join("status"), "")?;
        // The cache is the user's: apt's unprivileged user could not enter it.
        fsx::write_atomic(
            &self.dir.join("apt.conf"),
            format!(
                "Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
                 Dir::Etc::sourceparts \"-\";\n\
                 Dir::Etc::preferences \"-\";\n\
                 Dir::Etc::preferencesparts \"-\";\n\
                 Dir::State \"{dir}\";\n\
                 Dir::State::lists \"{dir}/lists\";\n\
                 Dir::State::status \"{dir}/status\";\n\
                 Dir::Cache \"{dir}\";\n\
                 Dir::Cache::archives \"{dir}/archives\";\n\
                 APT::Architecture \"amd64\";\n\
                 APT::Architectures {{ \"amd64\"; }};\n\
                 APT::Sandbox::User \"{user}\";\n\
                 Acquire::Languages \"none\";\n\
                 Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
                 Acquire::Retries \"3\";\n"
            ),
        )
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf"));
        command
    }

    /// Names of the packages that start with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let text = output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// All versions of these packages.
    pub(crate) fn offers(&self, packages: &[String]) -> Result<Vec<Offer>> {
        if packages.is_empty() {
            return Ok(Vec::new());
        }
        let table = output(self.command("apt-cache").arg("madison").args(packages))?;
        Ok(parse_madison(&table))
    }

    /// Downloads a package and unpacks it into `target`.
    pub(crate) fn unpack(&self, ctx: &Ctx, offer: &Offer, target: &Path) -> Result<()> {
        let Offer { package, version } = offer;
        let staged = fsx::staging_dir(&self.dir.join(offer.dir_name()))?;
        let mut download = self.command("apt-get");
        download
            .args(["download", &format!("{package}={version}")])
            .current_dir(&staged);
        Step::new(ctx, format!("downloading {package} {version}"), download).run()?;
        let deb = fs::read_dir(&staged)?
            .filter_map(|e| Some(e.ok()?.path()))
            .find(|p| p.extension().is_some_and(|e| e == "deb"))
            .with_context(|| format!("apt-get download left no package in {}", staged.display()))?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(deb).arg(target);
        Step::new(ctx, format!("unpacking {package}"), unpack).run()?;
        fsx::remove(&staged)
    }
}

/// The codename that a suite's release file gives.
fn codename(release: &str) -> Option<String> {
    release
        .lines()
        .find_map(|line| line.strip_prefix("Codename: "))
        .map(|name| name.trim().to_owned())
}

/// Whether this mirror was read a short while ago: by this command, most likely,
/// which gets two packages.
fn is_fresh(path: &Path, mirror: &str) -> bool {
    let written = path.metadata().and_then(|meta| meta.modified()).ok();
    let age = written.and_then(|time| time.elapsed().ok());
    let recent = age.is_some_and(|age| age < Duration::from_secs(600));
    recent && fs::read_to_string(path).is_ok_and(|last| last == mirror)
}

/// The Debian mirror that the host's own apt uses, if it does.
fn host_mirror() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir(HOST_PARTS).into_iter().flatten();
    files.extend(parts.filter_map(|e| Some(e.ok()?.path())));
    files.sort();
    files
        .iter()
        .filter_map(|file| find_mirror(&fs::read_to_string(file).ok()?))
        .next()
        .unwrap_or_else(|| DEFAULT_MIRROR.into())
}

/// The first address ending in `/debian` of a sources file of either format.
fn find_mirror(sources: &str) -> Option<String> {
    sources
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.contains("://") && word.ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codenames_are_read_from_release_files() {
        let release = "Origin: Debian\nSuite: stable-backports\nCodename: trixie-backports\n";
        assert_eq!(codename(release).as_deref(), Some("trixie-backports"));
        assert_eq!(codename("Origin: Debian\n"), None);
    }

    #[test]
    fn mirrors_are_found_in_both_formats() {
        let new = "Types: deb\nURIs: https://mirror.example/debian/\nSuites: bookworm\n";
        let old = "# deb http://no.example/debian x\ndeb [arch=amd64] http://old.example/debian bookworm main\n";
        assert_eq!(
            find_mirror(new).as_deref(),
            Some("https://mirror.example/debian")
        );
        assert_eq!(
            find_mirror(old).as_deref(),
            Some("http://old.example/debian")
        );
        assert_eq!(find_mirror("deb http://x.example/ubuntu noble main"), None);
        assert_eq!(
            find_mirror("URIs: http://deb.debian.org/debian-security"),
            None
        );
    }
}
