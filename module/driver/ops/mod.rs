// SPDX-License-Identifier: GPL-2.0-only

//! The operations on a space, a file each.
//!
//! An operation that fails changes nothing: it allocates all it needs before
//! its first change.

mod map;
mod query;
mod unmap;

pub(super) use map::{MapRequest, Placement};

use kernel::prelude::*;

use super::{region::Region, space::Space, space_lock::Change, stats::Counter};
use crate::{
    kern::{
        rcu_box::RcuBox,
        rcu_maple::{Edges, Entry, Retired},
    },
    portable::{interval::Interval, split::Remainders},
};

impl Space {
    /// Puts `new`, or nothing, in place of all regions of `range`, and
    /// discards the pages of the range. Returns the regions, which the caller
    /// [releases](release) when it has given back the lock. May sleep.
    fn replace_regions(
        &self,
        range: Interval,
        new: Option<RcuBox<Region>>,
        held: &mut Change<'_>,
    ) -> Result<Retired<Region>> {
        let added = i64::from(new.is_some());
        let mut remaining = 0;
        let retired = self.regions.replace(
            range.start() as usize,
            range.last() as usize,
            new,
            |lowest, highest| {
                let remainders = Remainders::of(interval(&lowest), interval(&highest), range);
                let left = remainder(remainders.left, lowest.value)?;
                let right = remainder(remainders.right, highest.value)?;
                remaining = i64::from(left.is_some()) + i64::from(right.is_some());
                Ok(Edges { left, right })
            },
        )?;
        let removed = retired.len() as i64;
        self.stats
            .add(Counter::Regions, added + remaining - removed);
        // Where there was no region there are no pages.
        if removed != 0 {
            self.discard(range, held);
        }
        Ok(retired)
    }
}

/// Makes regions that were removed, and whose pages are discarded, give up the
/// files that they hold. May sleep; the caller holds nothing that a fault takes.
fn release(retired: &Retired<Region>) {
    for region in retired {
        region.backing.release();
    }
}

fn interval<T>(entry: &Entry<'_, T>) -> Interval {
    // An entry is never empty.
    Interval::new(entry.first as u64, entry.last as u64 + 1)
        .unwrap_or_else(|| unreachable!("empty entry"))
}

fn remainder(part: Option<Interval>, of: &Region) -> Result<Option<RcuBox<Region>>> {
    part.map(|_| of.remainder()).transpose()
}
