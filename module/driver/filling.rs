// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a fault: bringing a page into a space, and into a page table.
//!
//! What they have in common is here; the two ways, under a lock of the space and
//! by speculation, differ in what they know of the region.

use super::{
    backing::{Kind, NewPage},
    directory::{position, Leaf, LockedLeaf, SpacePage},
    fault::{not_ours, Failure},
    mistake::Mistake,
    point::Point,
    space::Space,
    stats::Counter,
};
use crate::{
    kern::{page_ref::PageRef, rcu_arc::RcuArc, trace_space},
    portable::{
        fault::{Again, Fit, Need, Prepared, Refusal, Slot, Steps},
        protection::Access,
    },
};

/// The page that is wanted.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) space: &'a Space,
    pub(super) page: usize,
    pub(super) access: Access,
    /// The leaf, and the slot in it.
    pub(super) index: usize,
    slot: usize,
}

impl<'a> Target<'a> {
    pub(super) fn new(space: &'a Space, page: usize, access: Access) -> Self {
        let (index, slot) = position(page);
        Self {
            space,
            page,
            access,
            index,
            slot,
        }
    }

    /// Whether a page for an empty slot would be one more than there may be.
    pub(super) fn has_no_room(&self) -> bool {
        self.space.held.is_full() && !Mistake::SkipLimit.is_made()
    }
}

/// What a fault knows of the region.
pub(super) trait Way {
    type Error: From<Failure>;

    /// What the page is made of, as far as it is known.
    fn kind(&self) -> Kind;
    /// See [`Steps::snapshot`].
    fn snapshot(
        &mut self,
        target: &Target<'_>,
        leaf: Option<&Leaf>,
        seems_empty: bool,
    ) -> Result<Need, Self::Error>;
    /// See [`Steps::prepare`].
    fn prepare(
        &mut self,
        target: &Target<'_>,
        seems_empty: bool,
    ) -> Result<Prepared<NewPage>, Self::Error>;
    /// See [`Steps::validate`].
    fn validate(
        &mut self,
        target: &Target<'_>,
        page: Option<&mut NewPage>,
    ) -> Result<Fit, Self::Error>;
    /// The page may be installed, as far as it is known: whether it is to be.
    fn admit(&self, target: &Target<'_>) -> Result<(), Self::Error>;
    /// See [`Steps::again`].
    fn again(&mut self, target: &Target<'_>, why: Again) -> Result<(), Self::Error>;
    /// The slot is about to be emptied.
    fn leaving(&self) -> Self::Error;
}

/// A fault that goes its `way`; `map` installs the entry for a page.
pub(super) struct Filling<'a, W, M> {
    target: Target<'a>,
    pub(super) way: W,
    map: M,
}

impl<'a, W: Way, M: FnMut(&PageRef) -> Result<(), Failure>> Filling<'a, W, M> {
    pub(super) fn new(target: Target<'a>, way: W, map: M) -> Self {
        Self { target, way, map }
    }

    /// Puts `new` into the slot, unless it is full, and returns the page if it
    /// belongs to a page cache. It is counted only here, under the lock: counted
    /// earlier, of two faults on the last page that the limit allows one would
    /// find the limit reached by the other.
    fn fill(
        &self,
        leaf: &mut LockedLeaf<'_>,
        new: Option<NewPage>,
        is_empty: bool,
    ) -> Result<Option<PageRef>, Failure> {
        let Target { space, slot, .. } = self.target;
        if is_empty && new.is_some() {
            if !space.held.try_add_one() && !Mistake::SkipLimit.is_made() {
                return Err(Failure::Limit);
            }
            space.stats.count(Counter::PagesAdded);
            leaf.expect_zeroes(self.way.kind() == Kind::Anon);
        }
        match new {
            Some(NewPage::Own(page)) if is_empty => {
                leaf.fill(slot, page);
                Ok(None)
            }
            Some(NewPage::Cached(page)) => {
                leaf.mark(slot);
                Ok(Some(page))
            }
            // Nobody has copied anything into it.
            Some(NewPage::Blank(_)) if is_empty => Err(not_ours()),
            Some(NewPage::Own(_) | NewPage::Blank(_)) | None => Ok(None),
        }
    }
}

impl<W: Way, M: FnMut(&PageRef) -> Result<(), Failure>> Steps for Filling<'_, W, M> {
    type Error = W::Error;
    type Page = NewPage;
    type Leaf = RcuArc<Leaf>;
    type Locked<'l> = LockedLeaf<'l>;

