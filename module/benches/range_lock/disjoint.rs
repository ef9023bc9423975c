// SPDX-License-Identifier: GPL-2.0-only

//! Two threads that have nothing to do with each other.

use core::{hint::black_box, time::Duration};

use faultline_portable::{interval::Interval, range_lock::Mode};
use serde_json::json;

use super::{
    measure::{per_second, steps, Busy, Spread},
    peers::{none::NoLock, AnyPeer, Peer, Work, ONE_TREE, OURS, PLAIN},
    report::{cell, print_table, Effort, Report},
    rounds::Samples,
};

/// What the threads do.
struct Case {
    hold: Duration,
    /// Pages from the page of one thread to that of the next.
    apart: u64,
}

/// Far enough for any lock: 3 GiB.
const FAR: u64 = 3 << 18;
/// In the same 2 MiB.
const NEAR: u64 = 16;
const HELD: &str = "far, 1 us held";
const EMPTY: &str = "far, nothing held";

fn cases() -> Vec<(String, Case)> {
    let microsecond = Duration::from_micros(1);
    [
        (HELD, microsecond, FAR),
        ("near, 1 us held", microsecond, NEAR),
        (EMPTY, Duration::ZERO, FAR),
        ("near, nothing held", Duration::ZERO, NEAR),
    ]
    .map(|(name, hold, apart)| (name.to_owned(), Case { hold, apart }))
    .into()
}

/// Threads on `cpus`, each writing its page.
struct Disjoint<'a> {
    cpus: &'a [usize],
    steps: u32,
    apart: u64,
    time: Duration,
}

impl Work for Disjoint<'_> {
    type Output = f64;

    fn run<P: Peer>(&self, peer: &P) -> f64 {
        per_second(self.cpus, self.time, |number| {
            let start = 0x1230 + number as u64 * self.apart;
            let page = Interval::new(start, start + 1).expect("not empty");
            move || peer.with(Mode::Write, black_box(page), || steps(self.steps))
        })
    }
}

/// Measures, prints and records it.
pub(crate) fn run(effort: Effort, busy: Busy, cpus: &[usize], report: &mut Report) {
    let &[first, second, ..] = cpus else {
        println!("\nOne processor only: nothing said of two threads.");
        return;
    };
    let work = |case: &Case, cpus| Disjoint {
        cpus,
        steps: busy.steps_for(case.hold),
        apart: case.apart,
        time: Duration::from_millis(8),
    };
    let (both, lone) = ([first, second], [[first], [second]]);
    let cases = cases();
    let mut alone = Vec::new();
    let mut control: Vec<Vec<f64>> = vec![Vec::new(); cases.len()];
    let peers = AnyPeer::all();
    let rounds = effort.rounds(30);
    let mut turns = 0;
    let together = Samples::take(rounds, &cases, &peers, |round, case, peer| {
        if turns % peers.len() == 0 {
            // The control takes its turns too.
            let by_one = work(case, &lone[round % 2]).run(&NoLock);
            let gain = work(case, &both).run(&NoLock) / by_one;
            control[turns / peers.len() % cases.len()].push(gain);
        }
        turns += 1;
        alone.push(peer.run(&work(case, &lone[round % 2])) / 1e6);
        Some(peer.run(&work(case, &both)) / 1e6)
    });
    together.report(
        report,
        "disjoint",
        "Two threads, disjoint pages, writing: both together",
        "M/s",
    );

    // The samples of one thread came in the same order: by round, case, peer.
    let alone_of = |case: usize, peer: usize| -> Vec<f64> {
        (0..rounds)
            .map(|round| alone[(round * cases.len() + case) * peers.len() + peer])
            .collect()
    };
    let mut rows = Vec::new();
    let mut gain_of_ours = None;
    for (p, peer) in peers.iter().enumerate() {
        let mut cells = Vec::new();
        for (c, (name, _)) in cases.iter().enumerate() {
            let gain = Spread::of_ratios(together.of(name, peer.name()), &alone_of(c, p));
            cells.push(cell(Some(&gain)));
            let of = json!({ "case": name, "peer": peer.name() });
            report.record("disjoint gain", of, "ratio", &gain);
            if peer.name() == OURS && name == HELD {
                gain_of_ours = Some(gain);
            }
        }
        rows.push((peer.name().to_owned(), cells));
    }
    let of_control = control.iter().map(|gain| cell(Some(&Spread::of(gain))));
    rows.push((NoLock::NAME.to_owned(), of_control.collect()));
    let names: Vec<_> = cases.iter().map(|(name, _)| name.clone()).collect();
    print_table("Two threads in terms of one [x]", &names, rows);

    if let Some(gain) = gain_of_ours {
        let Spread {
            median: possible,
            low,
            ..
        } = Spread::of(&control[0]);
        if low < 1.9 {
            println!("Two processors were not free: figures of two threads mean little.");
        }
        report.goal(
            "two threads, 1 us held: at least 1.9 x one thread",
            &format!(
                "{:.2} x ({:.2}..{:.2}); without any lock {possible:.2} x",
                gain.median, gain.low, gain.high
            ),
            gain.median >= 1.9,
        );
    }
    for case in [HELD, EMPTY] {
        for other in [PLAIN[0], ONE_TREE] {
            let ratio = Spread::of_ratios(together.of(case, OURS), together.of(case, other));
            report.goal(
                &format!("two threads, {case}: better than {other}"),
                &format!(
                    "{:.2} x ({:.2}..{:.2})",
                    ratio.median, ratio.low, ratio.high
                ),
                ratio.median > 1.0,
            );
        }
    }
}
