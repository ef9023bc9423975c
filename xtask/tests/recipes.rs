// SPDX-License-Identifier: GPL-2.0-only
//! The recipes in `scripts/` name events and fields that there are, and their syntax is
//! right.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Fields by event.
type Events = BTreeMap<String, Vec<String>>;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of `scripts/DIR`, with this ending.
fn recipes(dir: &str, ending: &str) -> Vec<PathBuf> {
    let dir = top().join("scripts").join(dir);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == ending));
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

/// What stands in parentheses behind `macro_name(`, up to the matching one.
fn bodies<'a>(text: &'a str, macro_name: &str) -> Vec<&'a str> {
    let call = format!("\n{macro_name}(");
    text.match_indices(&call)
        .map(|(at, _)| {
            let body = &text[at + call.len()..];
            let mut depth = 1;
            let end = body.find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            &body[..end.expect("a parenthesis that is closed")]
        })
        .collect()
}

/// The arguments of all calls of `name` in `text`, by their numbers.
fn arguments(text: &str, name: &str, number: usize) -> Vec<String> {
    let call = format!("{name}(");
    let calls = text.split(&call).skip(1);
    let argument = |call: &str| {
        let inside = call.split(')').next()?;
        Some(inside.split(',').nth(number)?.trim().to_owned())
    };
    calls.filter_map(argument).collect()
}

fn events() -> Events {
    let mut events = Events::new();
    for header in ["trace.h", "trace_space.h"] {
        let text = read(&top().join("module/kern").join(header));
        let mut classes = Events::new();
        let name = |body: &str, number| {
            let word = body.split(',').nth(number).unwrap_or_default();
            word.trim().to_owned()
        };
        for body in bodies(&text, "DECLARE_EVENT_CLASS") {
            classes.insert(name(body, 0), arguments(body, "__field", 1));
        }
        for body in bodies(&text, "TRACE_EVENT") {
            events.insert(name(body, 0), arguments(body, "__field", 1));
        }
        for body in bodies(&text, "DEFINE_EVENT") {
            let fields = classes[&name(body, 0)].clone();
            events.insert(name(body, 1), fields);
        }
    }
    events
}

/// Words that begin with `faultline_`, with `a_(b|c)` taken apart.
fn events_named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("faultline_") {
        let rest = &text[at..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        match behind.strip_prefix('(').and_then(|b| b.split_once(')')) {
            Some((endings, _)) => {
                named.extend(endings.split('|').map(|ending| format!("{word}{ending}")));
            }
            None => named.push(word.to_owned()),
        }
    }
    named
}

#[test]
fn the_headers_are_understood() {
    let events = events();
    assert_eq!(
        events["faultline_range_released"],
        ["lock", "start", "end", "write"]
    );
    assert_eq!(events["faultline_zap"], ["space", "first", "pages"]);
    assert!(events["faultline_fault_aborted"].contains(&"cause".to_owned()));
    assert!(events.len() >= 14, "{events:?}");
    let text = "/ faultline_range_(released|got): / faultline_zap:";
    let named = [
        "faultline_range_released",
        "faultline_range_got",
        "faultline_zap",
    ];
    assert_eq!(events_named(text), named);
}

#[test]
fn recipes_name_events_that_there_are() {
    let events = events();
    for file in [recipes("bpftrace", "bt"), recipes("trace-cmd", "sh")].concat() {
        for name in events_named(&read(&file)) {
            assert!(
                events.contains_key(&name),
                "{}: there is no event {name}",
                file.display()
            );
        }
    }
}

#[test]
fn bpftrace_recipes_use_fields_that_their_events_have() {
    let events = events();
    for file in recipes("bpftrace", "bt") {
        let text = read(&file);
        let probes: Vec<&str> = text.split("tracepoint:faultline:").skip(1).collect();
        assert!(!probes.is_empty(), "{}", file.display());
        for probe in probes {
            let (name, body) = probe.split_once('\n').expect("a probe has a body");
            let body = body.split("\n}").next().unwrap_or_default();
            for used in body.split("args->").skip(1) {
                let field: String = used
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                assert!(
                    events[name.trim()].contains(&field),
                    "{}: {name} has no field {field}",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn trace_cmd_recipes_look_for_what_events_print() {
    let headers = ["trace.h", "trace_space.h"].map(|h| read(&top().join("module/kern").join(h)));
    for file in recipes("trace-cmd", "sh") {
        let text = read(&file);
        let keys = text.split("match($0, / ").skip(1);
        let keys = keys.filter_map(|rest| rest.split_once("=[").map(|(key, _)| key));
        let keys = keys.chain(
            text.split("= of(\"")
                .skip(1)
                .filter_map(|r| r.split('"').next()),
        );
        for key in keys {
            let printed = headers.iter().any(|h| h.contains(&format!("{key}=")));
            assert!(printed, "{}: no event prints {key}=", file.display());
        }
    }
}

#[test]
fn shell_recipes_are_shell() {
    for file in recipes("trace-cmd", "sh") {
        let output = Command::new("sh").arg("-n").arg(&file).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", file.display());
        // Each says how it is used.
        let output = Command::new("sh").arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{}", file.display());
    }
}
