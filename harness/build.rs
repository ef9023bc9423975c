// SPDX-License-Identifier: GPL-2.0-only
//! Generates the Rust view of the UAPI header, so that nothing of the
//! interface is typed a second time.
//!
//! bindgen does not evaluate `_IOWR()`, and it has no notion of "every policy
//! there is". Both are read off the header here: for each request a C constant
//! is declared, whose value clang computes, and the policies become a table.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// `FAULTLINE_POLICY_` is also the prefix of the flags of the POLICY call.
const POLICY_FLAGS: [&str; 1] = ["SET"];

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let header = manifest.join("../module/uapi/faultline.h");
    println!("cargo::rerun-if-changed={}", header.display());
    println!("cargo::rerun-if-changed=build.rs");

    let text = fs::read_to_string(&header)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", header.display()));
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#define FAULTLINE_"))
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();

    bindgen::Builder::default()
        .header_contents("requests.h", &requests(&header.to_string_lossy(), &text))
        .allowlist_item("faultline_.*|FAULTLINE_.*")
        .layout_tests(true)
        .derive_default(true)
        .generate_cstr(true)
        .prepend_enum_name(false)
        .generate()
        .unwrap_or_else(|error| panic!("bindgen on {}: {error}", header.display()))
        .write_to_file(out.join("uapi.rs"))
        .expect("cannot write uapi.rs");
    fs::write(out.join("policies.rs"), policies(&names)).expect("cannot write policies.rs");
}

/// A C file with one constant `FAULTLINE_REQUEST_X` for each `FAULTLINE_IOC_X`
/// that is a request.
fn requests(header: &str, text: &str) -> String {
    let mut c = format!("#include \"{header}\"\n");
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("#define") {
            continue;
        }
        let (Some(name), Some(value)) = (words.next(), words.next()) else {
            continue;
        };
        if let Some(call) = name.strip_prefix("FAULTLINE_IOC_") {
            if value.starts_with("_IO") {
                writeln!(
                    c,
                    "static const unsigned long FAULTLINE_REQUEST_{call} = {name};"
                )
                .expect("a string takes everything");
            }
        }
    }
    c
}

/// The table of policies: the number from the header, the name from its macro.
fn policies(names: &[&str]) -> String {
    let mut rust = String::from("pub(crate) const POLICIES: &[(u32, &str)] = &[\n");
    for policy in names.iter().filter_map(|name| name.strip_prefix("POLICY_")) {
        if POLICY_FLAGS.contains(&policy) {
            continue;
        }
        let name = policy.to_ascii_lowercase().replace('_', "-");
        writeln!(rust, "    (FAULTLINE_POLICY_{policy}, \"{name}\"),")
            .expect("a string takes everything");
    }
    rust + "];\n"
}
