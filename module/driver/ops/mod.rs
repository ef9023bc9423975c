// SPDX-License-Identifier: GPL-2.0-only

//! The operations on a space, a file each.
//!
//! An operation that fails changes nothing: it allocates all it needs before
//! its first change.

mod advise;
mod edit;
mod gap;
mod map;
mod protect;
mod query;
mod remap;
mod unmap;

pub(super) use map::{MapRequest, Placement};
pub(super) use query::Found;
pub(super) use remap::{RemapRequest, Target};

use kernel::prelude::*;

use self::edit::Edit;
use super::{mistake::Mistake, region::Attributes, space::Space, space_lock::Change};
use crate::{kern::task::fatal_signal_pending, portable::interval::Interval};

impl Space {
    /// Removes all regions of `range`, which is `held`, and discards their pages.
    /// `ENOMEM` if the edit may fail. May sleep.
    fn unmap_held(&self, range: Interval, edit: &mut Edit<'_>, held: &mut Change<'_>) -> Result {
        edit.store(range, None, |edit, part| {
            if part.end() == range.end() {
                held.regions_are_done();
            }
            self.discard_removed(part, edit, &mut |page| held.done_below(page));
        })
    }

    /// As `unmap_held`, for a change that has more to do.
    fn remove_regions(&self, range: Interval, edit: &mut Edit<'_>) -> Result {
        edit.store(range, None, |edit, part| {
            self.discard_removed(part, edit, &mut |_| ());
        })
    }

    /// Discards the pages of what has been removed from `part`. `done` is called with
    /// the page up to which that is done.
    fn discard_removed(&self, part: Interval, edit: &mut Edit<'_>, done: &mut impl FnMut(u64)) {
        // Where there was no region there are no pages.
        if edit.has_removed() {
            self.discard(part, &mut |page| {
                if page < part.end() {
                    done(page);
                }
            });
        }
        // Before others can remove what is left of these regions: theirs is to be the
        // last reference.
        edit.put_removed();
        done(part.end());
    }

    /// `ENOMEM` if there is a hole in `range`, which the caller has locked, or what
    /// `allow`, which does not sleep, says of a region of it: what comes first. `EINTR`.
    /// May sleep.
    fn must_be_covered(&self, range: Interval, allow: impl Fn(&Attributes) -> Result) -> Result {
        if Mistake::SkipCover.is_made() {
            return Ok(());
        }
        let mut next = range.start();
        self.regions.walk(range, allow, |part, allowed| {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            if part.start() != next {
                return Err(ENOMEM);
            }
            next = part.end();
            allowed
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
        let found = first.and_then(|first| self.regions.find_whole(first, |whole, _| whole));
        found.is_some_and(|whole| whole.contains(last))
    }
}
