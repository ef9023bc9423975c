// SPDX-License-Identifier: GPL-2.0-only
//! Looking for everything that is needed.

use std::path::Path;

use anyhow::{Result, bail};

use super::llvm::{self, Llvm};
use super::needs::{Need, Remedy, Scope};
use super::rust::Rustc;
use super::{apt, bindgen, busybox, qemu, which};
use crate::ctx::Ctx;
use crate::kernel::source;

/// All that `scope` needs, found or missing.
pub(crate) fn list(ctx: &Ctx, scope: Scope) -> Result<Vec<Need>> {
    let mut needs = Vec::new();
    if std::env::consts::ARCH != "x86_64" {
        bail!(
            "faultline builds and boots x86-64 kernels on x86-64 hosts only, and this is {}",
            std::env::consts::ARCH
        );
    }
    if scope.build {
        let rustc = Rustc::find()?;
        needs.extend(compilers(ctx, &rustc));
        if ctx.global.kdir.is_none() {
            needs.extend(kernel_build(ctx, &rustc));
        }
    }
    if scope.boot {
        needs.extend(vm(ctx));
    }
    if scope.trace {
        needs.push(program("trace-cmd", "tests of traces", "trace-cmd"));
    }
    Ok(needs)
}

fn need(what: &'static str, purpose: &'static str, found: Option<String>, remedy: Remedy) -> Need {
    Need {
        what,
        purpose,
        found,
        remedy,
        for_vm: false,
    }
}

fn packaged(
    what: &'static str,
    purpose: &'static str,
    found: Option<String>,
    names: &[&str],
) -> Need {
    let names = names.iter().map(|n| (*n).to_owned()).collect();
    need(what, purpose, found, Remedy::Packages(names))
}

fn program(name: &'static str, purpose: &'static str, package: &str) -> Need {
    let found = which(name).map(|p| p.display().to_string());
    packaged(name, purpose, found, &[package])
}

fn header(what: &'static str, path: &str, package: &str) -> Need {
    let dirs = ["/usr/include", "/usr/include/x86_64-linux-gnu"];
    let found = dirs
        .iter()
        .map(|d| format!("{d}/{path}"))
        .find(|p| Path::new(p).is_file());
    packaged(what, "kernel build tools", found, &[package])
}

fn compilers(ctx: &Ctx, rustc: &Rustc) -> Vec<Need> {
    let llvm = llvm::find(rustc.llvm_major);
    let major = wanted_llvm(llvm.as_ref(), rustc.llvm_major);
    let found = llvm.as_ref().filter(|l| l.major == major);
    let libclang = found
        .and_then(Llvm::libclang_dir)
        .map(|d| d.display().to_string());
    let named = |part: &str| format!("{part}-{major}");
    let tools = Remedy::Packages(["clang", "lld", "llvm"].map(named).into());
    let bindgen = bindgen::is_installed(ctx).then(|| bindgen::path(ctx).display().to_string());
    vec![
        need(
            "rustc",
            "module, harness",
            Some(rustc.text.clone()),
            Remedy::Manual("https://rustup.rs".into()),
        ),
        need(
            "clang, lld, llvm",
            "kernel, module",
            found.map(|l| l.text.clone()),
            tools,
        ),
        need(
            "libclang",
            "bindgen",
            libclang,
            Remedy::Packages(vec![format!("libclang1-{major}")]),
        ),
        program("make", "kernel, module", "make"),
        need(
            "bindgen",
            "Rust views of C headers",
            bindgen,
            Remedy::Bindgen,
        ),
    ]
}

/// The LLVM to aim for: rustc's own if it is here or can be had, else what is
/// here, else the newest that apt knows.
fn wanted_llvm(found: Option<&Llvm>, rustc_major: u32) -> u32 {
    match found {
        Some(llvm) if llvm.major == rustc_major => rustc_major,
        _ if apt::knows(&format!("clang-{rustc_major}")) => rustc_major,
        Some(llvm) => llvm.major,
        None => (17..rustc_major)
            .rev()
            .find(|m| apt::knows(&format!("clang-{m}")))
            .unwrap_or(rustc_major),
    }
}

fn kernel_build(ctx: &Ctx, rustc: &Rustc) -> Vec<Need> {
    let source = source::present(ctx).map(|s| s.origin);
    let mut needs = vec![
        program("flex", "Kconfig", "flex"),
        program("bison", "Kconfig", "bison"),
        program("bc", "kernel's timeconst.h", "bc"),
        program("perl", "kernel build scripts", "perl"),
        header("libelf", "gelf.h", "libelf-dev"),
        header("libssl", "openssl/opensslv.h", "libssl-dev"),
        header("libc headers", "stdio.h", "libc6-dev"),
    ];
    if source.is_none() {
        needs.push(program("xz", "unpacking sources", "xz-utils"));
        needs.push(program("tar", "unpacking sources", "tar"));
        let keyring = Path::new(apt::KEYRING)
            .is_file()
            .then(|| apt::KEYRING.to_owned());
        needs.push(packaged(
            "Debian's keys",
            "checking sources",
            keyring,
            &["debian-archive-keyring"],
        ));
    }
    let library = rustc.library(ctx).map(|d| d.display().to_string());
    needs.push(need(
        "Rust's library source",
        "kernel",
        library,
        Remedy::RustSource,
    ));
    needs.push(need(
        "kernel source",
        "kernel",
        source,
        Remedy::KernelSource,
    ));
    needs
}

fn vm(ctx: &Ctx) -> [Need; 2] {
    let (found, remedy) = qemu::look(ctx);
    let shell = busybox::find().map(|p| p.display().to_string());
    let needs = [
        need("qemu", "the VM", found, remedy),
        packaged(
            "static busybox",
            "the VM's shell and tools",
            shell,
            &["busybox-static"],
        ),
    ];
    needs.map(|need| Need {
        for_vm: true,
        ..need
    })
}
