// SPDX-License-Identifier: GPL-2.0-only

//! All spaces there are, by number, and what those have counted that are not any more.
//!
//! # Who may race
//!
//! One mutex guards all of it. It is held to enter and to leave, and for one look-up of
//! a reader: never while anything is waited for, and of other locks only the spin lock of
//! a space's count of pages is taken under it, for its sum. So it stands behind all locks
//! of the module but that, and no fault and no operation takes it.
//!
//! - *A space that ends, and a reader.* The registry has a reference to the space, and
//!   gives it up in `leave`, which the release of the space's file calls: then there is
//!   neither a descriptor nor a window any more. A reader that has found it before has a
//!   reference of its own, and may be the one who drops the last. That is done without
//!   the mutex. One that comes later does not find it.
//! - *A space that ends, and the totals.* Nobody counts in it any more when it leaves.
//!   Its counters go over to those of ended spaces while the mutex is held, in which it
//!   is taken out, and the totals are summed up in one go under that mutex: each space
//!   is in exactly one of both. So no total runs backwards, but those marked "now". Who
//!   opens or closes a space meanwhile waits for some microseconds for each space there
//!   is; who opens one does so with the mutex of all misc devices.
//! - *A space that is opened, and a reader.* It is complete when it enters.

use kernel::{
    c_str,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    static_lock_class,
    sync::Arc,
};

use super::{mistake::Mistake, space::Space, stats::Sums};
use crate::kern::static_mutex::StaticMutex;

static REGISTRY: StaticMutex<Registry> = StaticMutex::new(Registry {
    spaces: None,
    ended: Sums::new(),
    left: 0,
});

struct Registry {
    /// Those that have entered and not left; none before the first.
    spaces: Option<RBTree<u64, Arc<Space>>>,
    /// What those have counted that have left.
    ended: Sums,
    /// So many have left.
    left: u64,
}

/// To be called before anything else.
pub(crate) fn init() {
    REGISTRY.init(c_str!("REGISTRY"), static_lock_class!());
}

/// A space can be found from here on. `ENOMEM`. May sleep.
pub(super) fn enter(space: &Arc<Space>) -> Result {
    let node = RBTreeNode::new(space.id, space.clone(), GFP_KERNEL_ACCOUNT)?;
    REGISTRY.with(|registry| {
        registry.spaces.get_or_insert_with(RBTree::new).insert(node);
    });
    Ok(())
}

/// Nobody counts anything in `space` any more: it can no longer be found. May sleep.
pub(super) fn leave(space: &Space) {
    let mut sums = Sums::new();
    let has_counted = space.stats.add_to(&mut sums);
    sums.trace(space.lock.id());
    let node = REGISTRY.with(|registry| {
        if has_counted && !Mistake::ForgetEnded.is_made() {
            registry.ended.add(&sums);
        }
        registry.left += 1;
        registry.spaces.as_mut()?.remove_node(&space.id)
    });
    // With it goes a reference to the space.
    drop(node);
}

/// The space with the lowest number at or above `id`. May sleep; so may dropping it.
pub(super) fn at_or_above(id: u64) -> Option<Arc<Space>> {
    REGISTRY.with(|registry| {
        let cursor = registry.spaces.as_ref()?.cursor_lower_bound(&id)?;
        let (_, space) = cursor.current();
        Some(space.clone())
    })
}

/// What all spaces have, and have counted, those that are gone included.
pub(super) struct Totals {
    /// Now.
    pub(super) spaces: u64,
    /// Since the module was loaded.
    pub(super) spaces_ended: u64,
    /// Now.
    pub(super) pages: u64,
    /// Now.
    pub(super) regions: u64,
    pub(super) sums: Sums,
}

impl Totals {
    /// As they are. May sleep.
    pub(super) fn now() -> Self {
        REGISTRY.with(|registry| {
            let mut totals = Self {
                spaces: 0,
                spaces_ended: registry.left,
                pages: 0,
                regions: 0,
                sums: Sums::new(),
            };
            totals.sums.add(&registry.ended);
            for space in registry.spaces.iter().flat_map(RBTree::values) {
                totals.spaces += 1;
                totals.pages += space.held.get();
                totals.regions += space.regions.len() as u64;
                space.stats.add_to(&mut totals.sums);
            }
            totals
        })
    }
}
