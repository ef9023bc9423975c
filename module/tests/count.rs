// SPDX-License-Identifier: GPL-2.0-only
//! The count of pages, with threads for processors.

use std::sync::{Barrier, Mutex};
use std::thread;

use faultline_portable::{
    count::{Count, Processors, Stock, Total},
    sync::AtomicLong,
};

thread_local! {
    static NUMBER: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn new_total(pages: u64) -> Total {
    Total::new(AtomicLong::new(pages))
}

struct Space<'a> {
    count: Count,
    stocks: Vec<Stock>,
    /// How often it was locked.
    lock: Mutex<u64>,
    total: &'a Total,
}

impl<'a> Space<'a> {
    fn new(processors: usize, limit: u64, total: &'a Total) -> Self {
        Self {
            count: Count::new(limit),
            stocks: (0..processors).map(|_| Stock::new()).collect(),
            lock: Mutex::new(0),
            total,
        }
    }

    fn add(&self) -> bool {
        self.count.try_add_one(self)
    }

    fn add_up_to(&self, pages: u64) -> u64 {
        (0..pages).filter(|_| self.add()).count() as u64
    }

    fn sub(&self, pages: u64) {
        self.count.sub(self, pages);
    }

    fn get(&self) -> u64 {
        self.count.get(self)
    }

    fn lower(&self, limit: u64) {
        assert!(self.count.lower_limit(self, limit));
        self.count.recall(self);
    }

    /// What it has of the total, and does not use.
    fn ahead(&self) -> u64 {
        self.count.taken() - self.get()
    }
}

impl Processors for Space<'_> {
    fn own(&self) -> &Stock {
        &self.stocks[NUMBER.get()]
    }

    fn all(&self) -> impl Iterator<Item = &Stock> {
        self.stocks.iter()
    }

    fn number(&self) -> u64 {
        self.stocks.len() as u64
    }

    fn locked<R>(&self, then: impl FnOnce() -> R) -> R {
        let mut visits = self.lock.lock().unwrap();
        *visits += 1;
        then()
    }

    fn total(&self) -> &Total {
        self.total
    }
}

