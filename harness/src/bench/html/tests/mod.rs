// SPDX-License-Identifier: GPL-2.0-only
//! Whole pages, read as XML.

mod odd;

use super::testdata::{Shape, records};
use super::*;
use crate::bench::record::{Run, Sample};
use crate::coherence::testdata;
use crate::html::testing::{fetches_nothing, named, parsed, table, words};

/// The page, which has to be well-formed.
fn page(records: &[Record]) -> String {
    render(records, None).expect("records that are whole")
}

fn run(records: &mut [Record]) -> &mut Run {
    match &mut records[0] {
        Record::Run(run) => run,
        _ => unreachable!("it begins with the run"),
    }
}

fn samples(records: &mut [Record]) -> impl Iterator<Item = &mut Sample> {
    records.iter_mut().filter_map(|record| match record {
        Record::Sample(sample) => Some(&mut **sample),
        _ => None,
    })
}

#[test]
fn the_page_is_well_formed_and_fetches_nothing() {
    let page = page(&records(&Shape::full()));
    let doc = parsed(&page);
    fetches_nothing(&doc);
}

#[test]
fn links_of_the_contents_lead_somewhere() {
    let page = page(&records(&Shape::small()));
    let doc = parsed(&page);
    let links: Vec<_> = named(&doc, "a")
        .filter_map(|a| a.attribute("href"))
        .collect();
    assert_eq!(links.len(), SECTIONS.len());
    for link in links {
        let ids = doc
            .descendants()
            .filter(|n| n.attribute("id") == Some(&link[1..]));
        assert_eq!(ids.count(), 1, "{link}");
    }
}

#[test]
fn what_was_counted_of_cache_lines_is_a_section_of_its_own() {
    let records = records(&Shape::small());
    assert!(!page(&records).contains("Cache lines"));
    let counted = testdata::counted(&[1, 2]);
    let page = render(&records, Some(&counted)).expect("records that are whole");
    let doc = parsed(&page);
    fetches_nothing(&doc);
    let of_contents = named(&doc, "a").filter(|a| a.attribute("href") == Some("#coherence"));
    assert_eq!(of_contents.count(), 1);
    let section = named(&doc, "section").find(|n| n.attribute("id") == Some("coherence"));
    assert!(words(section.expect("the section")).contains("sharing writes per fault"));
}

#[test]
fn every_workload_and_target_is_named() {
    let mut records = records(&Shape::full());
    let page = page(&records);
    let doc = parsed(&page);
    let rows = table(&doc, "All figures");
    let run = run(&mut records);
    for workload in &run.workloads {
        assert!(
            rows.iter().any(|row| row[0] == workload.name),
            "{}",
            workload.name
        );
    }
    for target in &run.targets {
        assert!(
            rows.iter().any(|row| row[1] == target.name),
            "{}",
            target.name
        );
    }
    assert_eq!(rows.len(), 1 + 14 * 9 * 4);
}

#[test]
fn tables_show_the_medians_of_the_rounds() {
    let mut records = records(&Shape::full());
    let page = page(&records);
    let doc = parsed(&page);
    let rows = table(&doc, "All figures");
    for (workload, target, threads) in [("page_fault1", "anon", 1), ("ebizzy", "spf-range", 8)] {
        let mut rates: Vec<f64> = samples(&mut records)
            .filter(|s| s.workload == workload && s.target == target && s.threads == threads)
            .map(|s| s.rate())
            .collect();
        rates.sort_by(f64::total_cmp);
        assert_eq!(rates.len(), 7);
        let wanted = number::short(rates[3]);
        let row = rows
            .iter()
            .find(|row| row[0] == workload && row[1] == target && row[2] == threads.to_string())
            .expect("its row");
        assert_eq!(row[5], wanted);
        let glance = table(&doc, "Rate of each workload");
        let shown = glance.iter().any(|row| {
            row[0].starts_with(workload)
                && row[1] == threads.to_string()
                && row.iter().any(|c| c.contains(&wanted))
        });
        assert!(shown, "{wanted} in {workload} at a glance");
    }
}

