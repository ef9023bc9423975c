// SPDX-License-Identifier: GPL-2.0-only

//! One more range while many are held.

use core::{hint::black_box, time::Duration};

use faultline_portable::{interval::Interval, range_lock::Mode};

use super::{
    measure::{nanoseconds_each, Spread},
    peers::{hold, AnyPeer, Peer, Work, OURS},
    report::{Effort, Report},
    rounds::Samples,
};

/// Ranges held meanwhile.
const FEW: u64 = 10;
const MANY: u64 = 1000;
/// Ranges that are taken in turn.
const HOLES: u64 = 8;

/// How ranges lie.
#[derive(Clone, Copy)]
struct Layout {
    name: &'static str,
    length: u64,
    /// From the start of one to that of the next.
    stride: u64,
}

const LAYOUTS: [Layout; 3] = [
    Layout {
        name: "packed pages",
        length: 1,
        stride: 1,
    },
    Layout {
        name: "16 of 48 pages",
        length: 16,
        stride: 48,
    },
    Layout {
        name: "a page per GiB",
        length: 1,
        stride: 1 << 18,
    },
];

impl Layout {
    /// Some ranges to hold, and between them some holes to take.
    fn ranges(self, held: u64) -> (Vec<Interval>, Vec<Interval>) {
        let all = (0..held + HOLES).map(|n| {
            let start = 0x1_0000 + n * self.stride;
            let range = Interval::new(start, start + self.length).expect("not empty");
            (
                n % ((held + HOLES) / HOLES) == 1 && n / ((held + HOLES) / HOLES) < HOLES,
                range,
            )
        });
        let (holes, held): (Vec<_>, Vec<_>) = all.partition(|(is_hole, _)| *is_hole);
        let ranges = |of: Vec<(bool, Interval)>| of.into_iter().map(|(_, range)| range).collect();
        (ranges(held), ranges(holes))
    }
}

/// Nanoseconds to take one of `holes` while `held` are held.
struct Crowded {
    held: Vec<Interval>,
    holes: Vec<Interval>,
    time: Duration,
}

impl Work for Crowded {
    type Output = f64;

    fn run<P: Peer>(&self, peer: &P) -> f64 {
        let mut nanoseconds = 0.0;
        hold(peer, &self.held, &mut || {
            let mut holes = self.holes.iter().cycle();
            nanoseconds = nanoseconds_each(self.time, || {
                if let Some(hole) = holes.next() {
                    peer.with(Mode::Write, black_box(*hole), || ());
                }
            });
        });
        nanoseconds
    }
}

fn name(layout: Layout, held: u64) -> String {
    format!("{}, {held}", layout.name)
}

/// Measures, prints and records it.
pub(crate) fn run(effort: Effort, report: &mut Report) {
    let mut peers = AnyPeer::all();
    peers.retain(|peer| peer.abilities().precise);
    let mut cases = Vec::new();
    for layout in LAYOUTS {
        for held in [FEW, MANY] {
            cases.push((name(layout, held), layout.ranges(held)));
        }
    }
    let rounds = effort.rounds(30);
    let samples = Samples::take(rounds, &cases, &peers, |_, (held, holes), peer| {
        Some(peer.run(&Crowded {
            held: held.clone(),
            holes: holes.clone(),
            time: Duration::from_millis(1),
        }))
    });
    let title = "One thread, one more range while 10 or 1000 are held: acquire + release";
    samples.report(report, "crowded", title, "ns");
    for layout in LAYOUTS {
        let (few, many) = (name(layout, FEW), name(layout, MANY));
        let ratio = Spread::of_ratios(samples.of(&many, OURS), samples.of(&few, OURS));
        report.goal(
            &format!("{}: 1000 held cost at most 2 x what 10 do", layout.name),
            &format!(
                "{:.2} x ({:.2}..{:.2})",
                ratio.median, ratio.low, ratio.high
            ),
            ratio.median <= 2.0,
        );
    }
}
