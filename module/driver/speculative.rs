// SPDX-License-Identifier: GPL-2.0-only

//! Faults by speculation: see `portable/fault.rs` for why what they do is right.
//!
//! A fault that succeeds writes nothing that faults of other leaves write: no
//! count of a region, a file or the space. It looks at regions under RCU, and holds
//! pages of page caches, which are its own business.

use super::{
    backing::{Kind, NewPage, Sight},
    directory::{Leaf, SpacePage},
    fault::Failure,
    filling::{Target, Way},
    mistake::Mistake,
    point::Point,
    precision::Seen,
    region::{Attributes, Region},
    stats::Counter,
};
use crate::portable::{
    fault::{Again, Cause, Fit, Need, Prepared, Tries},
    protection::Access,
};

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        failure.cause()
    }
}

/// What is got ready without a look at the region.
#[derive(Clone, Copy, PartialEq)]
enum Guess {
    /// None yet, but it may be.
    Possible,
    /// It was.
    Made,
    /// Not any more: it was wrong, or not to be had.
    Wrong,
}

/// The caller has locked nothing.
pub(super) struct Speculative {
    /// What was seen of the region first, or guessed.
    sight: Sight,
    /// What the region that was seen last is made of.
    kind: Kind,
    /// The generation of that region; 0 before.
    generation: u64,
    tries: Tries,
    guess: Guess,
    /// For the coarser designs that this is compared with.
    seen: Seen,
}

impl Speculative {
    pub(super) fn new() -> Self {
        Self {
            sight: Sight::Slot,
            kind: Kind::Anon,
            generation: 0,
            tries: Tries::default(),
            guess: Guess::Possible,
            seen: Seen::new(),
        }
    }

    /// The generation of the region that was seen last, 0 if none was.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }
}

impl Speculative {
    /// Whether it was given up for nothing: its leaf was removed, by changes of other
    /// pages as it seems, as the region has stayed.
    pub(super) fn was_aborted_falsely(&self, target: &Target<'_>, cause: Cause) -> bool {
        let is_there = || {
            target.space.regions.at(target.page as u64, |region| {
                region.generation == self.generation
                    && region.attributes.check(target.access).is_ok()
            })
        };
        cause == Cause::Detached && is_there() == Some(true)
    }

    /// What was guessed, if it was and is to be had at once.
    fn guessed_page(&self, target: &Target<'_>) -> Option<NewPage> {
        let has_one = self.guess == Guess::Made && !target.has_no_room();
        has_one
            .then(|| SpacePage::zeroed_at_once().ok())?
            .map(NewPage::Own)
    }

    /// What the region has, which is looked at now if a guess stood in for it.
    fn page_seen(&mut self, target: &Target<'_>, seems_empty: bool) -> Result<NewPage, Cause> {
        if self.guess == Guess::Made {
            self.guess = Guess::Wrong;
            self.sight = self.look(target, seems_empty)?;
        }
        if seems_empty && target.has_no_room() {
            return Err(Cause::NoMemory);
        }
        self.sight.get_ready()
    }

    fn look(&mut self, target: &Target<'_>, seems_empty: bool) -> Result<Sight, Cause> {
        let page = target.page as u64;
        let seen = target.space.regions.at(page, |region| {
            self.seen.look_first(region);
            self.generation = region.generation;
            region.attributes.look(page, target.access, seems_empty)
        });
        seen.ok_or(Cause::NoRegion)?
    }

    /// Returns how many bytes of the page are those of a file that it is copied from.
    fn look_again(&mut self, target: &Target<'_>, new: Option<&NewPage>) -> Result<usize, Cause> {
        let page = target.page as u64;
        let seen = target.space.regions.at(page, |region| {
            self.seen.look_again(region);
            let Attributes { backing, .. } = &region.attributes;
            self.generation = region.generation;
            region.attributes.check(target.access)?;
            self.kind = backing.kind();
            backing
                .still_has(page, &self.sight, new)
                .ok_or(Cause::Stale)
        });
        seen.ok_or(Cause::NoRegion)?
    }
}

impl Way for Speculative {
    type Error = Cause;

    fn kind(&self) -> Kind {
        self.kind
    }

    fn snapshot(
        &mut self,
        target: &Target<'_>,
        leaf: Option<&Leaf>,
        seems_empty: bool,
    ) -> Result<Need, Cause> {
        self.seen.look(target.space, target.index);
        let may_guess = seems_empty && self.guess != Guess::Wrong && !self.seen.needs_region();
        self.sight = if may_guess && leaf.is_some_and(Leaf::expects_zeroes) {
            self.guess = Guess::Made;
            Sight::Zero
        } else {
            self.look(target, seems_empty)?
        };
        Point::FaultSnapshot.reach();
        Ok(match self.sight {
            Sight::Slot => Need::Slot,
            Sight::Zero | Sight::Cached(_) | Sight::Copy(_) => Need::Page,
        })
    }

    fn prepare(
        &mut self,
        target: &Target<'_>,
        seems_empty: bool,
    ) -> Result<Prepared<NewPage>, Cause> {
        let page = match self.guessed_page(target) {
            Some(page) => page,
            None => self.page_seen(target, seems_empty)?,
        };
        Point::FaultPrepared.reach();
        Ok(Prepared::Page(page))
    }

    fn validate(&mut self, target: &Target<'_>, new: Option<&mut NewPage>) -> Result<Fit, Cause> {
        if Mistake::SkipValidation.is_made() {
            return Ok(Fit::Fits);
        }
        let valid = match self.look_again(target, new.as_deref()) {
            Err(Cause::Stale) if self.guess == Guess::Made => {
                self.guess = Guess::Wrong;
                return Ok(Fit::Misguessed);
            }
            seen => seen?,
        };
        match (&self.sight, new) {
            (Sight::Copy(from), Some(new)) => {
                if let NewPage::Blank(blank) = new {
                    let blank = blank.take().ok_or(Cause::Raced)?;
                    let copied = blank.copy_of(from, valid).map_err(|_| Cause::NotCached)?;
                    *new = NewPage::Own(SpacePage::new(copied));
                }
            }
            (_, Some(NewPage::Cached(page))) if target.access == Access::Write => {
                // The region keeps it from being truncated. A clean page that reads zero
                // would be dropped by reclaim.
                page.mark_dirty();
            }
            _ => (),
        }
        Point::FaultValidated.reach();
        Ok(Fit::Fits)
    }

    fn admit(&self, target: &Target<'_>) -> Result<(), Cause> {
        if self.seen.is_enough(target.space, target.index) {
            return Ok(());
        }
        target.space.stats.count(Counter::SpfFalseAborts);
        Err(Cause::Stale)
    }

    fn again(&mut self, target: &Target<'_>, why: Again) -> Result<(), Cause> {
        if self.generation == 0 {
            // It has guessed: from now on it is known whether the region stays.
            let region = |region: &Region| region.generation;
            self.generation = target
                .space
                .regions
                .at(target.page as u64, region)
                .unwrap_or(0);
        }
        self.tries.again(why)
    }

    fn leaving(&self) -> Cause {
        Cause::WriterActive
    }
}