#[test]
fn every_chart_and_table_bears_the_caveat_of_an_emulated_machine() {
    for (accelerator, emulated) in [("tcg", true), ("kvm", false), ("none", false)] {
        let shape = Shape {
            accelerator,
            ..Shape::small()
        };
        let page = page(&records(&shape));
        let doc = parsed(&page);
        for name in ["figcaption", "caption"] {
            assert!(named(&doc, name).count() > 5);
            for node in named(&doc, name) {
                assert_eq!(
                    words(node).contains("TCG, not hardware"),
                    emulated,
                    "{}",
                    words(node)
                );
            }
        }
        assert_eq!(page.contains("TCG"), emulated, "{accelerator}");
        let charts = named(&doc, "svg").filter(|n| n.attribute("class") == Some("plot"));
        assert_eq!(
            charts.count(),
            named(&doc, "figure").count(),
            "each chart is a marked figure"
        );
    }
}

#[test]
fn a_checked_kernel_is_said_on_every_figure() {
    let mut records = records(&Shape::small());
    assert!(!page(&records).contains("figures worthless"));
    run(&mut records).machine.checked_kernel = true;
    let page = page(&records);
    let doc = parsed(&page);
    for node in named(&doc, "caption").chain(named(&doc, "figcaption")) {
        assert!(words(node).contains("checked kernel: figures worthless"));
    }
}

#[test]
fn a_run_that_broke_off_is_said_to_have() {
    let mut records = records(&Shape::small());
    assert!(!page(&records).contains("broke off"));
    records.pop();
    assert!(page(&records).contains("This run broke off"));
    records.truncate(1);
    assert!(
        page(&records).contains("This run broke off"),
        "and nothing was measured"
    );
}

#[test]
fn sentences_follow_the_figures() {
    let mut records = records(&Shape {
        workloads: 1,
        rounds: 3,
        ..Shape::small()
    });
    let mut set = |target: &str, count: u64| {
        for sample in samples(&mut records).filter(|s| s.target == target) {
            (sample.seconds, sample.per_thread) = (1.0, vec![count, count]);
        }
    };
    for policy in ["global", "region", "range", "spf-global"] {
        set(policy, 50);
    }
    set("anon", 100);
    set("spf-range", 200);
    let ahead = page(&records);
    assert!(ahead.contains("ahead of the kernel's own memory in 1, behind in 0"));
    assert!(ahead.contains("spf-range, does 400 faults/s, ×2.00 of anon's 200"));
    assert!(!ahead.contains("furthest behind"));
    for sample in samples(&mut records).filter(|s| s.target == "spf-range") {
        sample.per_thread = vec![80, 80];
    }
    let behind = page(&records);
    assert!(behind.contains("furthest behind in page_fault1"));
    assert!(!behind.contains("furthest ahead"));
}

#[test]
fn a_workload_is_compared_with_the_peer_that_it_names() {
    let shape = Shape {
        workloads: 1,
        targets: 7,
        ..Shape::small()
    };
    let mut records = records(&shape);
    let beside = |records: &[Record]| {
        let page = page(records);
        table(&parsed(&page), "Rate of each workload")[1][2].clone()
    };
    assert_eq!(beside(&records), "anon");
    run(&mut records).workloads[0].peer = Some("memfd".to_owned());
    assert_eq!(beside(&records), "memfd");
    run(&mut records).workloads[0].peer = Some("not measured".to_owned());
    assert_eq!(beside(&records), "anon");
}

#[test]
fn a_slowdown_that_was_planted_is_said() {
    let mut records = records(&Shape::small());
    assert!(!page(&records).contains("on purpose"));
    run(&mut records).planted_slowdown = Some(12.5);
    assert!(page(&records).contains("slowed down by 12.5 %"));
}

/// `FAULTLINE_REPORT=DIR cargo test -p harness a_report_to_look_at -- --ignored`
#[test]
#[ignore = "writes pages of test data for people to look at"]
fn a_report_to_look_at() {
    let dir =
        std::path::PathBuf::from(std::env::var_os("FAULTLINE_REPORT").expect("FAULTLINE_REPORT"));
    let full = records(&Shape::full());
    let mut small = records(&Shape::small());
    small.pop();
    run(&mut small).machine.checked_kernel = true;
    let two = records(&Shape::two_processors());
    for (name, records) in [("full", full), ("small", small), ("two", two)] {
        std::fs::write(dir.join(name).with_extension("html"), page(&records)).expect("a file");
    }
}
