// SPDX-License-Identifier: GPL-2.0-only

//! The operations on a space, a file each.
//!
//! An operation that fails changes nothing: it allocates all it needs before
//! its first change.

mod advise;
mod map;
mod protect;
mod query;
mod unmap;

pub(super) use map::{MapRequest, Placement};

use kernel::prelude::*;

use super::{
    region::Region,
    regions::Effort,
    space::Space,
    space_lock::Change,
};
use crate::{kern::rcu_arc::RcuArc, portable::interval::Interval};

impl Space {
    /// Puts `new`, or nothing, in place of all regions of `range`, and discards
    /// the pages that they had, giving back the lock of what is done. `ENOMEM`.
    /// May sleep.
    fn replace_regions(
        &self,
        range: Interval,
        new: Option<&RcuArc<Region>>,
        held: &mut Change<'_>,
    ) -> Result {
        let mut effort = Effort::MayFail;
        let mut rest = Some(range);
        while let Some(todo) = rest {
            let stored = match new {
                None => self.regions.remove(todo, effort)?,
                // What it has of the range already grows by the next part.
                Some(new) => self.regions.replace(range, new, effort)?,
            };
            rest = range.above(stored.end);
            // Where there was no region there are no pages.
            if !stored.removed.is_empty() {
                if let Some(done) = todo.below(stored.end) {
                    self.discard(done, held);
                }
            }
            effort = Effort::MustSucceed;
        }
        Ok(())
    }
}
