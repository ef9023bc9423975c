// SPDX-License-Identifier: GPL-2.0-only

//! Random requests, one after the other, against a naive list of them.

extern crate std;

use core::pin::Pin;
use std::{boxed::Box, vec::Vec};

use proptest::prelude::*;

use super::{super::interval::Interval, request::Request, Mode, RangeLock, Ranges, Shape, Slot};

const SHAPE: Shape = Shape::new(2, 2);
type Lock = RangeLock<[Slot; SHAPE.places()]>;

/// Where intervals of the tests begin and end: inside granules of both sizes,
/// at their edges, and far from each other.
const MARKS: [u64; 20] = [
    0,
    1,
    2,
    3,
    510,
    511,
    512,
    513,
    1023,
    1024,
    1536,
    (1 << 18) - 1,
    1 << 18,
    (1 << 18) + 1,
    (1 << 18) + 512,
    1 << 19,
    (1 << 19) + 1,
    1 << 20,
    (1 << 20) + 600,
    u64::MAX,
];

/// The spans between two marks next to each other, as bits.
type Atoms = u32;

fn atoms(interval: Interval) -> Atoms {
    let inside = |w: &[u64]| interval.start() <= w[0] && w[1] <= interval.end();
    MARKS
        .windows(2)
        .enumerate()
        .filter(|(_, w)| inside(w))
        .map(|(i, _)| 1 << i)
        .sum()
}

fn between(from: usize, to: usize) -> Interval {
    Interval::new(MARKS[from], MARKS[to]).unwrap()
}

/// What is done in one step. Numbers are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    Enter(Mode, (usize, usize), Option<(usize, usize)>),
    Try(Mode, (usize, usize), Option<(usize, usize)>),
    BehindReaders((usize, usize), Option<(usize, usize)>),
    Release(usize),
    ReleaseBelow(usize, usize),
    ReleaseFrom(usize, usize),
    Downgrade(usize),
    Leave(usize),
    /// A guard, or a place in the line, is leaked, and its request made again.
    Again(usize, Mode, (usize, usize), Option<(usize, usize)>),
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Read), Just(Mode::Write)]
}

fn span() -> impl Strategy<Value = (usize, usize)> {
    let any = (0..MARKS.len() - 1, 0..MARKS.len() - 1).prop_map(|(a, b)| (a.min(b), a.max(b) + 1));
    let short = (0..MARKS.len() - 2).prop_map(|a| (a, a + 1));
    prop_oneof![3 => short, 2 => any, 1 => Just((0, MARKS.len() - 1))]
}

fn step() -> impl Strategy<Value = Step> {
    let request = || (mode(), span(), prop::option::weighted(0.2, span()));
    let which = || 0..64usize;
    let mark = || 0..MARKS.len();
    prop_oneof![
        6 => request().prop_map(|(m, a, b)| Step::Enter(m, a, b)),
        2 => request().prop_map(|(m, a, b)| Step::Try(m, a, b)),
        1 => (span(), prop::option::weighted(0.2, span()))
            .prop_map(|(a, b)| Step::BehindReaders(a, b)),
        5 => which().prop_map(Step::Release),
        2 => (which(), mark()).prop_map(|(w, m)| Step::ReleaseBelow(w, m)),
        2 => (which(), mark()).prop_map(|(w, m)| Step::ReleaseFrom(w, m)),
        1 => which().prop_map(Step::Downgrade),
        2 => which().prop_map(Step::Leave),
        1 => (which(), request()).prop_map(|(w, (m, a, b))| Step::Again(w, m, a, b)),
    ]
}

/// A request, and what the oracle knows of it.
struct Entry<'l> {
    request: Pooled<'l>,
    mode: Mode,
    atoms: Atoms,
}

/// The requests that have not been released, in the order of their arrival.
struct World<'l> {
    lock: &'l Lock,
    entries: Vec<Entry<'l>>,
    /// Requests that have been used, and are nowhere now.
    pool: Vec<Pooled<'l>>,
}

type Pooled<'l> = Pin<Box<Request<'l>>>;

impl<'l> World<'l> {
    fn new(lock: &'l Lock) -> Self {
        Self {
            lock,
            entries: Vec::new(),
            pool: Vec::new(),
        }
    }

