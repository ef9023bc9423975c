// SPDX-License-Identifier: GPL-2.0-only

//! A count of pages with a limit, of which each processor keeps a stock.
//!
//! As the memory controller charges (`mm/memcontrol.c`): pages are taken out of the
//! limit, and out of a total, under a lock. A processor takes more than it needs and
//! keeps them in its [`Stock`], from which others of its pages are counted and to
//! which those that go return, by one atomic operation on its own line. Where
//! nothing can be taken any more, the stocks of all processors are closed, and what
//! was in them is used.
//!
//! So a page is counted by taking one that is there, and none is made but by taking
//! it out of the limit: that the limit is kept does not depend on who sees what when.
//! Under the lock, `taken` is what is counted and what is in stocks, and no more than
//! the limit, unless that was lowered: [`Count::recall`] then closes all stocks, and none
//! is opened beyond the limit. A closed stock neither gives nor takes, and only the lock's
//! holder opens one; so who has closed all of them has an exact count, and who then finds
//! no room has had none.

use super::{
    bug::Bug,
    sync::{full_barrier, is_busted, Acquire, AtomicLong, Full, Relaxed, Release},
};

/// The pages that all counts together may take, and how many are left. In a line of its own.
#[repr(align(64))]
pub struct Total(AtomicLong);

/// What a processor has taken ahead.
///
/// # Invariants
///
/// The word is `most << 32 | pages`: at most how many pages, and how many. All-zero
/// bytes are a closed stock.
#[repr(transparent)]
pub struct Stock(AtomicLong);

/// The processors that count, and what they have in common.
pub trait Processors {
    /// The stock of this one. As the caller may lose it, another may use it, too.
    fn own(&self) -> &Stock;
    /// Those of all.
    fn all(&self) -> impl Iterator<Item = &Stock>;
    /// How many there may be, at least one.
    fn number(&self) -> u64;
    /// Calls it with the lock held.
    fn locked<R>(&self, then: impl FnOnce() -> R) -> R;
    /// What all counts share.
    fn total(&self) -> &Total;
}

/// A count: see the module.
pub struct Count {
    limit: AtomicLong,
    /// What was taken out of the limit and the total. Written under the lock.
    taken: AtomicLong,
    /// The most that all open stocks may have. Written under the lock.
    open: AtomicLong,
}

/// The most pages that the stock of a processor has.
const MOST: u64 = 4096;

/// What a small count is: so many pages, or so many for each processor.
const SMALL: (u64, u64) = (1024, 128);

impl Total {
    /// So many are left.
    pub const fn new(pages: AtomicLong) -> Self {
        Self(pages)
    }

    /// Sets how many are left, before any count has taken some.
    pub fn init(&self, pages: u64) {
        self.0.store(pages, Relaxed);
    }

    fn left(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Takes up to `wanted`, as many as are left.
    fn take(&self, wanted: u64) -> u64 {
        let mut left = self.left();
        loop {
            let taken = wanted.min(left);
            if taken == 0 {
                return 0;
            }
            // Relaxed: a number, which stands for nothing else in memory.
            match self.0.cmpxchg(left, left - taken, Relaxed) {
                Ok(_) => return taken,
                Err(now) => left = now,
            }
        }
    }

    /// Takes back what a count had taken.
    pub fn give_back(&self, pages: u64) {
        self.0.fetch_add(pages, Relaxed);
    }
}

impl Stock {
    /// A closed one.
    pub fn new() -> Self {
        Self(AtomicLong::new(0))
    }

    /// The most that it may have, and what it has.
    pub fn look(&self) -> (u64, u64) {
        let word = self.0.load(Relaxed);
        (word >> 32, word & u64::from(u32::MAX))
    }

