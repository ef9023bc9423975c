// SPDX-License-Identifier: GPL-2.0-only

//! Where leaves are in memory.

use super::{Directory, Leaf, LEAF_SHIFT};
use crate::kern::{extent::Extent, rcu_arc::RcuArc};

/// A leaf, in memory.
pub(crate) struct ShownLeaf {
    pub(crate) index: usize,
    /// The first page that it is for.
    pub(crate) page: u64,
    /// With the commit lock.
    pub(crate) leaf: Extent,
    pub(crate) slots: Extent,
}

impl Directory {
    /// The leaf at `index`, or the next above it. Waits for nobody.
    pub(crate) fn shown_from(&self, index: usize) -> Option<ShownLeaf> {
        let (index, leaf) = self.leaves.find(index, usize::MAX)?;
        Some(ShownLeaf {
            index,
            page: (index << LEAF_SHIFT) as u64,
            leaf: RcuArc::<Leaf>::extent(&leaf),
            slots: leaf.slots_at,
        })
    }
}
