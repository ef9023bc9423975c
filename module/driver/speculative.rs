// SPDX-License-Identifier: GPL-2.0-only

//! Faults by speculation: see `portable/fault.rs` for why what they do is right.
//!
//! A fault that succeeds writes nothing that faults of other leaves write: no
//! count of a region, a file or the space. It looks at regions under RCU, and holds
//! pages of page caches, which are its own business.

use super::{
    backing::{Kind, NewPage, Sight},
    directory::SpacePage,
    fault::Failure,
    filling::{Target, Way},
    mistake::Mistake,
    point::Point,
    precision::Seen,
    region::Attributes,
    stats::Counter,
};
use crate::portable::{
    fault::{Again, Cause, Need, Prepared, Tries},
    protection::Access,
};

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        failure.cause()
    }
}

/// The caller has locked nothing.
pub(super) struct Speculative {
    /// What was seen of the region first.
    sight: Sight,
    /// What the region that was seen last is made of.
    kind: Kind,
    /// The generation of that region; 0 before.
    generation: u64,
    tries: Tries,
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
            seen: Seen::new(),
        }
    }

    /// What the page is made of, once it is installed.
    pub(super) fn backing(&self) -> Kind {
        self.kind
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

    fn snapshot(&mut self, target: &Target<'_>, seems_empty: bool) -> Result<Need, Cause> {
        let page = target.page as u64;
        self.seen.look(target.space, target.index);
        let seen = target.space.regions.at(page, |region| {
            self.seen.look_first(region);
            self.generation = region.generation;
            region.attributes.look(page, target.access, seems_empty)
        });
        self.sight = seen.ok_or(Cause::NoRegion)??;
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
        if seems_empty && target.has_no_room() {
            return Err(Cause::NoMemory);
        }
        let page = self.sight.get_ready()?;
        Point::FaultPrepared.reach();
        Ok(Prepared::Page(page))
    }

    fn validate(&mut self, target: &Target<'_>, new: Option<&mut NewPage>) -> Result<(), Cause> {
        if Mistake::SkipValidation.is_made() {
            return Ok(());
        }
        let valid = self.look_again(target, new.as_deref())?;
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
        Ok(())
    }

    fn admit(&self, target: &Target<'_>) -> Result<(), Cause> {
        if self.seen.is_enough(target.space, target.index) {
            return Ok(());
        }
        target.space.stats.count(Counter::SpfFalseAborts);
        Err(Cause::Stale)
    }

    fn again(&mut self, why: Again) -> Result<(), Cause> {
        self.tries.again(why)
    }

    fn leaving(&self) -> Cause {
        Cause::WriterActive
    }
}
