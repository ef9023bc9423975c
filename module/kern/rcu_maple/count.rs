// SPDX-License-Identifier: GPL-2.0-only

//! How many intervals there are, if some that touch count as one.

use super::Entry;

/// What stands in a tree.
pub(crate) trait Value: Send + Sync + 'static {
    /// Whether an interval of this and one of `other` that touch count as one: a
    /// store that is still to come will make one of them.
    fn is_one_with(&self, other: &Self) -> bool;
}

/// Intervals that are counted in ascending order.
pub(super) struct Count<'g, T> {
    intervals: usize,
    /// What they are more than what they count as.
    pub(super) twins: usize,
    latest: Option<Entry<'g, T>>,
}

impl<'g, T: Value> Count<'g, T> {
    pub(super) fn new() -> Self {
        Self {
            intervals: 0,
            twins: 0,
            latest: None,
        }
    }

    pub(super) fn add(&mut self, next: Entry<'g, T>) {
        let is_twin = self.latest.as_ref().is_some_and(|latest| {
            latest.last + 1 == next.first && latest.value.is_one_with(next.value)
        });
        self.intervals += 1;
        self.twins += usize::from(is_twin);
        self.latest = Some(next);
    }

    /// As `RcuMaple::len`.
    pub(super) fn len(&self) -> usize {
        self.intervals - self.twins
    }
}
