// SPDX-License-Identifier: GPL-2.0-only

//! The operations on a space, a file each.
//!
//! An operation that fails changes nothing: it allocates all it needs before
//! its first change.

mod advise;
mod gap;
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
    mistake::Mistake,
    region::{Attributes, Region},
    regions::Effort,
    space::Space,
};
use crate::{
    kern::{rcu_arc::RcuArc, rcu_maple::Removed, task::fatal_signal_pending},
    portable::interval::Interval,
};

impl Space {
    /// Puts `new`, or nothing, in place of all regions of `range`. `stored` is
    /// called with each part of it as soon as it is stored, and with what stood
    /// there and beside it. The caller has locked the range, but `stored` may let
    /// others into the part. `ENOMEM` if it may fail. May sleep.
    fn store_all(
        &self,
        range: Interval,
        mut new: Option<RcuArc<Region>>,
        effort: &mut Effort,
        gone: &mut Gone,
        mut stored: impl FnMut(&mut Gone, Interval, Removed<Region>),
    ) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            // A part joins the one before it, unless others, who were let in
            // there, have put something else in its place.
            let done = match &new {
                Some(new) => self.regions.replace(todo, new, *effort)?,
                None => self.regions.remove(todo, *effort)?,
            };
            *effort = Effort::MustSucceed;
            rest = range.above(done.end);
            if rest.is_none() {
                // Before others can remove it: theirs is to be the last reference.
                new.take().into_iter().for_each(|new| gone.put(new));
            }
            let part = todo.below(done.end).unwrap_or(todo);
            stored(gone, part, done.removed);
        }
        Ok(())
    }

    /// Removes all regions of `range`, to `gone`, and discards their pages. `done`
    /// is called with the page up to which that is done. `ENOMEM` if it may fail.
    /// May sleep.
    fn remove_regions(
        &self,
        range: Interval,
        effort: &mut Effort,
        gone: &mut Gone,
        done: &mut impl FnMut(u64),
    ) -> Result {
        self.store_all(range, None, effort, gone, |gone, part, removed| {
            self.discard_removed(part, removed, gone, done);
        })
    }

    /// Discards the pages of what has been removed from `part`.
    fn discard_removed(
        &self,
        part: Interval,
        removed: Removed<Region>,
        gone: &mut Gone,
        done: &mut impl FnMut(u64),
    ) {
        // Where there was no region there are no pages.
        if removed.is_empty() {
            done(part.end());
        } else {
            self.discard(part, done);
        }
        gone.add(removed);
    }

    /// `ENOMEM` if there is a hole in `range`, which the caller has locked, or what
    /// `allow` says of a region of it: what comes first. `EINTR`. May sleep.
    fn must_be_covered(&self, range: Interval, allow: impl Fn(&Attributes) -> Result) -> Result {
        if Mistake::SkipCover.is_made() {
            return Ok(());
        }
        let mut next = range.start();
        self.regions.walk(range, |part, attributes| {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            if part.start() != next {
                return Err(ENOMEM);
            }
            next = part.end();
            allow(attributes)
        })?;
        if next == range.end() {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }

    /// Whether a change that begins or ends at the start of `page` cuts a region.
    /// The caller has locked a page next to it.
    fn is_cut_at(&self, page: u64) -> bool {
        let below = page.checked_sub(1);
        below.is_some_and(|below| self.is_in_one(below, page))
    }

    /// Whether one region has both pages, and all between them.
    fn is_in_one(&self, first: u64, last: u64) -> bool {
        let first = Interval::new(first, first + 1);
        let found = first.and_then(|first| self.regions.find(first, |whole, _| whole));
        found.is_some_and(|whole| whole.contains(last))
    }
}