    /// One that was used before, if there is any.
    fn request(&mut self) -> Pooled<'l> {
        let used = self.pool.pop();
        used.unwrap_or_else(|| Box::pin(Request::new(self.lock)))
    }

    fn give_back(&mut self, request: Pooled<'l>) {
        assert_eq!(request.placed_for_test(), 0);
        self.pool.push(request);
    }

    /// Whether an earlier entry than number `at` is in conflict with these.
    fn blocked(&self, at: usize, mode: Mode, atoms: Atoms) -> bool {
        self.entries[..at]
            .iter()
            .any(|e| e.atoms & atoms != 0 && (e.mode == Mode::Write || mode == Mode::Write))
    }

    fn is_granted(&self, at: usize) -> bool {
        let entry = &self.entries[at];
        !self.blocked(at, entry.mode, entry.atoms)
    }

    /// The number of a granted (or a waiting) entry.
    fn pick(&self, which: usize, granted: bool) -> Option<usize> {
        let all: Vec<_> = (0..self.entries.len())
            .filter(|&at| self.is_granted(at) == granted)
            .collect();
        (!all.is_empty()).then(|| all[which % all.len()])
    }

    fn ranges(a: (usize, usize), b: Option<(usize, usize)>) -> (Ranges, Atoms) {
        let first = between(a.0, a.1);
        let second = b.map(|b| between(b.0, b.1));
        match second.and_then(|second| Some((Ranges::two(first, second)?, second))) {
            Some((two, second)) => (two, atoms(first) | atoms(second)),
            None => (first.into(), atoms(first)),
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Enter(mode, a, b) => {
                let (ranges, atoms) = Self::ranges(a, b);
                let mut request = self.request();
                request.as_mut().enter_for_test(ranges, mode);
                self.stands(true, request, mode, atoms);
            }
            Step::Try(mode, a, b) => {
                let (ranges, atoms) = Self::ranges(a, b);
                let mut request = self.request();
                let got = request.as_mut().try_for_test(ranges, mode);
                let expected = !self.blocked(self.entries.len(), mode, atoms);
                assert_eq!(got, expected, "try");
                self.stands(got, request, mode, atoms);
            }
            Step::BehindReaders(a, b) => {
                let (ranges, atoms) = Self::ranges(a, b);
                let mut request = self.request();
                let got = request.as_mut().enter_behind_readers_for_test(ranges);
                // What a reader would wait for are the writers.
                let expected = !self.blocked(self.entries.len(), Mode::Read, atoms);
                assert_eq!(got, expected, "behind readers");
                self.stands(got, request, Mode::Write, atoms);
            }
            Step::Release(which) => {
                if let Some(at) = self.pick(which, true) {
                    let request = self.entries.remove(at).request;
                    request.release_all();
                    self.give_back(request);
                }
            }
            Step::ReleaseBelow(which, mark) => {
                if let Some(at) = self.pick(which, true) {
                    let entry = &mut self.entries[at];
                    entry.request.trim(|held| held.above(MARKS[mark]));
                    entry.atoms &= !((1 << mark) - 1);
                }
            }
            Step::ReleaseFrom(which, mark) => {
                if let Some(at) = self.pick(which, true) {
                    let entry = &mut self.entries[at];
                    entry.request.trim(|held| held.below(MARKS[mark]));
                    entry.atoms &= (1 << mark) - 1;
                }
            }
            Step::Downgrade(which) => {
                if let Some(at) = self.pick(which, true) {
                    let entry = &mut self.entries[at];
                    if entry.mode == Mode::Write {
                        entry.request.downgrade();
                        entry.mode = Mode::Read;
                    }
                }
            }
            Step::Leave(which) => {
                if let Some(at) = self.pick(which, false) {
                    let entry = self.entries.remove(at);
                    assert!(entry.request.leave().is_err(), "it was not granted");
                    self.give_back(entry.request);
                }
            }
            Step::Again(which, mode, a, b) => {
                let len = self.entries.len();
                if len != 0 {
                    let leaked = self.entries.remove(which % len).request;
                    self.pool.push(leaked);
                    self.apply(Step::Enter(mode, a, b));
                }
            }
        }
    }

    /// `request` stands in the line now, or it does not.
    fn stands(&mut self, got: bool, request: Pooled<'l>, mode: Mode, atoms: Atoms) {
        match got {
            false => self.give_back(request),
            true => self.entries.push(Entry {
                request,
                mode,
                atoms,
            }),
        }
    }

    /// Whatever is left goes in any order.
    fn empty(&mut self) {
        while !self.entries.is_empty() {
            let at = self.pick(7, true).expect("the first is always granted");
            self.entries.remove(at);
            self.check();
        }
        assert!(self.lock.places().is_empty());
    }

    fn check(&self) {
        let placed = self.entries.iter().map(|e| e.request.placed_for_test());
        assert_eq!(
            self.lock.places().check_trees(),
            placed.sum::<usize>(),
            "parts in trees"
        );
        for (at, entry) in self.entries.iter().enumerate() {
            assert_eq!(
                entry.request.is_granted_for_test(),
                self.is_granted(at),
                "request {at} of {}",
                self.entries.len()
            );
        }
    }
}

/// Short sequences, if `FAULTLINE_CASES` says nothing else. (`PROPTEST_CASES` would
/// also make as many long ones: proptest puts it over any configuration.)
const SHORT: u32 = 2000;
/// Requests that a long sequence has at a time, at most.
const CROWD: usize = 24;

