// SPDX-License-Identifier: GPL-2.0-only
//! Tests without a VM: formatting, lints, unit tests, and the proofs of the
//! portable algorithms.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use super::Suite;
use super::c::{self, Language};
use crate::ctx::Ctx;
use crate::harness;
use crate::host::needs::{self, Scope};
use crate::host::toolchain::Toolchain;
use crate::ktap::Status;
use crate::step::{self, Step};

/// The library of the portable algorithms.
const PORTABLE: &str = "faultline-portable";
/// The same for model checking.
const LOOM: &str = "faultline-portable-loom";

/// Name, title and arguments of each that needs no other toolchain.
const STAGES: [(&str, &str, &[&str]); 4] = [
    (
        "host.fmt",
        "cargo fmt --check",
        &["fmt", "--all", "--check"],
    ),
    (
        "host.clippy",
        "cargo clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "faultline-coherence/plugin",
            "--",
            "-D",
            "warnings",
        ],
    ),
    (
        "host.unit",
        "cargo test",
        &["test", "--workspace", "--exclude", LOOM],
    ),
    (
        "host.loom",
        "model checking",
        &["test", "--package", LOOM, "--", "--test-threads=1"],
    ),
];

/// How much the random tests and the model checker look at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tier {
    /// What fits between two changes.
    Short,
    /// Some minutes.
    Long,
}

impl Tier {
    fn apply(self, command: &mut Command) {
        match self {
            Self::Short => {}
            Self::Long => {
                command
                    .env("FAULTLINE_LONG", "1")
                    .env("FAULTLINE_CASES", "50000");
            }
        }
    }
}

/// Runs all of them that are wanted.
pub(crate) fn run(suite: &mut Suite<'_>, tier: Tier) -> Result<()> {
    for (name, title, args) in STAGES {
        suite.case(name, |ctx| cargo(ctx, title, args, tier))?;
    }
    suite.case("host.fmt_modules", format_of_modules)?;
    suite.case("host.doc", |ctx| documentation(ctx, tier))?;
    suite.case("host.client", |ctx| client_alone(ctx, tier))?;
    suite.case("host.header.c", |ctx| c::header(ctx, Language::C))?;
    suite.case("host.header.cxx", |ctx| c::header(ctx, Language::Cxx))?;
    suite.case("host.tsan", |ctx| thread_sanitizer(ctx, tier))?;
    suite.case("host.miri", miri)
}

fn cargo(ctx: &Ctx, title: &str, args: &[&str], tier: Tier) -> Result<Status> {
    let mut cargo = ready_cargo(ctx)?;
    cargo.args(args);
    tier.apply(&mut cargo);
    Step::new(ctx, title, cargo).run()?;
    Ok(Status::Pass)
}

/// A cargo that can build the harness: its build script runs bindgen, and so needs
/// libclang.
fn ready_cargo(ctx: &Ctx) -> Result<Command> {
    {
        let _lock = ctx.lock()?;
        needs::ensure(ctx, Scope::BUILD)?;
    }
    Ok(harness::cargo(ctx, &Toolchain::find(ctx)?))
}

/// The documentation, in which every link leads somewhere, and its examples. The
/// client's is for its users, who do not see what is private; all else is for those
/// who work on it.
fn documentation(ctx: &Ctx, tier: Tier) -> Result<Status> {
    const CLIENT: [&str; 2] = ["--package", "harness"];
    const REST: [&str; 4] = [
        "--workspace",
        "--exclude",
        "harness",
        "--document-private-items",
    ];
    let private = "-D warnings -A rustdoc::private-intra-doc-links";
    let parts = [
        ("cargo doc of the client", &CLIENT[..], "-D warnings"),
        ("cargo doc", &REST[..], private),
    ];
    for (title, args, lints) in parts {
        let mut cargo = ready_cargo(ctx)?;
        cargo.args(["doc", "--no-deps"]).args(args);
        cargo.env("RUSTDOCFLAGS", lints);
        Step::new(ctx, title, cargo).run()?;
    }
    let examples = ["test", "--package", "harness", "--doc"];
    cargo(ctx, "examples in the documentation", &examples, tier)
}

