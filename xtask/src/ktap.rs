// SPDX-License-Identifier: GPL-2.0-only
//! Reading test results in the Kernel Test Anything Protocol.

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As it should.
    Pass,
    /// Not as it should; what it said.
    Fail(String),
    /// It did not run; why.
    Skip(String),
}

/// One result line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestResult {
    /// "group.name".
    pub(crate) name: String,
    /// How it ended.
    pub(crate) status: Status,
}

/// Reads a report; the lines with `#` before a failed result belong to it.
pub(crate) fn parse(text: &str) -> Vec<TestResult> {
    let mut results = Vec::new();
    let mut notes = Vec::new();
    for line in text.lines() {
        if let Some(result) = parse_result(line, &notes) {
            results.push(result);
            notes.clear();
        } else if let Some(note) = line.strip_prefix('#') {
            notes.push(note.trim().to_owned());
        }
    }
    results
}

/// "ok 3 group.name # SKIP reason"
fn parse_result(line: &str, notes: &[String]) -> Option<TestResult> {
    let (passed, rest) = match line.strip_prefix("not ok ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok ")?),
    };
    let (number, rest) = rest.split_once(' ')?;
    number.parse::<u32>().ok()?;
    let (name, directive) = rest.split_once('#').unwrap_or((rest, ""));
    let directive = directive.trim();
    let name = name.trim().trim_start_matches("- ");
    let status = match (directive.strip_prefix("SKIP"), passed) {
        (Some(why), _) => Status::Skip(why.trim().into()),
        (None, true) => Status::Pass,
        (None, false) => Status::Fail(if notes.is_empty() {
            directive.into()
        } else {
            notes.join("\n")
        }),
    };
    Some(TestResult {
        name: name.into(),
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "KTAP version 1
1..4
ok 1 fault.first_touch_is_zero
# window.rs:31: expected EINVAL, got 0
not ok 2 window.bad_offset
ok 3 gup.long_term # SKIP no io_uring
not ok 4 - limit.sigbus # timed out
";

    #[test]
    fn results_and_their_notes_are_read() {
        let results = parse(TEXT);
        let of = |i: usize| (results[i].name.as_str(), results[i].status.clone());
        assert_eq!(of(0), ("fault.first_touch_is_zero", Status::Pass));
        assert_eq!(
            of(1),
            (
                "window.bad_offset",
                Status::Fail("window.rs:31: expected EINVAL, got 0".into())
            )
        );
        assert_eq!(of(2), ("gup.long_term", Status::Skip("no io_uring".into())));
        assert_eq!(of(3), ("limit.sigbus", Status::Fail("timed out".into())));
    }
}
