// SPDX-License-Identifier: GPL-2.0-only
//! The house rules that no other tool checks. Each test lists every line that
//! breaks its rule.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a Rust file, at most.
const LONGEST: usize = 500;
/// How far above an `unsafe` its SAFETY comment may begin.
const SAFETY_REACH: usize = 6;
/// Where the module may be `unsafe`.
const UNSAFE_ROOM: &str = "module/kern/";
/// Files outside that room that may be too, each with the reason.
///
/// The range lock links what stands on the stacks of other tasks; the models use its
/// spin lock.
const UNSAFE_EXCEPTIONS: [&str; 11] = [
    "module/driver/device.rs",
    "module/loom/tests/shared/lock.rs",
    "module/portable/range_lock/guard.rs",
    "module/portable/range_lock/release.rs",
    "module/portable/range_lock/request.rs",
    "module/portable/range_lock/shards.rs",
    "module/portable/range_lock/tree.rs",
    "module/portable/range_lock/waiter.rs",
    "module/seam/loom.rs",
    "module/seam/std.rs",
    "module/tests/range_lock_stress.rs",
];

/// One file of the project.
struct Source {
    /// Relative to the top folder.
    path: String,
    text: String,
}

impl Source {
    fn is(&self, extensions: &[&str]) -> bool {
        let extension = Path::new(&self.path).extension().and_then(|e| e.to_str());
        extension.is_some_and(|e| extensions.contains(&e))
    }

    /// Numbered lines, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, l)| (i + 1, l))
    }
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text file, without what git ignores and hidden directories other than
/// those that belong to the project.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(top().join(&dir))
            .expect("a readable tree")
            .flatten()
        {
            let path = dir.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                if !matches!(name.as_str(), ".git" | "target" | "results") {
                    todo.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                let path = path.to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust_sources() -> Vec<Source> {
    sources().into_iter().filter(|s| s.is(&["rs"])).collect()
}

/// Fails with all that was found.
fn none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Lines of `files` that `breaks` objects to.
fn lines_that(files: &[Source], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files {
        let lines = file.lines().filter(|(_, line)| breaks(line));
        broken.extend(lines.map(|(n, line)| format!("{}:{n}: {}", file.path, line.trim())));
    }
    broken
}

/// A line without its comment and without what string literals say.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut in_string = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_string => {
                chars.next();
            }
            '"' => in_string = !in_string,
            '/' if !in_string && chars.peek() == Some(&'/') => break,
            c if !in_string => code.push(c),
            _ => {}
        }
    }
    code
}

/// Whether `word` stands in `code` by itself.
fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|w| w == word)
}

