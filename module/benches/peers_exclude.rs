// SPDX-License-Identifier: GPL-2.0-only

//! Whether the locks that the benchmarks compare are locks: threads that take
//! random ranges count themselves in and out of every page.

use core::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::thread;

use faultline_portable::{interval::Interval, range_lock::Mode};

// The benchmarks use what this test does not.
#[allow(dead_code)]
mod peers;

use peers::{hold, none::NoLock, AnyPeer, Peer, Work};

const PAGES: u64 = 64;
/// Pages are this far apart, so that some ranges are large and some small.
const STRIDE: u64 = 300;
/// What a writer counts.
const WRITER: i64 = 1 << 32;

/// Who is inside, for each page.
struct Pages([AtomicI64; PAGES as usize]);

impl Pages {
    /// Goes through `range` as a holder in `mode`.
    fn visit(&self, mode: Mode, range: Interval) {
        let (own, limit) = match mode {
            Mode::Read => (1, WRITER),
            Mode::Write => (WRITER, 1),
        };
        let pages = &self.0[(range.start() / STRIDE) as usize..(range.end() / STRIDE) as usize];
        for page in pages {
            let others = page.fetch_add(own, Relaxed);
            assert!(others < limit, "{mode:?} of {range:?} met {others:#x}");
        }
        thread::yield_now();
        for page in pages {
            page.fetch_sub(own, Relaxed);
        }
    }
}

/// Marsaglia's xorshift.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn pages(start: u64, end: u64) -> Interval {
    Interval::new(start * STRIDE, end * STRIDE).expect("not empty")
}

/// Some threads, each making some requests.
struct Hammer {
    threads: u64,
    requests: u64,
}

impl Hammer {
    fn hammer<P: Peer>(&self, peer: &P, counts: &Pages, seed: u64) {
        let mut state = seed;
        for _ in 0..self.requests {
            let number = random(&mut state);
            let mode = match number % 3 {
                0 => Mode::Write,
                _ => Mode::Read,
            };
            let start = (number >> 8) % (PAGES - 1);
            let length = match (number >> 16) % 8 {
                0 => PAGES,
                n => n,
            };
            let range = pages(start, PAGES.min(start + length));
            if (number >> 24) % 4 == 0 && start > 0 {
                let first = pages(start - 1, start);
                peer.with_two(mode, [range, first], || {
                    counts.visit(mode, range);
                    counts.visit(mode, first);
                });
            } else {
                peer.with(mode, range, || counts.visit(mode, range));
            }
        }
    }
}

impl Work for Hammer {
    type Output = ();

    fn run<P: Peer>(&self, peer: &P) {
        let counts = Pages([const { AtomicI64::new(0) }; PAGES as usize]);
        thread::scope(|scope| {
            for n in 0..self.threads {
                let counts = &counts;
                scope.spawn(move || self.hammer(peer, counts, 0x9e37_79b9 + n));
            }
        });
        assert!(counts.0.iter().all(|page| page.load(Relaxed) == 0));
    }
}

#[test]
fn every_peer_keeps_conflicting_holders_apart() {
    for threads in 2..=4 {
        for peer in AnyPeer::all() {
            let requests = 20_000 / threads;
            peer.run(&Hammer { threads, requests });
        }
    }
}

#[test]
#[should_panic = "a scoped thread panicked"]
fn no_lock_is_caught() {
    Hammer {
        threads: 4,
        requests: 20_000,
    }
    .run(&NoLock);
}

/// Holds many ranges at once, and one more in the hole between them.
struct Nest;

impl Work for Nest {
    type Output = ();

    fn run<P: Peer>(&self, peer: &P) {
        let many: Vec<_> = (0..500)
            .filter(|n| *n != 250)
            .map(|n| pages(n, n + 1))
            .collect();
        for _ in 0..10 {
            hold(peer, &many, &mut || {
                peer.with(Mode::Write, pages(250, 251), || ());
            });
        }
        // Nothing is left behind.
        peer.with(Mode::Write, Interval::ALL, || ());
    }
}

#[test]
fn precise_peers_hold_disjoint_ranges_together() {
    for peer in AnyPeer::all() {
        if peer.abilities().precise {
            peer.run(&Nest);
        }
    }
}
