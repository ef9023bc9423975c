// SPDX-License-Identifier: GPL-2.0-only

//! What remains of regions when a range is taken out of them.
//!
//! A change of `range` removes every region that overlaps it. The first and
//! the last of these may reach beyond the range; what reaches beyond stays,
//! with the attributes of the region it was part of. Nothing else can remain:
//! regions never overlap, so those between the first and the last are covered.

use super::interval::Interval;

/// What remains beside a range taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remainders {
    /// Of the first overlapping region, the part below the range.
    pub left: Option<Interval>,
    /// Of the last overlapping region, the part above the range.
    pub right: Option<Interval>,
}

impl Remainders {
    /// What remains of `first` and `last`, the outermost regions that overlap
    /// `range` (the same one, if only one does).
    pub const fn of(first: Interval, last: Interval, range: Interval) -> Self {
        Self {
            left: first.before(range),
            right: last.after(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    extern crate std;
    use std::vec::Vec;

    const PAGES: u64 = 64;

    /// Random disjoint regions: cut points, of which every other gap is kept.
    fn regions() -> impl Strategy<Value = Vec<Interval>> {
        proptest::collection::btree_set(0..PAGES, 0..16).prop_flat_map(|cuts| {
            let gaps: Vec<_> = cuts
                .iter()
                .zip(cuts.iter().skip(1))
                .filter_map(|(&start, &end)| Interval::new(start, end))
                .collect();
            let keep = proptest::collection::vec(any::<bool>(), gaps.len());
            (Just(gaps), keep).prop_map(|(gaps, keep)| {
                gaps.into_iter()
                    .zip(keep)
                    .filter_map(|(gap, keep)| keep.then_some(gap))
                    .collect()
            })
        })
    }

    proptest! {
        #[test]
        fn every_page_outside_the_range_keeps_its_region(
            regions in regions(),
            start in 0..PAGES,
            pages in 1..PAGES,
        ) {
            let range = Interval::new(start, start + pages).unwrap();
            let overlapping: Vec<_> = regions
                .iter()
                .copied()
                .filter(|region| region.intersect(range).is_some())
                .collect();
            let mut after: Vec<_> = regions
                .iter()
                .copied()
                .filter(|region| region.intersect(range).is_none())
                .collect();
            if let (Some(&first), Some(&last)) = (overlapping.first(), overlapping.last()) {
                let remainders = Remainders::of(first, last, range);
                after.extend(remainders.left);
                after.extend(remainders.right);
            }
            for page in 0..2 * PAGES {
                let was = regions.iter().any(|region| region.contains(page));
                let is = after.iter().filter(|region| region.contains(page)).count();
                prop_assert_eq!(is, usize::from(was && !range.contains(page)), "page {}", page);
            }
        }
    }
}