#[test]
fn rust_files_are_short() {
    let long: Vec<String> = rust_sources()
        .iter()
        .map(|s| (s, s.text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(s, lines)| format!("{}: {lines} lines", s.path))
        .collect();
    none(&long, "a Rust file has at most 500 lines");
}

#[test]
fn portable_code_names_neither_kernel_nor_std() {
    let mut portable = rust_sources();
    portable.retain(|s| s.path.starts_with("module/portable/") && !s.path.ends_with("/tests.rs"));
    for file in &mut portable {
        // Unit tests come last in a file, and run in userspace only.
        let end = file.text.find("#[cfg(test)]").unwrap_or(file.text.len());
        file.text.truncate(end);
    }
    let broken = lines_that(&portable, |line| {
        let code = code(line);
        ["kernel", "std"]
            .iter()
            .any(|root| code.contains(&format!("{root}::")) && has_word(&code, root))
    });
    none(
        &broken,
        "module/portable/ takes all it needs from its seam modules",
    );
}

#[test]
fn the_module_is_unsafe_in_one_room_only() {
    let mut safe = rust_sources();
    safe.retain(|s| {
        let exception = UNSAFE_EXCEPTIONS.contains(&s.path.as_str());
        s.path.starts_with("module/") && !s.path.starts_with(UNSAFE_ROOM) && !exception
    });
    let broken = lines_that(&safe, |line| has_word(&code(line), "unsafe"));
    none(
        &broken,
        "unsafe code of the module belongs into module/kern/",
    );
}

#[test]
fn unsafe_is_justified() {
    let mut broken = Vec::new();
    for file in rust_sources() {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let above = &lines[at.saturating_sub(SAFETY_REACH)..=at];
            if needs_safety(&code(line)) && !above.iter().any(|l| l.contains("SAFETY:")) {
                broken.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    none(
        &broken,
        "an unsafe block or impl has a SAFETY comment above it",
    );
}

/// Blocks and impls; functions and traits state their terms in `# Safety`.
fn needs_safety(code: &str) -> bool {
    code.split("unsafe").skip(1).any(|rest| {
        let rest = rest.trim_start();
        rest.starts_with('{') || rest.starts_with("impl")
    })
}

#[test]
fn sources_name_their_licence() {
    let broken: Vec<String> = sources()
        .into_iter()
        .filter(|s| s.is(&["rs", "c", "h", "sh"]))
        .filter(|s| {
            let lines = s.text.lines().skip_while(|l| l.starts_with("#!"));
            !lines
                .take(1)
                .any(|l| l.contains("SPDX-License-Identifier: GPL-2.0"))
        })
        .map(|s| s.path)
        .collect();
    none(&broken, "the first line is an SPDX licence");
}

#[test]
fn nothing_is_put_off() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
    ];
    let broken = lines_that(&sources(), |line| {
        marks.iter().any(|mark| has_word(line, mark))
    });
    none(&broken, "a mark of unfinished work");
}

#[test]
fn rust_has_no_tabs_or_trailing_blanks() {
    let broken = lines_that(&rust_sources(), |line| {
        line.contains('\t') || line.ends_with(char::is_whitespace)
    });
    none(&broken, "a tab, or blanks at the end");
}

#[test]
fn kernel_options_are_well_formed() {
    let mut fragments = sources();
    fragments.retain(|s| s.path.starts_with("kconfig/"));
    assert!(!fragments.is_empty());
    none(
        &lines_that(&fragments, |line| !is_option_or_comment(line)),
        "not an option",
    );
}

fn is_option_or_comment(line: &str) -> bool {
    let name = |text: &str| {
        text.strip_prefix("CONFIG_").is_some_and(|n| {
            n.bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        })
    };
    if let Some(rest) = line.strip_prefix("# CONFIG_") {
        let option = format!("CONFIG_{rest}");
        return option.strip_suffix(" is not set").is_some_and(name);
    }
    match line.split_once('=') {
        _ if line.is_empty() || line.starts_with('#') => true,
        Some((option, value)) => name(option) && !value.is_empty() && !value.contains(' '),
        None => false,
    }
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = fs::read_to_string(top().join("README.md")).expect("README.md");
    for command in ["cargo xtask build-and-load", "cargo xtask test"] {
        assert!(
            readme.contains(command),
            "README.md does not say `{command}`"
        );
    }
}

#[test]
fn no_path_of_one_machine_is_named() {
    let places = [
        concat!("/tmp", "/w/"),
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/."),
    ];
    let broken = lines_that(&sources(), |line| {
        places.iter().any(|place| line.contains(place))
    });
    none(&broken, "a path that only one machine has");
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(
        code(r#"let a = "unsafe // x"; b // unsafe"#),
        "let a = ; b "
    );
    assert!(needs_safety("let x = unsafe { f() };"));
    assert!(needs_safety("unsafe impl Send for X {}"));
    assert!(!needs_safety("pub unsafe fn f() {"));
    assert!(is_option_or_comment("# CONFIG_A is not set"));
    assert!(is_option_or_comment("CONFIG_A=y"));
    assert!(!is_option_or_comment("# CONFIG_A=y"));
    assert!(!is_option_or_comment("CONFIG_A =y"));
}
