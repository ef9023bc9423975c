// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a fault: what they do is what the driver's do.

use std::rc::Rc;

use faultline_portable_loom::{
    bug::Bug,
    fault::{Again, Cause, Fit, Need, Prepared, Refusal, Slot, Steps, Tries},
    sync::is_busted,
};

use super::{
    leaf::{Leaf, LockedLeaf},
    pages::PageId,
    region::{Access, Region},
    table::Table,
    world::{position, Seen, World},
};

/// What a fault knows of the region.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// What it sees.
    Speculates,
    /// All: it has the page's range lock.
    Holds(Seen),
}

/// What is got ready without a look at the region.
#[derive(Clone, Copy, Debug)]
enum Guess {
    Possible,
    Made(u32),
    Wrong,
}

pub(crate) struct Filling<'w> {
    world: &'w World,
    /// Of the window.
    table: &'w Table,
    page: usize,
    access: Access,
    index: usize,
    slot: usize,
    way: Way,
    /// What was seen of the region first, and last.
    first: Option<Seen>,
    last: Option<Region>,
    guess: Guess,
    tries: Tries,
    is_installed: bool,
}

impl<'w> Filling<'w> {
    pub(crate) fn new(
        world: &'w World,
        table: &'w Table,
        page: usize,
        access: Access,
        way: Way,
    ) -> Self {
        let (index, slot) = position(page);
        Self {
            world,
            table,
            page,
            access,
            index,
            slot,
            way,
            first: None,
            last: None,
            guess: Guess::Possible,
            tries: Tries::default(),
            is_installed: false,
        }
    }

    pub(crate) fn is_installed(&self) -> bool {
        self.is_installed
    }

    fn look(&self) -> Result<Seen, Cause> {
        let seen = self.world.region(self.page).ok_or(Cause::NoRegion)?;
        seen.region.check(self.access)?;
        Ok(seen)
    }
}

impl Steps for Filling<'_> {
    type Error = Cause;
    type Page = PageId;
    type Leaf = Rc<Leaf>;
    type Locked<'l> = LockedLeaf<'l>;

    fn find_leaf(&self) -> Option<Rc<Leaf>> {
        self.world.directory.leaf(self.index)
    }

    fn seems_empty(&self, leaf: &Rc<Leaf>) -> bool {
        !leaf.seems_present(self.slot)
    }

    fn snapshot(&mut self, leaf: Option<&Rc<Leaf>>, seems_empty: bool) -> Result<Need, Cause> {
        let may_guess = matches!(
            (self.way, self.guess),
            (Way::Speculates, Guess::Possible | Guess::Made(_))
        );
        if let (true, true, Some(leaf)) = (may_guess, seems_empty, leaf) {
            if let Some(source) = leaf.expected_source() {
                self.guess = Guess::Made(source);
                return Ok(Need::Page);
            }
        }
        let seen = match self.way {
            Way::Speculates => self.look()?,
            Way::Holds(seen) => seen,
        };
        self.first = Some(seen);
        self.last = Some(seen.region);
        Ok(match seems_empty {
            true => Need::Page,
            false => Need::Slot,
        })
    }

    fn prepare(&mut self, seems_empty: bool) -> Result<Prepared<PageId>, Cause> {
        if let (true, Guess::Made(_)) = (self.world.is_full(), self.guess) {
            // It is not to be had.
            self.guess = Guess::Wrong;
            self.first = Some(self.look()?);
        }
        if seems_empty && self.world.is_full() {
            return match self.way {
                Way::Speculates => Err(Cause::NoMemory),
                Way::Holds(_) => Ok(Prepared::NoRoom),
            };
        }
        let source = match self.guess {
            Guess::Made(source) => source,
            Guess::Possible | Guess::Wrong => self.first.ok_or(Cause::Raced)?.region.source,
        };
        Ok(Prepared::Page(self.world.pages.make(source)))
    }

    fn make_leaf(&self) -> Result<Rc<Leaf>, Cause> {
        Ok(Rc::new(Leaf::new()))
    }

    fn publish<'l>(&self, leaf: &'l Rc<Leaf>) -> Result<Option<LockedLeaf<'l>>, Cause> {
        Ok(self.world.directory.publish_locked(self.index, leaf))
    }

    fn lock<'l>(&self, leaf: &'l Rc<Leaf>) -> Result<Option<LockedLeaf<'l>>, Cause> {
        Ok(leaf.lock_alive())
    }

    fn validate(&mut self, page: Option<&mut PageId>) -> Result<Fit, Cause> {
        if let Way::Holds(_) = self.way {
            return Ok(Fit::Fits);
        }
        if let (true, Some(seen)) = (is_busted(Bug::CountInFreed), self.first) {
            match self.world.has_count(self.page, seen) {
                Some(true) => return Ok(Fit::Fits),
                Some(false) => return Err(Cause::WriterActive),
                None => {}
            }
        }
        let region = self.look()?.region;
        self.last = Some(region);
        let is_its = page.is_none_or(|page| self.world.pages.get(*page).source == region.source);
        match self.guess {
            _ if is_its => Ok(Fit::Fits),
            Guess::Made(_) if is_busted(Bug::TrustGuess) => Ok(Fit::Fits),
            Guess::Made(_) => {
                self.guess = Guess::Wrong;
                Ok(Fit::Misguessed)
            }
            Guess::Possible | Guess::Wrong => Err(Cause::Stale),
        }
    }

    fn slot(&self, locked: &LockedLeaf<'_>) -> Slot {
        locked.slot(self.slot)
    }

    fn commit(&mut self, leaf: &mut LockedLeaf<'_>, page: Option<PageId>) -> Result<(), Cause> {
        let region = self.last.expect("a region was seen");
        if let (Some(page), Slot::Empty) = (page, leaf.slot(self.slot)) {
            if !self.world.try_add_one() {
                return Err(Cause::NoMemory);
            }
            self.world.pages.belongs_to(page, region);
            leaf.fill(self.slot, page);
            leaf.expect(Some(region.source));
        }
        let own = leaf.get(self.slot).expect("the slot is full");
        self.world.pages.check_in(own, region);
        let entry = self.table.install(self.page, own, self.access);
        self.world.check(self.page, Some(entry));
        self.is_installed = true;
        Ok(())
    }

    fn abort(&self, leaf: &Rc<Leaf>, mut locked: LockedLeaf<'_>) {
        locked.expect(None);
        let directory = &self.world.directory;
        directory.bury_if_empty(self.index, leaf, &mut locked);
    }

    fn again(&mut self, why: Again) -> Result<(), Cause> {
        self.tries.again(why)
    }

    fn refused(&self, why: Refusal) -> Cause {
        match why {
            Refusal::NoRoom => Cause::NoMemory,
            Refusal::Leaving => Cause::WriterActive,
        }
    }
}
