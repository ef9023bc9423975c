// SPDX-License-Identifier: GPL-2.0-only

//! Regions: what stands in an interval of a space.
//!
//! A region does not know its interval: the space's tree does. It never
//! changes once it is in the tree, so RCU readers may use what they find; a
//! change puts other regions in its place.

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use super::{
    backing::Backing,
    live::{self, Live},
};
use crate::{kern::rcu_box::RcuBox, portable::protection::Protection};

/// The attributes of a region.
pub(crate) struct Region {
    /// What accesses may do.
    pub(crate) protection: Protection,
    /// What its pages are made of.
    pub(crate) backing: Backing,
    /// Never used twice while the module is loaded.
    pub(crate) generation: u64,
    _live: Live<{ live::REGION }>,
}

static NEXT_GENERATION: Atomic<u64> = Atomic::new(1);

impl Region {
    /// A new region. May sleep; charged to the memory cgroup.
    pub(crate) fn new(protection: Protection, backing: Backing) -> Result<RcuBox<Self>> {
        let region = Self {
            protection,
            backing,
            // Relaxed: only that no two are equal matters.
            generation: NEXT_GENERATION.fetch_add(1, Relaxed),
            _live: Live::new(),
        };
        Ok(RcuBox::new(region, GFP_KERNEL_ACCOUNT)?)
    }

    /// A region like this one, for what remains of it.
    pub(crate) fn remainder(&self) -> Result<RcuBox<Self>> {
        Self::new(self.protection, self.backing.clone())
    }
}
