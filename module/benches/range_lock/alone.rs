// SPDX-License-Identifier: GPL-2.0-only

//! One thread, nobody else: what taking and giving back costs.

use core::time::Duration;

use faultline_portable::range_lock::Mode;

use super::{
    cases::{cases, once, Case},
    measure::{nanoseconds_each, Spread},
    peers::{AnyPeer, Peer, Work, OURS, PLAIN},
    report::{Effort, Report},
    rounds::Samples,
};

/// Nanoseconds that a case takes.
struct Alone {
    case: Case,
    time: Duration,
}

impl Work for Alone {
    type Output = Option<f64>;

    fn run<P: Peer>(&self, peer: &P) -> Option<f64> {
        let Self { case, time } = *self;
        if !once(peer, case) {
            return None;
        }
        // The mode as a constant, as callers have it.
        Some(match case {
            Case {
                mode: Mode::Read,
                taken,
            } => nanoseconds_each(time, || {
                once(
                    peer,
                    Case {
                        mode: Mode::Read,
                        taken,
                    },
                );
            }),
            Case {
                mode: Mode::Write,
                taken,
            } => nanoseconds_each(time, || {
                once(
                    peer,
                    Case {
                        mode: Mode::Write,
                        taken,
                    },
                );
            }),
        })
    }
}

/// Measures, prints and records it.
pub(crate) fn run(effort: Effort, report: &mut Report) {
    let peers = AnyPeer::all();
    let time = Duration::from_millis(1);
    let rounds = effort.rounds(60);
    let samples = Samples::take(rounds, &cases(), &peers, |_, case, peer| {
        peer.run(&Alone { case: *case, time })
    });
    samples.report(
        report,
        "alone",
        "One thread, nobody else: acquire + release",
        "ns",
    );
    let case = "write page";
    let ratio = Spread::of_ratios(samples.of(case, OURS), samples.of(case, PLAIN[0]));
    report.goal(
        "uncontended write at most 2.0 x parking_lot::RwLock",
        &format!(
            "{:.2} x ({:.2}..{:.2})",
            ratio.median, ratio.low, ratio.high
        ),
        ratio.median <= 2.0,
    );
}
