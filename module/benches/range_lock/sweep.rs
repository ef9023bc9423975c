// SPDX-License-Identifier: GPL-2.0-only

//! Two threads, all combinations of hold time, overlap, reading and size: where
//! a range lock wins, and where a plain lock does.

use core::{hint::black_box, time::Duration};
use std::{fs, io};

use faultline_portable::{interval::Interval, range_lock::Mode};
use serde_json::json;

use super::{
    heat_map::{self, Map},
    measure::{per_second, steps, Busy, Random, Spread},
    peers::{AnyPeer, Peer, Work, OURS, PLAIN},
    report::{self, print_table, Effort, Report},
    rounds::Samples,
};

const HOLDS: [(&str, Duration); 3] = [
    ("0 us", Duration::ZERO),
    ("1 us", Duration::from_micros(1)),
    ("10 us", Duration::from_micros(10)),
];
/// Percent of the requests that are for the range both threads share.
const OVERLAPS: [u64; 3] = [0, 10, 100];
/// Percent of the requests that read.
const READS: [u64; 3] = [0, 50, 95];
const SIZES: [(&str, u64); 3] = [("4 KiB", 1), ("256 KiB", 64), ("128 MiB", 1 << 15)];
/// Ranges of its own that a thread takes in turn.
const OWN: u64 = 16;

/// One combination.
#[derive(Clone, Copy)]
struct Case {
    hold: Duration,
    overlap: u64,
    reads: u64,
    size: u64,
}

/// A row of the map and a column, as in its titles.
fn row(size: &str, reads: u64) -> String {
    format!("{size}, {reads} % read")
}

fn column(hold: &str, overlap: u64) -> String {
    format!("{hold}, {overlap} % shared")
}

fn cases() -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    for (size_name, size) in SIZES {
        for reads in READS {
            for (hold_name, hold) in HOLDS {
                for overlap in OVERLAPS {
                    let name = format!("{}, {}", row(size_name, reads), column(hold_name, overlap));
                    let case = Case {
                        hold,
                        overlap,
                        reads,
                        size,
                    };
                    cases.push((name, case));
                }
            }
        }
    }
    cases
}

/// A combination on some processors.
struct Mixed<'a> {
    cpus: &'a [usize],
    case: Case,
    steps: u32,
    time: Duration,
}

impl Work for Mixed<'_> {
    type Output = f64;

    fn run<P: Peer>(&self, peer: &P) -> f64 {
        let Case {
            overlap,
            reads,
            size,
            ..
        } = self.case;
        per_second(self.cpus, self.time, |number| {
            let mut random = Random::new(number as u64 + 1);
            let own = (number as u64 + 1) << 30;
            move || {
                let start = match random.chance(overlap) {
                    true => 0,
                    false => own + random.next() % OWN * size,
                };
                let range = Interval::new(start, start + size).expect("not empty");
                let inside = || steps(self.steps);
                match random.chance(reads) {
                    true => peer.with(Mode::Read, black_box(range), inside),
                    false => peer.with(Mode::Write, black_box(range), inside),
                }
            }
        })
    }
}

/// Measures, prints, records and draws it.
pub(crate) fn run(
    effort: Effort,
    busy: Busy,
    cpus: &[usize],
    report: &mut Report,
) -> io::Result<()> {
    let peers = AnyPeer::all();
    let cases = cases();
    let two = &cpus[..cpus.len().min(2)];
    let samples = Samples::take(effort.rounds(5), &cases, &peers, |_, case, peer| {
        Some(
            peer.run(&Mixed {
                cpus: two,
                case: *case,
                steps: busy.steps_for(case.hold),
                time: Duration::from_millis(8),
            }) / 1e6,
        )
    });
    let mut rows = Vec::new();
    for (name, _) in &cases {
        let mut cells = Vec::new();
        for peer in &peers {
            let spread = Spread::of(samples.of(name, peer.name()));
            cells.push(format!("{:.2}", spread.median));
            report.record(
                "sweep",
                json!({ "case": name, "peer": peer.name() }),
                "M/s",
                &spread,
            );
        }
        rows.push((name.clone(), cells));
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name().to_owned()).collect();
    print_table("Sweep: two threads together, medians [M/s]", &names, rows);
    println!(
        "Exclusive for readers too: {}.",
        peers
            .iter()
            .filter(|peer| !peer.abilities().readers_share)
            .map(AnyPeer::name)
            .collect::<Vec<_>>()
            .join(", ")
    );
    draw(&samples, &names)
}

/// Draws what the range lock achieves in terms of the others.
fn draw(samples: &Samples, peers: &[String]) -> io::Result<()> {
    let plain = PLAIN.map(str::to_owned);
    let others: Vec<_> = peers.iter().filter(|peer| *peer != OURS).cloned().collect();
    let maps = [
        ("the better of the two plain locks", &plain[..]),
        ("the best of all other locks", &others[..]),
    ]
    .map(|(of, against)| {
        let map = map_against(samples, of, against, peers);
        let won = map.ratios().filter(|ratio| *ratio > 1.05).count();
        let lost = map.ratios().filter(|ratio| *ratio < 0.95).count();
        let all = map.ratios().count();
        println!(
            "Against {of}: wins {won} of {all} combinations, loses {lost} (by more than 5 %)."
        );
        map
    });
    let path = report::directory()?.join("sweep.svg");
    fs::write(&path, heat_map::svg(&maps))?;
    println!("Drawn: {}", path.display());
    Ok(())
}

/// The throughput of the range lock in terms of that of the best `against`.
fn map_against(samples: &Samples, of: &str, against: &[String], peers: &[String]) -> Map {
    let columns: Vec<_> = HOLDS
        .iter()
        .flat_map(|(hold, _)| OVERLAPS.map(|overlap| column(hold, overlap)))
        .collect();
    let mut map = Map::new(&format!("faultline in terms of {of}"), columns.clone());
    for (size, _) in SIZES {
        for reads in READS {
            let row = row(size, reads);
            let cells = columns.iter().map(|column| {
                let name = format!("{row}, {column}");
                let median = |peer: &str| Spread::of(samples.of(&name, peer)).median;
                let best = against.iter().map(|peer| median(peer)).fold(0.0, f64::max);
                let detail = peers
                    .iter()
                    .map(|peer| format!("{peer}: {:.3} M/s", median(peer)))
                    .collect::<Vec<_>>()
                    .join("\n");
                (median(OURS) / best, format!("{name}\n{detail}"))
            });
            map.add_row(row.clone(), cells.collect());
        }
    }
    map
}
