// SPDX-License-Identifier: GPL-2.0-only
//! The loop without the work: what the harness itself takes for an operation.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use super::{Kind, USUAL};
use crate::bench::team::span;
use crate::bench::turn::{Outcome, Turn, histogram, note};

pub(super) static KINDS: [Kind; 2] = [
    Kind {
        name: "empty",
        about: |_| {
            "the loop without the work: the harness's own share of each operation, and how fast \
             the machine is at the moment"
                .to_owned()
        },
        unit: "operations",
        empty: true,
        run: empty,
        ..USUAL
    },
    Kind {
        name: "empty_latency",
        about: |_| {
            "the same with a latency recorded: the clock is read twice, and a histogram written"
                .to_owned()
        },
        unit: "operations",
        latency_of: Some("empty operation"),
        empty: true,
        run: empty_latency,
        ..USUAL
    },
];

fn empty(turn: &Turn<'_>) -> io::Result<Outcome> {
    let prepare = |_| Ok(());
    turn.count(None, prepare, |_, (), go| {
        let mut count = 0;
        while go.on() {
            count = black_box(count + 1);
        }
        Ok(count)
    })
}

fn empty_latency(turn: &Turn<'_>) -> io::Result<Outcome> {
    let prepare = |_| Ok(histogram());
    let (threads, growth) = turn.crew(0, None, prepare, |_, latencies, go| {
        while go.on() {
            let began = Instant::now();
            note(latencies, began.elapsed());
        }
        Ok(latencies.clone())
    })?;
    let mut outcome = Outcome {
        time: span(&threads),
        growth,
        ..Outcome::default()
    };
    outcome.take_latencies(threads.into_iter().map(|thread| thread.done));
    Ok(outcome)
}
