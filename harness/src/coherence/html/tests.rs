// SPDX-License-Identifier: GPL-2.0-only
//! Whole pages, read as XML.

use super::*;
use crate::coherence::testdata::{counted, lines};
use crate::html::testing::{fetches_nothing, named, parsed, table, words};

const ALL: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

#[test]
fn the_page_is_well_formed_and_fetches_nothing() {
    let page = page(&counted(&ALL), &Costs::default());
    let doc = parsed(&page);
    fetches_nothing(&doc);
    for name in ["figcaption", "caption"] {
        for node in named(&doc, name) {
            assert!(words(node).contains("counted under emulation"));
        }
    }
    assert!(page.contains("zonelist&lt;&amp;"), "names are no markup");
}

#[test]
fn there_are_three_charts_for_each_workload() {
    for cpus in [&ALL[..], &[2]] {
        let page = page(&counted(cpus), &Costs::default());
        let doc = parsed(&page);
        let charts = named(&doc, "svg").filter(|n| n.attribute("class") == Some("plot"));
        assert_eq!(charts.count(), 3 * 3, "{cpus:?}");
        assert_eq!(named(&doc, "figure").count(), 9);
        assert_eq!(page.contains("polyline class=\"line\""), cpus.len() > 1);
    }
}

#[test]
fn tables_have_the_figures_of_the_charts() {
    let page = page(&counted(&[1, 2]), &Costs::default());
    let doc = parsed(&page);
    let sharing = table(&doc, "pft, sharing writes per fault");
    assert_eq!(sharing[0], ["target", "1 CPU", "2 CPUs"]);
    assert_eq!(sharing[1], ["global", "0", "6.00"]);
    let moves = table(&doc, "pft, moves per fault");
    assert_eq!(moves[1], ["global", "0", "1.20"]);
    let allowed = table(&doc, "pft, allowed");
    assert_eq!(allowed[1], ["ideal", "1.00 M", "2.00 M"]);
    assert_eq!(allowed[2], ["global", "1.00 M", "2.00 M"]);
    let hottest = table(&doc, "pft: the hottest line");
    assert_eq!(hottest[1][1..5], ["1", "0", "0", "–"]);
    let with_two = [
        "3.00", "0.600", "3.33 M", "16.7 M", "2.00 M", "2.00 M", "3.33",
    ];
    assert_eq!(hottest[2][2..], with_two);
}

#[test]
fn the_hottest_lines_are_those_with_most_processors() {
    let page = page(&counted(&[2, 64]), &Costs::default());
    let doc = parsed(&page);
    let lines = table(&doc, "pft on global, 64 CPUs");
    assert_eq!(lines.len(), 11);
    assert_eq!(lines[1][..2], ["faultline's space", "truly"]);
    assert!(lines[1][2].starts_with("fault [faultline] at space/fault.rs:120"));
    assert_eq!(lines[1][6], "64");
    let owners = table(&doc, "All shared lines: pft on global, 64 CPUs");
    assert_eq!(owners[1][..2], ["faultline's space", "5.91"]);
    let of_module = table(&doc, "pft on global, 64 CPUs, of the module");
    assert_eq!(of_module[1..], lines[1..2]);
    assert!(!page.contains("pft on global, 2 CPUs"));
}

#[test]
fn what_shares_nothing_is_said_to() {
    let page = page(&counted(&[1]), &Costs::default());
    parsed(&page);
    assert!(page.contains("pft on anon, 1 CPU: no line is shared"));
}

#[test]
fn a_target_has_the_colour_of_the_benchmarks_report() {
    let inks = ["global", "spf-range", "anon", "memfd", "other"].map(target_ink);
    assert_eq!(inks, ["p0", "p4", "k0", "k1", "k2"]);
}

/// `FAULTLINE_REPORT=DIR cargo test -p harness coherence_to_look_at -- --ignored`
#[test]
#[ignore = "writes test data, and pages of it, for people to look at"]
fn coherence_to_look_at() {
    let dir =
        std::path::PathBuf::from(std::env::var_os("FAULTLINE_REPORT").expect("FAULTLINE_REPORT"));
    for (name, cpus) in [("coherence-all", &ALL[..]), ("coherence-one", &[2])] {
        let counted = counted(cpus);
        let path = dir.join(name);
        let page = page(&counted, &Costs::default());
        std::fs::write(path.with_extension("html"), page).expect("a file");
        std::fs::write(path.with_extension("jsonl"), lines(&counted)).expect("a file");
    }
}