    fn find_leaf(&self) -> Option<RcuArc<Leaf>> {
        self.target.space.directory.leaf(self.target.index)
    }

    fn seems_empty(&self, leaf: &RcuArc<Leaf>) -> bool {
        !leaf.seems_present(self.target.slot)
    }

    fn snapshot(
        &mut self,
        leaf: Option<&RcuArc<Leaf>>,
        seems_empty: bool,
    ) -> Result<Need, W::Error> {
        self.way
            .snapshot(&self.target, leaf.map(|leaf| &**leaf), seems_empty)
    }

    fn prepare(&mut self, seems_empty: bool) -> Result<Prepared<NewPage>, W::Error> {
        self.way.prepare(&self.target, seems_empty)
    }

    fn make_leaf(&self) -> Result<RcuArc<Leaf>, W::Error> {
        Ok(Leaf::new().map_err(|_| Failure::NoMemory)?)
    }

    fn publish<'l>(&self, leaf: &'l RcuArc<Leaf>) -> Result<Option<LockedLeaf<'l>>, W::Error> {
        let directory = &self.target.space.directory;
        let published = directory.publish_locked(self.target.index, leaf);
        let locked = published.map_err(|_| Failure::NoMemory)?;
        Point::FaultPublished.reach();
        Ok(locked)
    }

    fn lock<'l>(&self, leaf: &'l RcuArc<Leaf>) -> Result<Option<LockedLeaf<'l>>, W::Error> {
        Point::FaultFound.reach();
        Ok(leaf.lock_killable().map_err(|_| Failure::Killed)?)
    }

    fn validate(&mut self, page: Option<&mut NewPage>) -> Result<Fit, W::Error> {
        self.way.validate(&self.target, page)
    }

    fn slot(&self, locked: &LockedLeaf<'_>) -> Slot {
        locked.slot(self.target.slot)
    }

    fn commit(&mut self, leaf: &mut LockedLeaf<'_>, new: Option<NewPage>) -> Result<(), W::Error> {
        self.way.admit(&self.target)?;
        let Target {
            space,
            page,
            index,
            slot,
            ..
        } = self.target;
        let is_empty = leaf.slot(slot) == Slot::Empty;
        let cached = self.fill(leaf, new, is_empty)?;
        trace_space::commit(space.lock.id(), page as u64, index, is_empty);
        Point::FaultFilled.reach();
        let own = leaf.get(slot).map(SpacePage::page);
        match cached.as_ref().or(own) {
            Some(page) => (self.map)(page)?,
            None => return Err(not_ours().into()),
        }
        Point::FaultInstalled.reach();
        Ok(())
    }

    fn abort(&self, leaf: &RcuArc<Leaf>, mut locked: LockedLeaf<'_>) {
        // It has failed, or begins anew: so may those to come, and a page be made in vain.
        locked.expect_zeroes(false);
        let directory = &self.target.space.directory;
        directory.bury_if_empty(self.target.index, leaf, &mut locked);
    }

    fn again(&mut self, why: Again) -> Result<(), W::Error> {
        self.way.again(&self.target, why)
    }

    fn refused(&self, why: Refusal) -> W::Error {
        match why {
            Refusal::NoRoom => Failure::Limit.into(),
            Refusal::Leaving => self.way.leaving(),
        }
    }
}