    /// Takes a page, if it has one.
    #[inline]
    fn take_one(&self) -> bool {
        let mut word = self.0.load(Relaxed);
        while word & u64::from(u32::MAX) != 0 {
            // Release: who closes the stock, and finds it gone, sees what was given back
            // to the total before.
            match self.0.cmpxchg(word, word - 1, Release) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Puts `pages` into it, if it may have so many more.
    fn put(&self, pages: u64) -> bool {
        let mut word = self.0.load(Relaxed);
        while (word & u64::from(u32::MAX)) + pages <= word >> 32 {
            // Full: pairs with the barrier in `Count::give_back`.
            match self.0.cmpxchg(word, word + pages, Full) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }
}

impl Default for Stock {
    fn default() -> Self {
        Self::new()
    }
}

impl Count {
    /// Zero, with `limit`. All stocks are closed.
    pub fn new(limit: u64) -> Self {
        Self {
            limit: AtomicLong::new(limit),
            taken: AtomicLong::new(0),
            open: AtomicLong::new(0),
        }
    }

    /// Counts one page more. Returns whether that kept within the limit and the
    /// total; if not, nothing was counted.
    ///
    /// As long as the processor has a stock this reads and writes nothing else.
    #[inline]
    pub fn try_add_one(&self, by: &impl Processors) -> bool {
        by.own().take_one() || self.try_add_more(by)
    }

    /// The same, and fills the stock of this processor.
    #[cold]
    fn try_add_more(&self, by: &impl Processors) -> bool {
        by.locked(|| {
            let own = by.own();
            // Filled meanwhile, or that of another processor.
            if own.take_one() {
                return true;
            }
            // Taken, and in no stock.
            let mut free = self.close(own);
            let most = self.most(by, free);
            let limit = self.limit();
            let room = limit.saturating_sub(self.taken());
            let wanted = (1 + most / 2).saturating_sub(free);
            free += self.take(by, wanted.min(room));
            if (free == 0 || self.taken() > limit) && !is_busted(Bug::KeepStocks) {
                free += self.close_all(by);
                // Another count may have given back what one of these stocks then had.
                if free == 0 && !is_busted(Bug::AskTotalOnce) {
                    free = self.take(by, room.min(1));
                }
            }
            // The latter if the limit was lowered, and then it is exact.
            let fits = free > 0 && self.taken() - free < limit;
            if fits {
                free -= 1;
                free -= self.open(own, most, free.min(most / 2));
            }
            self.give(by, free);
            fits
        })
    }

    /// Counts `pages` less, which are counted.
    pub fn sub(&self, by: &impl Processors, pages: u64) {
        if pages == 0 {
            return;
        }
        if !by.own().put(pages) {
            self.sub_more(by, pages);
        }
        if self.is_too_much(by, self.at_least(0)) {
            self.give_back(by);
        }
    }

    /// Counts less than fits into the stock of this processor, which is left half full.
    #[cold]
    fn sub_more(&self, by: &impl Processors, pages: u64) {
        by.locked(|| {
            let own = by.own();
            let is_open = own.look().0 != 0;
            let mut free = self.close(own) + pages;
            if is_open {
                let most = self.most(by, free);
                free -= self.open(own, most, free.min(most / 2));
            }
            self.give(by, free);
        });
    }

    /// How many pages all stocks together may have, with `used` that are counted.
    ///
    /// Half as many for few, so that small counts leave enough to others, and stocks of
    /// which as much comes as goes are never called too much; and then a part of
    /// what is used, so that a processor takes the lock the less often the more there are.
    fn ahead(by: &impl Processors, used: u64) -> u64 {
        (used / 2).min(Self::small(by)).max(used / 4)
    }

    fn small(by: &impl Processors) -> u64 {
        SMALL.0.max(SMALL.1 * by.number())
    }

    /// How many pages the stock of a processor may have now, `free` being taken and in
    /// none. The lock is held.
    ///
    /// All together have no more than half of what nobody has taken.
    fn most(&self, by: &impl Processors, free: u64) -> u64 {
        let taken = self.taken() - free;
        let room = self.limit().saturating_sub(taken);
        let room = room.min(by.total().left().saturating_add(free));
        let mut used = self.used(by, free);
        if Self::ahead(by, used) >= Self::small(by) {
            // Of a large count stocks are no more than a fourth.
            used = taken;
        }
        (Self::ahead(by, used).min(room / 2) / by.number()).min(MOST)
    }

    /// How many pages are counted, or less; exact if the count may be small, as only then
    /// the stocks of others are looked at. The lock is held.
    fn used(&self, by: &impl Processors, free: u64) -> u64 {
        let used = self.at_least(free);
        if self.open.load(Relaxed) == 0 {
            return used;
        }
        match Self::ahead(by, used) < Self::small(by) {
            true => self.taken().saturating_sub(free + Self::in_stocks(by)),
            false => used,
        }
    }

    /// How many are counted if all stocks are full.
    fn at_least(&self, free: u64) -> u64 {
        let in_stocks = self.open.load(Relaxed);
        self.taken().saturating_sub(free + in_stocks)
    }

    /// Whether the stocks may have far more than is called for with `used` that are counted.
    fn is_too_much(&self, by: &impl Processors, used: u64) -> bool {
        self.open.load(Relaxed) > 2 * Self::ahead(by, used)
    }

    /// Closes the stocks if they may have far more than is called for.
    ///
    /// If nothing is left, all is given back: who puts the last page into a stock, or
    /// gives it back, looks here behind that. Of two who do, with the full barriers in
    /// between one sees what both have done.
    #[cold]
    fn give_back(&self, by: &impl Processors) {
        by.locked(|| {
            // Pairs with `Stock::put`.
            full_barrier();
            if self.is_too_much(by, self.used(by, 0)) {
                self.close_stocks(by);
            }
        });
    }

    /// Whether the limit, or the total, is reached.
    pub fn is_full(&self, by: &impl Processors) -> bool {
        let may_take = || self.taken() < self.limit() && by.total().left() != 0;
        if by.own().look().1 != 0 || may_take() {
            return false;
        }
        // Stocks that are open change while they are looked at one by one. And the total
        // comes last: another count may give back what one of them then had.
        by.locked(|| {
            if is_busted(Bug::LookAtOpenStocks) {
                return self.taken() - Self::in_stocks(by) >= self.limit();
            }
            let free = self.close_all(by);
            let limit_is_reached = self.taken() - free >= self.limit();
            let is_full = limit_is_reached || (free == 0 && by.total().left() == 0);
            self.give(by, free);
            is_full
        })
    }

    /// The number of pages counted; exact once nobody counts.
    pub fn get(&self, by: &impl Processors) -> u64 {
        by.locked(|| self.taken().saturating_sub(Self::in_stocks(by)))
    }

    /// The limit in force.
    pub fn limit(&self) -> u64 {
        self.limit.load(Relaxed)
    }

    /// Lowers the limit, unless `limit` is above the one in force. What is in stocks may
    /// still be counted, until [`Count::recall`].
    pub fn lower_limit(&self, by: &impl Processors, limit: u64) -> bool {
        by.locked(|| {
            let may = limit <= self.limit();
            if may {
                self.limit.store(limit, Relaxed);
            }
            may
        })
    }

    /// Closes all stocks.
    pub fn recall(&self, by: &impl Processors) {
        if !is_busted(Bug::RecallNothing) {
            by.locked(|| self.close_stocks(by));
        }
    }

    /// What was taken out of the total.
    pub fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    fn in_stocks(by: &impl Processors) -> u64 {
        by.all().map(|stock| stock.look().1).sum()
    }

    /// Takes up to `wanted` out of the total. The lock is held, as in what follows.
    fn take(&self, by: &impl Processors, wanted: u64) -> u64 {
        let got = by.total().take(wanted);
        self.taken.store(self.taken() + got, Relaxed);
        got
    }

    /// Gives back what is in no stock.
    fn give(&self, by: &impl Processors, free: u64) {
        if free != 0 {
            self.taken.store(self.taken() - free, Relaxed);
            by.total().give_back(free);
        }
    }

    /// Opens a closed stock with `pages`, and returns how many that were.
    fn open(&self, stock: &Stock, most: u64, pages: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        self.open.store(self.open.load(Relaxed) + most, Relaxed);
        // Others do not write to a closed one. Release: pairs with `Stock::put`, so
        // that who puts pages into it sees `open`, in `sub`. (No test shows it.)
        stock.0.store(most << 32 | pages, Release);
        pages
    }

    /// Closes a stock, and returns what was in it.
    fn close(&self, stock: &Stock) -> u64 {
        if stock.look() == (0, 0) {
            return 0;
        }
        // Acquire: pairs with `Stock::take_one`.
        let word = stock.0.xchg(0, Acquire);
        self.open
            .store(self.open.load(Relaxed) - (word >> 32), Relaxed);
        word & u64::from(u32::MAX)
    }

    fn close_all(&self, by: &impl Processors) -> u64 {
        by.all().map(|stock| self.close(stock)).sum()
    }

    fn close_stocks(&self, by: &impl Processors) {
        let free = self.close_all(by);
        self.give(by, free);
    }
}