/// Runs `body` on as many processors, all at once, and adds up.
fn on_all(processors: usize, body: impl Fn(usize) -> u64 + Sync) -> u64 {
    let barrier = Barrier::new(processors);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors)
            .map(|number| {
                let (body, barrier) = (&body, &barrier);
                scope.spawn(move || {
                    NUMBER.set(number);
                    barrier.wait();
                    body(number)
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    })
}

const PLENTY: u64 = 1 << 30;

#[test]
fn as_many_succeed_as_there_is_room_for() {
    for limit in [1, 7, 100, 1000, 20_000] {
        let total = new_total(PLENTY);
        let space = Space::new(4, limit, &total);
        assert_eq!(on_all(4, |_| space.add_up_to(limit)), limit);
        assert_eq!(space.get(), limit);
        assert!(space.count.is_full(&space));
        space.sub(3.min(limit));
        assert_eq!(on_all(4, |_| space.add_up_to(4)), 3.min(limit));
    }
}

#[test]
fn what_others_have_ahead_is_used_at_the_limit() {
    let (total, plenty) = (new_total(60_000), new_total(PLENTY));
    for space in [
        Space::new(4, 60_000, &plenty),
        Space::new(4, PLENTY, &total),
    ] {
        assert_eq!(on_all(4, |_| space.add_up_to(10_000)), 40_000);
        assert!(space.ahead() > 0, "nothing to use");
        assert_eq!(space.add_up_to(30_000), 20_000);
        assert!(space.count.is_full(&space));
    }
}

#[test]
fn a_lowered_limit_holds_whatever_was_taken_ahead() {
    for room in [0, 1, 5, 300] {
        let total = new_total(PLENTY);
        let space = Space::new(4, PLENTY, &total);
        let held = on_all(4, |_| space.add_up_to(20_000));
        assert!(space.ahead() > 0, "nothing to recall");
        space.lower(held + room);
        assert_eq!(on_all(4, |_| space.add_up_to(400)), room);
        // Below what is held.
        space.lower(held - 1000);
        space.sub(room + 1000);
        assert_eq!(on_all(4, |_| space.add_up_to(3)), 0);
        space.sub(1);
        assert_eq!(on_all(4, |_| space.add_up_to(3)), 1);
    }
}

#[test]
fn what_one_removes_another_adds() {
    const ROUNDS: u64 = 20_000;
    let total = new_total(300);
    let spaces = [Space::new(4, 200, &total), Space::new(4, 250, &total)];
    on_all(4, |number| {
        let mut held = [0; 2];
        for round in 0..ROUNDS {
            let which = (round as usize / 7 + number) % 2;
            let space = &spaces[which];
            match round % 13 {
                0..9 => held[which] += u64::from(space.add()),
                9 => {
                    space.sub(held[which]);
                    held[which] = 0;
                }
                _ if held[which] > 0 => {
                    space.sub(1);
                    held[which] -= 1;
                }
                _ => {}
            }
        }
        (0..2).for_each(|which| spaces[which].sub(held[which]));
        0
    });
    for space in &spaces {
        assert_eq!((space.get(), space.count.taken()), (0, 0));
    }
    // Nothing was lost, and nothing found.
    assert_eq!(spaces[0].add_up_to(300), 200);
    assert_eq!(spaces[1].add_up_to(300), 100);
}

#[test]
fn an_empty_space_has_nothing() {
    let total = new_total(PLENTY);
    let space = Space::new(8, PLENTY, &total);
    for round in 0..200 {
        let pages = 1 + round * 37 % 3000;
        on_all(8, |_| space.add_up_to(pages));
        // The last pages go at once.
        on_all(8, |_| {
            (0..pages).for_each(|_| space.sub(1));
            0
        });
        assert_eq!((space.get(), space.count.taken()), (0, 0), "round {round}");
    }
}

#[test]
fn small_spaces_take_little_ahead() {
    let total = new_total(PLENTY);
    for (pages, most) in [
        (0, 0),
        (1, 1),
        (2, 2),
        (10, 5),
        (1000, 500),
        (1 << 18, 1 << 16),
    ] {
        let space = Space::new(64, PLENTY, &total);
        for page in 0..pages {
            NUMBER.set(page as usize % 64);
            assert!(space.add());
            assert!(space.ahead() <= most, "{} ahead of {page}", space.ahead());
        }
    }
    NUMBER.set(0);
    // Of a small total most is left.
    let total = new_total(4096);
    let spaces: Vec<_> = (0..8).map(|_| Space::new(4, PLENTY, &total)).collect();
    for space in &spaces {
        assert_eq!(space.add_up_to(100), 100);
    }
    assert!(spaces.iter().map(Space::ahead).sum::<u64>() < 2048);
    assert_eq!(spaces[0].add_up_to(1024), 1024);
}

#[test]
fn a_space_that_has_shrunk_gives_back() {
    let total = new_total(PLENTY);
    let space = Space::new(8, PLENTY, &total);
    on_all(8, |_| space.add_up_to(30_000));
    let ahead = space.ahead();
    for _ in 0..479 {
        space.sub(500);
    }
    assert_eq!(space.get(), 500);
    assert!(
        space.ahead() <= 2048 && ahead > 2048,
        "{} of {ahead}",
        space.ahead()
    );
}

#[test]
fn the_lock_is_taken_the_more_seldom_the_more_there_are() {
    const PROCESSORS: usize = 16;
    let total = new_total(PLENTY);
    let space = Space::new(PROCESSORS, PLENTY, &total);
    let mut before = 0;
    let mut refills = [0_u64; 3];
    for (pages, refills) in [1000, 20_000, 200_000].into_iter().zip(&mut refills) {
        for page in 0..pages {
            NUMBER.set(page % PROCESSORS);
            space.add();
            let taken = space.count.taken();
            *refills += u64::from(taken != before);
            before = taken;
        }
    }
    NUMBER.set(0);
    assert!(refills[1] < 20_000 / 64, "{refills:?}");
    assert!(refills[2] < 200_000 / 500, "{refills:?}");
}

/// As much comes as goes, anywhere.
#[test]
fn the_lock_is_not_taken_for_what_comes_and_goes() {
    for (processors, each) in [(1, 50), (4, 160), (8, 100), (8, 1000), (64, 128)] {
        let total = new_total(PLENTY);
        let space = Space::new(processors, PLENTY, &total);
        let mut random = 1_u64;
        let mut somewhere = || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            NUMBER.set((random >> 33) as usize % processors);
        };
        for _ in 0..processors * each {
            somewhere();
            assert!(space.add());
        }
        let before = *space.lock.lock().unwrap();
        for _ in 0..10_000 {
            somewhere();
            assert!(space.add());
            space.sub(1);
        }
        let visits = *space.lock.lock().unwrap() - before;
        assert!(visits < 1000, "{processors} with {each} each: {visits}");
    }
    NUMBER.set(0);
}