/// How long a failing sequence is made shorter, in milliseconds.
const SHRINKING: u32 = 20_000;

/// So many cases for each [`SHORT`] ones.
fn cases(share: u32) -> ProptestConfig {
    let wanted = std::env::var("FAULTLINE_CASES").ok();
    let wanted: u32 = wanted.and_then(|n| n.parse().ok()).unwrap_or(SHORT);
    ProptestConfig {
        cases: (wanted.saturating_mul(share) / SHORT).max(1),
        max_shrink_iters: 100_000,
        max_shrink_time: SHRINKING,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(SHORT))]

    /// Exclusion, first come first served, no lost grant, partial release
    /// exact: after each step the requests that are granted are those that no
    /// earlier one is in conflict with.
    #[test]
    fn the_granted_are_those_without_an_earlier_conflict(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let lock = Lock::in_place(SHAPE);
        let mut world = World::new(&lock);
        for step in steps {
            world.apply(step);
            world.check();
        }
        world.empty();
    }
}

proptest! {
    #![proptest_config(cases(20))]

    /// The same after a long life: what came and went leaves nothing behind.
    #[test]
    fn a_long_sequence_is_like_a_short_one(
        steps in prop::collection::vec(step(), 2000)
    ) {
        let lock = Lock::in_place(SHAPE);
        let mut world = World::new(&lock);
        for (n, step) in steps.into_iter().enumerate() {
            if world.entries.len() >= CROWD {
                world.apply(Step::Release(n));
            }
            world.apply(step);
            world.check();
        }
        world.empty();
    }
}

#[test]
fn a_leaked_guard_is_released_with_its_request() {
    let lock = Lock::in_place(SHAPE);
    {
        let request = core::pin::pin!(Request::new(&lock));
        core::mem::forget(request.write(between(0, 4)));
    }
    assert!(lock.places().is_empty());
    let request = core::pin::pin!(Request::new(&lock));
    assert!(request.try_write(between(0, 4)).is_some());
}

/// The leaked guard is of a request that had waited before, so there is nobody
/// any more who grants it.
#[test]
fn a_guard_leaked_after_a_wait_is_released_with_its_request() {
    let lock = Lock::in_place(SHAPE);
    std::thread::scope(|scope| {
        let holder = core::pin::pin!(Request::new(&lock));
        let held = holder.write(between(0, 1));
        let waiting = scope.spawn(|| {
            let mut request = core::pin::pin!(Request::new(&lock));
            drop(request.as_mut().write(between(0, 1)));
            core::mem::forget(request.as_mut().write(between(2, 3)));
        });
        while lock.places().check_trees() < 2 {
            std::thread::yield_now();
        }
        drop(held);
        waiting.join().unwrap();
    });
    assert!(lock.places().is_empty());
}

#[test]
fn a_request_can_be_made_again() {
    let lock = Lock::in_place(SHAPE);
    let mut request = core::pin::pin!(Request::new(&lock));
    for at in 0..4 {
        let other = core::pin::pin!(Request::new(&lock));
        let guard = request.as_mut().write(between(at, at + 1));
        assert!(other.try_read(between(at, at + 1)).is_none());
        drop(guard);
    }
}

#[test]
fn all_conflicts_with_any() {
    let lock = Lock::in_place(SHAPE);
    let all = core::pin::pin!(Request::new(&lock));
    let _all = all.read(Interval::ALL);
    for at in 0..MARKS.len() - 1 {
        let one = core::pin::pin!(Request::new(&lock));
        assert!(one.try_write(between(at, at + 1)).is_none());
        let one = core::pin::pin!(Request::new(&lock));
        assert!(one.try_read(between(at, at + 1)).is_some());
    }
}

#[test]
fn a_waiter_knows_whether_it_is_behind_a_holder() {
    let lock = Lock::in_place(SHAPE);
    let [reader, writer, behind, other, beside] = [(); 5].map(|()| Box::pin(Request::new(&lock)));
    let (mut reader, mut writer, mut behind) = (reader, writer, behind);
    let (mut other, mut beside) = (other, beside);
    let held = reader.as_mut().read(between(0, 1));
    let waiting = writer.as_mut().queue_write(between(0, 10));
    assert!(waiting.must_wait() && waiting.is_behind_holder());
    // It only overlaps who waits.
    let behind = behind.as_mut().queue_read(between(8, 9));
    assert!(behind.must_wait() && !behind.is_behind_holder());
    let alone = other.as_mut().write(between(12, 19));
    let beside = beside.as_mut().queue_read(between(14, 15));
    assert!(beside.must_wait() && beside.is_behind_holder());
    drop(held);
    assert!(behind.is_behind_holder());
    drop((waiting, alone));
    assert!(behind.is_behind_holder() && beside.is_behind_holder());
}
