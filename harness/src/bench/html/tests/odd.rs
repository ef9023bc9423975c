// SPDX-License-Identifier: GPL-2.0-only
//! Records with gaps, with names that are markup, and such as no run leaves.

use super::*;
use crate::bench::html::Error;

#[test]
fn what_was_skipped_is_said_with_its_reason() {
    let mut records = records(&Shape::small());
    records.retain(
        |r| !matches!(r, Record::Sample(s) if s.workload == "page_fault1" && s.target == "anon"),
    );
    if let Some(Record::End(end)) = records.last_mut() {
        let why = "no memory for <it>".to_owned();
        end.skipped
            .push(("page_fault1".to_owned(), "anon".to_owned(), 2, why));
    }
    let page = page(&records);
    assert!(page.contains("no memory for &lt;it&gt;"));
    assert!(
        page.contains(">skipped</span>"),
        "in its place in the table"
    );
    parsed(&page);
}

#[test]
fn names_are_not_taken_for_markup() {
    let mut records = records(&Shape::small());
    let evil = "<script>\"&'\u{1}\u{1b}]]>--\u{ffff}";
    let run = run(&mut records);
    run.command_line.push(evil.to_owned());
    run.machine.kernel = evil.to_owned();
    run.machine.config_hash = Some(evil.to_owned());
    run.workloads[0].name = evil.to_owned();
    run.workloads[0].unit = evil.to_owned();
    run.workloads[1].latency_of = Some(evil.to_owned());
    run.targets[0].name = evil.to_owned();
    run.targets[0].about = evil.to_owned();
    for sample in samples(&mut records) {
        for (name, old) in [
            (&mut sample.workload, "page_fault1"),
            (&mut sample.target, "global"),
        ] {
            if name == old {
                *name = evil.to_owned();
            }
        }
        sample.extra.insert(evil.to_owned(), 1.0);
        sample.vmstat.insert(evil.to_owned(), 1);
    }
    let page = page(&records);
    assert!(!page.contains("<script"));
    let doc = parsed(&page);
    let shown = "<script>\"&'\u{fffd}\u{fffd}]]>--\u{fffd}";
    assert!(
        table(&doc, "All figures")
            .iter()
            .any(|row| row[0] == shown && row[1] == shown)
    );
}

#[test]
fn what_is_missing_is_no_reason_to_fail() {
    let mut no_time = records(&Shape::small());
    samples(&mut no_time).for_each(|s| s.seconds = 0.0);
    let mut idle = records(&Shape::two_processors());
    samples(&mut idle).for_each(|s| s.per_thread.fill(0));
    let mut bare = records(&Shape::two_processors());
    for sample in samples(&mut bare) {
        sample.histogram = None;
        sample.counters.clear();
        sample.vmstat.clear();
    }
    let mut gaps = records(&Shape::two_processors());
    let mut at = 0;
    gaps.retain(|record| {
        at += 1;
        !matches!(record, Record::Sample(_)) || at % 3 == 0
    });
    let few = |targets, workloads| Shape {
        targets,
        workloads,
        ..Shape::small()
    };
    let one_target = records(&few(1, 1));
    let no_target = records(&few(0, 0));
    let only_empty = {
        let mut all = records(&few(6, 3));
        all.retain(|r| !matches!(r, Record::Sample(s) if s.workload != "empty loop"));
        all
    };
    for records in [no_time, idle, bare, gaps, one_target, no_target, only_empty] {
        let page = page(&records);
        parsed(&page);
        for not in ["NaN", "inf", "-0"] {
            let found = page
                .split(|c: char| !(c.is_alphanumeric() || c == '-'))
                .any(|word| word == not);
            assert!(!found, "{not}");
        }
    }
}

#[test]
fn latencies_that_cannot_be_read_are_named() {
    for broken in ["not base64!", "AAAA", ""] {
        let mut records = records(&Shape::small());
        let sample = samples(&mut records)
            .find(|s| s.histogram.is_some())
            .expect("one with latencies");
        sample.histogram = Some(broken.to_owned());
        let why = render(&records, None).expect_err(broken).to_string();
        assert!(
            why.contains("small beside large on global, 2 threads, round 0"),
            "{why}"
        );
    }
}

#[test]
fn other_records_are_refused() {
    let whole = records(&Shape::small());
    assert_eq!(render(&[], None), Err(Error::NoRun));
    assert_eq!(render(&whole[1..], None), Err(Error::NoRun));
    assert_eq!(
        render(&[whole.clone(), whole.clone()].concat(), None),
        Err(Error::TwoRuns)
    );
    let mut other = whole.clone();
    run(&mut other).version = 99;
    assert_eq!(render(&other, None), Err(Error::Version(99)));
    let mut unknown = whole;
    samples(&mut unknown).last().expect("samples").target = "elsewhere".to_owned();
    assert!(matches!(render(&unknown, None), Err(Error::Unknown(_))));
}