/// The client library as a runtime has it, without the tools: it is whole, passes
/// its tests, and depends on libc alone.
fn client_alone(ctx: &Ctx, tier: Tier) -> Result<Status> {
    const ALONE: [&str; 3] = ["--package", "harness", "--no-default-features"];
    let lints = [
        &["clippy", "--all-targets"],
        &ALONE[..],
        &["--", "-D", "warnings"],
    ];
    cargo(ctx, "cargo clippy of the client", &lints.concat(), tier)?;
    let tests = [&["test", "--lib", "--test", "handlers"], &ALONE[..]];
    cargo(ctx, "tests of the client", &tests.concat(), tier)?;
    let mut tree = ready_cargo(ctx)?;
    tree.arg("tree").args(ALONE);
    tree.args(["--edges", "normal", "--prefix", "none", "--format", "{lib}"]);
    let packages = step::output(&mut tree)?;
    let packages: Vec<&str> = packages.lines().filter(|l| !l.is_empty()).collect();
    ensure!(
        packages == ["faultline", "libc"],
        "the client depends on more than libc: {packages:?}"
    );
    Ok(Status::Pass)
}

/// The modules are in no package, so cargo does not know them.
fn format_of_modules(ctx: &Ctx) -> Result<Status> {
    // The one of the toolchain that has the cargo: there may be no other.
    let cargo = harness::cargo(ctx, &Toolchain::find(ctx)?);
    let mut rustfmt = Command::new(Path::new(cargo.get_program()).with_file_name("rustfmt"));
    rustfmt
        .args(["--check", "--edition", "2021"])
        .args(["module/faultline_main.rs", "module/torture_main.rs"])
        .current_dir(&ctx.repo);
    Step::new(ctx, "rustfmt --check of the modules", rustfmt).run()?;
    Ok(Status::Pass)
}

/// The stress test of the range lock under ThreadSanitizer. The standard
/// library is not built for it, which the test knows.
fn thread_sanitizer(ctx: &Ctx, tier: Tier) -> Result<Status> {
    if !has_nightly(&["rustc", "--version"]) {
        return Ok(Status::Skip("rustup has no nightly toolchain".into()));
    }
    let mut cargo = nightly_cargo(ctx);
    cargo
        .args(["test", "--package", PORTABLE, "--test", "range_lock_stress"])
        .args(["--target", harness::TARGET, "--target-dir"])
        .arg(ctx.cached("tsan"))
        .env(
            "RUSTFLAGS",
            "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
        );
    tier.apply(&mut cargo);
    Step::new(ctx, "stress under ThreadSanitizer", cargo).run()?;
    Ok(Status::Pass)
}

/// The unit tests of the portable algorithms under Miri, with few cases: it is
/// some hundred times slower.
fn miri(ctx: &Ctx) -> Result<Status> {
    if !has_nightly(&["cargo", "miri", "--version"]) {
        return Ok(Status::Skip(
            "rustup has no nightly toolchain with the component miri".into(),
        ));
    }
    let mut cargo = nightly_cargo(ctx);
    cargo
        .args(["miri", "test", "--package", PORTABLE, "--lib"])
        .arg("--target-dir")
        .arg(ctx.cached("miri"))
        // To read PROPTEST_CASES, and the clock.
        .env("MIRIFLAGS", "-Zmiri-disable-isolation")
        .env("PROPTEST_CASES", "4");
    Step::new(ctx, "unit tests under Miri", cargo).run()?;
    Ok(Status::Pass)
}

/// Whether this command of the nightly toolchain works.
fn has_nightly(command: &[&str]) -> bool {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly"]).args(command);
    step::output(&mut rustup).is_ok()
}

/// A nightly cargo in the clone.
fn nightly_cargo(ctx: &Ctx) -> Command {
    let mut cargo = Command::new("rustup");
    cargo.args(["run", "nightly", "cargo"]);
    cargo.current_dir(&ctx.repo);
    if ctx.global.offline {
        cargo.arg("--offline");
    }
    cargo
}
