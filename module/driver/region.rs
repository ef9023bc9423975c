// SPDX-License-Identifier: GPL-2.0-only

//! Regions: what stands in an interval of a space.
//!
//! A region does not know its interval: the space's tree does. It never changes
//! once it is in the tree, so RCU readers may use what they find; a change puts
//! other regions in its place. What a change leaves of one keeps it, so it may
//! stand in several intervals.

use kernel::prelude::*;

use super::{
    backing::{Backing, Sight},
    live::{self, Live},
    precision::Count,
};
use crate::{
    kern::{lock_set::Member, percpu, rcu_arc::RcuArc, rcu_maple::Value},
    portable::{
        fault::Cause,
        protection::{Access, Protection},
    },
};

/// What the pages of a region have in common.
#[derive(Clone, PartialEq)]
pub(crate) struct Attributes {
    /// What accesses may do.
    pub(crate) protection: Protection,
    /// What the pages are made of.
    pub(crate) backing: Backing,
    /// The pages of another region are still to be taken out of it: no fault may
    /// use it yet, but one that holds the page's lock.
    pub(crate) pending: bool,
}

impl Attributes {
    /// Those of a region whose place has still to be made free.
    pub(crate) fn pending(&self) -> Self {
        Self {
            pending: true,
            ..self.clone()
        }
    }

    /// Whether a speculative fault may make `access`.
    pub(crate) fn check(&self, access: Access) -> Result<(), Cause> {
        match self.protection.allows(access) {
            _ if self.pending => Err(Cause::WriterActive),
            true => Ok(()),
            false => Err(Cause::Denied),
        }
    }

    /// What a speculative fault needs for `access` to `page`: see [`Backing::look`].
    pub(crate) fn look(
        &self,
        page: u64,
        access: Access,
        seems_empty: bool,
    ) -> Result<Sight, Cause> {
        self.check(access)?;
        self.backing.look(page, access, seems_empty)
    }

    /// What is equal to these, but holds nothing of a file: not for a region.
    pub(crate) fn without_hold(&self) -> Self {
        Self {
            protection: self.protection,
            backing: self.backing.without_hold(),
            pending: self.pending,
        }
    }

    /// Those of the same pages of the backing when they are so many pages further
    /// up; down, as a wrapped negative number.
    pub(crate) fn moved_up(&self, pages: u64) -> Self {
        Self {
            protection: self.protection,
            backing: self.backing.moved_up(pages),
            pending: self.pending,
        }
    }
}

/// See the module.
pub(crate) struct Region {
    pub(crate) attributes: Attributes,
    /// Never used twice while the module is loaded.
    pub(crate) generation: u64,
    /// Stores that have overwritten a part of it.
    pub(crate) changes: Count,
    _live: Live<{ live::REGION }>,
}

/// A reference to a region. Its lock is used by one policy only: see `SpaceLock`.
pub(crate) type RegionRef = RcuArc<Member<Region>>;

// With what `RcuArc` adds, it stays below 256 bytes.
const _: () = assert!(core::mem::size_of::<Member<Region>>() < 256 - 32);

impl Region {
    /// A new region. May sleep; charged to the memory cgroup.
    pub(crate) fn new(attributes: Attributes) -> Result<RegionRef> {
        let region = Self {
            attributes,
            generation: percpu::next_number(),
            changes: Count::new(),
            _live: Live::new(),
        };
        Ok(RcuArc::new(Member::new(region), GFP_KERNEL_ACCOUNT)?)
    }
}

impl Value for Region {
    /// Whether they will be joined, once none is pending.
    fn is_one_with(&self, other: &Self) -> bool {
        let (one, other) = (&self.attributes, &other.attributes);
        (one.pending || other.pending)
            && one.protection == other.protection
            && one.backing == other.backing
    }
}
