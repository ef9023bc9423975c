// SPDX-License-Identifier: GPL-2.0-only

//! Looking at what stands in a space, without changing it.
//!
//! Who only wants to know bounds, or what a region is like, does not take the tree's
//! lock, in which all changes meet, as long as it is to be had without.

use kernel::{prelude::*, sync::rcu};

use super::{indices, interval, Regions};
use crate::{
    driver::region::{Attributes, Region},
    kern::{
        extent::Extent,
        lock_set::Member,
        rcu_arc::RcuArc,
        rcu_maple::{Entry, Value, View},
    },
    portable::{interval::Interval, plan::Piece},
};

impl Regions {
    /// How many regions more there are when those in `range` are removed: one if
    /// it lies inside of one, else none or less.
    pub(crate) fn more_without(&self, range: Interval) -> isize {
        let mut more = 0;
        let mut rest = Some(range);
        while let Some(whole) = rest.and_then(|rest| self.find_whole(rest, |whole, _| whole)) {
            if range.covers(whole) {
                more -= 1;
            } else if whole.start() < range.start() && range.end() < whole.end() {
                more += 1;
            }
            rest = range.above(whole.end());
        }
        more
    }

    /// What `show` makes of the region of `page`.
    pub(crate) fn at<R>(&self, page: u64, show: impl FnOnce(&Region) -> R) -> Option<R> {
        let rcu = rcu::read_lock();
        self.tree
            .get(page as usize, &rcu)
            .map(|region| show(region))
    }

    /// What `show` makes of the first region that overlaps `range`. With the tree
    /// locked, so that the region still holds what it does of its file, and `show` may
    /// take references. Does not sleep, nor may `show`.
    pub(crate) fn find<R>(
        &self,
        range: Interval,
        show: impl FnOnce(Interval, &Region) -> R,
    ) -> Option<R> {
        let tree = self.tree.lock_to_look();
        let entry = tree.find(range.start() as usize, range.last() as usize)?;
        Some(show(interval(&entry), entry.value))
    }

    /// As `find`, as it was at one moment, and without the tree's lock as long as
    /// that is to be had (see [`RcuMaple::look`]): `show` may be called several times. It
    /// does not sleep, and takes no reference: a neighbour that joins a region puts
    /// another in its place also where others have locked the pages, and what the old
    /// one held may be given up then.
    fn look<R>(&self, range: Interval, show: impl Fn(Interval, &Region) -> R) -> Option<R> {
        let (first, last) = indices(range);
        self.tree.look(|tree| {
            let entry = tree.find(first, last)?;
            Some(show(interval(&entry), entry.value))
        })
    }

    /// As `look`, but the interval is that which the region will have when none is
    /// pending. (Not to be used for what it has in common: it may be pending itself.)
    pub(crate) fn find_whole<R>(
        &self,
        range: Interval,
        show: impl Fn(Interval, &Region) -> R,
    ) -> Option<R> {
        let (first, last) = indices(range);
        self.tree.look(|tree| {
            let entry = tree.find(first, last)?;
            Some(show(whole(tree, &entry), entry.value))
        })
    }

    /// Where in memory the first region of `range` is, and its interval.
    pub(crate) fn extent_from(&self, range: Interval) -> Option<(Interval, Extent)> {
        let (first, last) = indices(range);
        self.tree.look(|tree| {
            let entry = tree.find(first, last)?;
            Some((interval(&entry), RcuArc::extent(entry.value)))
        })
    }

    /// Whether no region overlaps `range`.
    pub(crate) fn is_free(&self, range: Interval) -> bool {
        self.look(range, |_, _| ()).is_none()
    }

    /// The parts of all regions in `range`, which the caller has locked.
    pub(crate) fn pieces(&self, range: Interval) -> impl Iterator<Item = Piece<Attributes>> + '_ {
        let mut rest = Some(range);
        core::iter::from_fn(move || {
            let todo = rest?;
            let piece = self.find(todo, |whole, region| {
                Some(Piece {
                    interval: whole.intersect(todo)?,
                    attributes: region.attributes.clone(),
                })
            })??;
            rest = range.above(piece.interval.end());
            Some(piece)
        })
    }

    /// What `show` makes of all regions in `range`, part by part, until `next` fails.
    /// `show` is called as by [`RcuMaple::look`].
    pub(crate) fn walk<R>(
        &self,
        range: Interval,
        show: impl Fn(&Attributes) -> R,
        mut next: impl FnMut(Interval, R) -> Result,
    ) -> Result {
        let mut rest = Some(range);
        while let Some(todo) = rest {
            let looked = self.look(todo, |whole, region| {
                let part = whole.intersect(todo).unwrap_or(todo);
                (part, show(&region.attributes))
            });
            let Some((part, shown)) = looked else { break };
            next(part, shown)?;
            rest = range.above(part.end());
        }
        Ok(())
    }

    /// The first two regions that overlap `range`, as they were at one moment, and as
    /// `find_whole` shows them.
    pub(crate) fn first_two(&self, range: Interval) -> [Option<Interval>; 2] {
        self.tree.look(|tree| {
            let from = |range: Interval| {
                let entry = tree.find(range.start() as usize, range.last() as usize)?;
                Some(whole(tree, &entry))
            };
            let first = from(range);
            let rest = first.and_then(|first| range.above(first.end()));
            [first, rest.and_then(from)]
        })
    }

    /// The lowest free interval of so many pages in `range`, a moment ago.
    pub(crate) fn find_gap(&self, pages: u64, range: Interval) -> Option<Interval> {
        let (min, max) = (range.start() as usize, range.last() as usize);
        let first = self
            .tree
            .lock_to_look()
            .find_gap(pages as usize, min, max)? as u64;
        Interval::new(first, first + pages)
    }
}

/// The interval that the region of `entry` will have when none is pending.
fn whole(tree: &View<'_, Member<Region>>, entry: &Entry<'_, Member<Region>>) -> Interval {
    let mut whole = interval(entry);
    if tree.has_twins() {
        let beside = |page: Option<u64>, edge: &Member<Region>| {
            let beside = tree.find(page? as usize, page? as usize)?;
            beside.value.is_one_with(edge).then_some(beside)
        };
        let mut edge = entry.value;
        while let Some(below) = beside(whole.start().checked_sub(1), edge) {
            (whole, edge) = (whole.hull(interval(&below)), below.value);
        }
        let mut edge = entry.value;
        while let Some(above) = beside(Some(whole.end()), edge) {
            (whole, edge) = (whole.hull(interval(&above)), above.value);
        }
    }
    whole
}
