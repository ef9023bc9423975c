// SPDX-License-Identifier: GPL-2.0-only
//! The header, and what is written with it, in C and C++.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::ctx::Ctx;
use crate::host::needs::{self, Scope};
use crate::host::toolchain::Toolchain;
use crate::host::which;
use crate::ktap::Status;
use crate::step::Step;

/// Checks the layout of all structures.
const HEADER_TEST: &str = "harness/tests/header.c";
/// An example, which is C and C++.
const EXAMPLE: &str = "harness/examples/arena.c";
/// What a program with the strictest habits is compiled with.
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
/// For the same layout on 32 bits; the C library of these need not be there.
const ON_32_BITS: [&str; 4] = [
    "-m32",
    "-ffreestanding",
    "-isystem",
    "/usr/include/x86_64-linux-gnu",
];

/// C11 and C++17, as compilers are told.
#[derive(Clone, Copy)]
pub(super) enum Language {
    C,
    Cxx,
}

impl Language {
    const fn args(self) -> [&'static str; 3] {
        match self {
            Self::C => ["-x", "c", "-std=c11"],
            Self::Cxx => ["-x", "c++", "-std=c++17"],
        }
    }

    /// The host's own compiler.
    const fn compiler(self) -> &'static str {
        match self {
            Self::C => "cc",
            Self::Cxx => "c++",
        }
    }
}

/// Compiles the header by itself and the example, by each compiler that is here:
/// the kernel's clang is, and the host's own C compiler, which links Rust programs.
pub(super) fn header(ctx: &Ctx, language: Language) -> Result<Status> {
    {
        let _lock = ctx.lock()?;
        needs::ensure(ctx, Scope::BUILD)?;
    }
    let clang = Toolchain::find(ctx)?.llvm.clang();
    let own = which(language.compiler()).map(|_| language.compiler().to_owned());
    for compiler in own.into_iter().chain([clang.clone()]) {
        for file in [HEADER_TEST, EXAMPLE] {
            check(ctx, &compiler, language, file, &[])?;
        }
    }
    check(ctx, &clang, language, HEADER_TEST, &ON_32_BITS)?;
    Ok(Status::Pass)
}

fn check(ctx: &Ctx, compiler: &str, language: Language, file: &str, more: &[&str]) -> Result<()> {
    let mut command = strict(ctx, compiler, language);
    command.args(more).arg("-fsyntax-only").arg(file);
    Step::new(ctx, format!("{compiler} {file}"), command).run()
}

/// Builds the example, statically linked: the guest has no shared libraries.
pub(super) fn example(ctx: &Ctx, program: &Path) -> Result<()> {
    let mut command = strict(ctx, Language::C.compiler(), Language::C);
    command.args(["-O2", "-pthread", "-static", "-o"]);
    command.arg(program).arg(EXAMPLE);
    Step::new(ctx, "compiling the example in C", command).run()
}

fn strict(ctx: &Ctx, compiler: &str, language: Language) -> Command {
    let mut command = Command::new(compiler);
    command
        .current_dir(&ctx.repo)
        .args(language.args())
        .args(STRICT)
        .args(["-I", "module/uapi"]);
    command
}
