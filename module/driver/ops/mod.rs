// SPDX-License-Identifier: GPL-2.0-only

//! The operations on a space, a file each.
//!
//! An operation that fails changes nothing: it allocates all it needs before
//! its first change.

mod advise;
mod gone;
mod map;
mod protect;
mod query;
mod remap;
mod unmap;

pub(super) use map::{MapRequest, Placement};
pub(super) use remap::{RemapRequest, Target};

use kernel::prelude::*;

use self::gone::Gone;
use super::{
    region::Region,
    regions::{Effort, Stored},
    space::Space,
};
use crate::{kern::rcu_arc::RcuArc, portable::interval::Interval};

impl Space {
    /// Removes all regions of `range`, to `gone`, and discards their pages. `done`
    /// is called with the page up to which that is done. `ENOMEM` if it may fail.
    /// May sleep.
    fn remove_regions(
        &self,
        range: Interval,
        effort: &mut Effort,
        gone: &mut Gone,
        mut done: impl FnMut(u64),
    ) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            let stored = self.regions.remove(todo, *effort)?;
            rest = range.above(stored.end);
            *effort = Effort::MustSucceed;
            self.discard_stored(todo, stored, gone, &mut done);
        }
        Ok(())
    }

    /// Puts `new` in place of all regions of `range` and discards their pages, as
    /// `remove_regions`.
    fn replace_regions(
        &self,
        range: Interval,
        new: &RcuArc<Region>,
        effort: &mut Effort,
        gone: &mut Gone,
        mut done: impl FnMut(u64),
    ) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            // It joins what it has of the range already, unless others, who were
            // let in there, have put something else in its place.
            let stored = self.regions.replace(todo, new, *effort)?;
            rest = range.above(stored.end);
            *effort = Effort::MustSucceed;
            self.discard_stored(todo, stored, gone, &mut done);
        }
        Ok(())
    }

    /// Discards the pages of what has been overwritten of `todo`.
    fn discard_stored(
        &self,
        todo: Interval,
        stored: Stored,
        gone: &mut Gone,
        done: &mut impl FnMut(u64),
    ) {
        // Where there was no region there are no pages.
        if !stored.removed.is_empty() {
            if let Some(part) = todo.below(stored.end) {
                self.discard(part, done);
            }
        }
        gone.add(stored.removed);
    }

    /// How many regions reach beyond the start or the end of `range`: so many
    /// more there may be when it gets others.
    fn cuts(&self, range: Interval) -> usize {
        let reaches = |page, beyond| {
            let at = Interval::new(page, page + 1)?;
            self.regions.find(at, |whole, _| whole.contains(beyond))
        };
        let below = range.start().checked_sub(1);
        let cut_below = below.and_then(|page| reaches(range.start(), page));
        let cut_above = reaches(range.last(), range.end());
        let cuts = [cut_below, cut_above];
        cuts.iter().filter(|cut| **cut == Some(true)).count()
    }

    /// `ENOMEM` if there is no room for so many regions more. (What is stored at
    /// once is counted exactly then.)
    fn must_have_room(&self, more: usize) -> Result {
        if more == 0 || self.regions.len() + more <= self.regions.limit() as usize {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }
}
