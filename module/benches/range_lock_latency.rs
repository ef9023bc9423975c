// SPDX-License-Identifier: GPL-2.0-only

//! Criterion's figures for one thread alone: its statistics, and comparison
//! with the run before.
//!
//! Criterion measures one peer after the other; where peers are compared, see
//! the section `alone` of the benchmark `range_lock`, where they take turns.

use core::{cell::RefCell, time::Duration};

use criterion::{measurement::WallTime, BenchmarkGroup, Criterion};
use faultline_portable::range_lock::Mode;

// What the other benchmarks use beyond this one.
#[allow(dead_code)]
#[path = "range_lock/cases.rs"]
mod cases;
#[allow(dead_code)]
mod peers;

use cases::{cases, once, Case};
use peers::{AnyPeer, Peer, Work};

/// Measures a case with a peer.
struct Measured<'a, 'g> {
    group: &'a RefCell<BenchmarkGroup<'g, WallTime>>,
    case: Case,
}

impl Work for Measured<'_, '_> {
    type Output = ();

    fn run<P: Peer>(&self, peer: &P) {
        let Self { group, case } = *self;
        if !once(peer, case) {
            return;
        }
        let mut group = group.borrow_mut();
        // The mode as a constant, as callers have it.
        match case.mode {
            Mode::Read => group.bench_function(P::NAME, |bencher| {
                let mode = Mode::Read;
                bencher.iter(|| once(peer, Case { mode, ..case }));
            }),
            Mode::Write => group.bench_function(P::NAME, |bencher| {
                let mode = Mode::Write;
                bencher.iter(|| once(peer, Case { mode, ..case }));
            }),
        };
    }
}

fn alone(criterion: &mut Criterion) {
    let peers = AnyPeer::all();
    for (name, case) in cases() {
        let group = RefCell::new(criterion.benchmark_group(name));
        for peer in &peers {
            peer.run(&Measured {
                group: &group,
                case,
            });
        }
        group.into_inner().finish();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(40)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    alone(&mut criterion);
    criterion.final_summary();
}
