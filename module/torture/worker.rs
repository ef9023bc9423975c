// SPDX-License-Identifier: GPL-2.0-only

//! The threads that take the lock.

use core::pin::pin;

use kernel::{
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    time::{
        delay::{fsleep, udelay},
        Delta,
    },
};

use super::{
    cells::{Cut, Set, Wish},
    random::Random,
    test::Test,
};
use crate::kern::{
    kthread,
    range_lock::{Guard, Read, Write},
};

/// What a thread does to the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Writes, and reads when it has downgraded.
    Writer,
    /// Reads.
    Reader,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Writer => "torture_writer",
            Self::Reader => "torture_reader",
        }
    }
}

/// What has become of a thread's requests.
pub(crate) struct Counts {
    /// Granted.
    pub(crate) acquired: Atomic<u64>,
    /// Given up at once, because something was in the way.
    pub(crate) missed: Atomic<u64>,
    /// Ended by a fatal signal.
    pub(crate) killed: Atomic<u64>,
    /// Granted when they should not have been.
    pub(crate) failed: Atomic<u64>,
}

/// A thread.
pub(crate) struct Worker {
    /// Of this test.
    test: Arc<Test>,
    /// What it does.
    pub(crate) role: Role,
    index: usize,
    /// Relaxed: statistics.
    pub(crate) counts: Counts,
}

/// How a request ended without the pages.
enum Missed {
    InTheWay,
    Killed,
}

impl From<Error> for Missed {
    fn from(_: Error) -> Self {
        Self::Killed
    }
}

/// A guard; none if the lock was not taken.
type Got<G> = Result<Option<G>, Missed>;

impl Worker {
    /// Number `index` of all threads.
    pub(crate) fn new(test: Arc<Test>, role: Role, index: usize) -> Result<Arc<Self>> {
        let zero = || Atomic::new(0);
        let counts = Counts {
            acquired: zero(),
            missed: zero(),
            killed: zero(),
            failed: zero(),
        };
        let worker = Self {
            test,
            role,
            index,
            counts,
        };
        Ok(Arc::new(worker, GFP_KERNEL)?)
    }

    fn say(&self, what: &str) {
        if self.test.settings.verbose {
            let (kind, name) = (self.test.kind.name(), self.role.name());
            pr_alert!("{kind}-torture: {name} {} {what}\n", self.index);
        }
    }

    /// One request.
    fn turn(&self, random: &mut Random) {
        let wish = Wish::random(random);
        let lock = &self.test.lock;
        let request = pin!(lock.request());
        let pages = wish.pages;
        let skip = self.test.skips_lock(random);
        let how = random.below(8);
        let missed = match self.role {
            Role::Writer => self.write(random, wish.cells, || {
                Ok(Some(match how {
                    _ if skip => return Ok(None),
                    0 => lock.try_write(request, pages).ok_or(Missed::InTheWay)?,
                    1 => {
                        let held = lock.write_behind_readers(request, pages)?;
                        held.ok_or(Missed::InTheWay)?
                    }
                    2..5 => lock.write_killable(request, pages)?,
                    _ => lock.write(request, pages),
                }))
            }),
            Role::Reader => self.read(random, wish.cells, || {
                Ok(Some(match how {
                    _ if skip => return Ok(None),
                    0 => lock.try_read(request, pages).ok_or(Missed::InTheWay)?,
                    1..5 => lock.read_killable(request, pages)?,
                    _ => lock.read(request, pages),
                }))
            }),
        };
        match missed {
            Ok(()) => self.counts.acquired.add(1, Relaxed),
            Err(Missed::InTheWay) => self.counts.missed.add(1, Relaxed),
            Err(Missed::Killed) => {
                self.counts.killed.add(1, Relaxed);
                kthread::forget_kill();
            }
        }
    }

    fn write<'r, 'l: 'r>(
        &self,
        random: &mut Random,
        mut cells: Set,
        take: impl FnOnce() -> Got<Guard<'r, 'l, Write>>,
    ) -> Result<(), Missed> {
        let mut held = take()?;
        let oracle = &self.test.cells;
        self.note(oracle.begin_write(cells));
        self.hold(random);
        if random.one_in(4) {
            let (cut, low) = (Cut::random(random), random.one_in(2));
            let released = take_out(&mut cells, cut, low);
            self.note(oracle.end_write(released));
            give_back(&mut held, cut, low);
            self.hold(random);
        }
        if random.one_in(4) {
            self.note(oracle.downgrade(cells));
            let held = held.map(Guard::downgrade);
            self.hold(random);
            self.note(oracle.end_read(cells));
            drop(held);
        } else {
            self.note(oracle.end_write(cells));
            drop(held);
        }
        Ok(())
    }

    fn read<'r, 'l: 'r>(
        &self,
        random: &mut Random,
        mut cells: Set,
        take: impl FnOnce() -> Got<Guard<'r, 'l, Read>>,
    ) -> Result<(), Missed> {
        let mut held = take()?;
        let oracle = &self.test.cells;
        self.note(oracle.begin_read(cells));
        self.hold(random);
        if random.one_in(4) {
            let (cut, low) = (Cut::random(random), random.one_in(2));
            let released = take_out(&mut cells, cut, low);
            self.note(oracle.end_read(released));
            give_back(&mut held, cut, low);
            self.hold(random);
        }
        self.note(oracle.end_read(cells));
        drop(held);
        Ok(())
    }

    fn note(&self, wrong: Option<super::cells::Wrong>) {
        if self.test.note(self.role.name(), wrong) {
            self.counts.failed.add(1, Relaxed);
        }
    }

    /// Mostly short, to be like real code; now and then long, so that many
    /// come to wait.
    fn hold(&self, random: &mut Random) {
        let settings = &self.test.settings;
        let threads = (settings.writers + settings.readers) as u64;
        let long = settings.long_hold as u64;
        if long != 0 && random.one_in(threads * 200 * long) {
            fsleep(Delta::from_millis(settings.long_hold));
        } else if random.one_in(64) {
            fsleep(Delta::from_micros(100));
        } else if random.one_in(4) {
            udelay(Delta::from_micros(2));
        }
    }
}

impl kthread::Body for Worker {
    fn run(&self) {
        kthread::be_nice();
        kthread::accept_kills();
        self.say("task started");
        let mut random = Random::new(self.index);
        while !kthread::should_stop() {
            self.turn(&mut random);
            if random.one_in(1024) {
                fsleep(Delta::from_millis(1));
            }
        }
        self.say("is stopping");
    }
}

/// Takes what lies on one side of `cut` out of `cells`, and returns it.
fn take_out(cells: &mut Set, cut: Cut, low: bool) -> Set {
    let (below, above) = cut.split(*cells);
    let (released, kept) = if low { (below, above) } else { (above, below) };
    *cells = kept;
    released
}

/// Does the same to what is held.
fn give_back<M: crate::kern::range_lock::Mode>(
    held: &mut Option<Guard<'_, '_, M>>,
    cut: Cut,
    low: bool,
) {
    match held {
        Some(held) if low => held.release_below(cut.page()),
        Some(held) => held.release_from(cut.page()),
        None => {}
    }
}
