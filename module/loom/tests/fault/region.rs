// SPDX-License-Identifier: GPL-2.0-only

//! What stands at a page.

use faultline_portable_loom::{
    fault::Cause,
    sync::{Acquire, AtomicWord, Cell, Relaxed, Release},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A region, as the word that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    /// The MAP that it comes from: who sees the pages of another sees stale data.
    pub(crate) mapping: u32,
    /// What its pages are made of: zeros, or one file or another.
    pub(crate) source: u32,
    pub(crate) writable: bool,
    pub(crate) pending: bool,
}

/// Readable and writable.
pub(crate) const RW: Region = Region {
    mapping: 1,
    source: 0,
    writable: true,
    pending: false,
};

/// The same, read-only.
pub(crate) const RO: Region = Region {
    writable: false,
    ..RW
};

/// Of another MAP.
pub(crate) const OTHER: Region = Region { mapping: 2, ..RW };

/// Of another MAP, and made of something else.
pub(crate) const OTHER_FILE: Region = Region { source: 1, ..OTHER };

impl Region {
    pub(crate) fn to_word(region: Option<Self>) -> u32 {
        let bit = |is_set, at: u32| u32::from(is_set) << at;
        region.map_or(0, |it| {
            it.mapping << 8 | it.source << 2 | bit(it.writable, 0) | bit(it.pending, 1)
        })
    }

    pub(crate) fn of_word(word: u32) -> Option<Self> {
        (word != 0).then_some(Self {
            mapping: word >> 8,
            source: word >> 2 & 0x3f,
            writable: word & 1 != 0,
            pending: word & 2 != 0,
        })
    }

    pub(crate) fn allows(self, access: Access) -> bool {
        self.writable || access == Access::Read
    }

    /// Whether a fault that speculates may make `access`.
    pub(crate) fn check(self, access: Access) -> Result<(), Cause> {
        match self.allows(access) {
            _ if self.pending => Err(Cause::WriterActive),
            true => Ok(()),
            false => Err(Cause::Denied),
        }
    }
}

/// The object that a region is, as far as its life goes: for the models of that.
pub(crate) struct Object {
    /// What a change of the region counts up.
    count: AtomicWord,
    /// Loom sees a use that the end of the object does not wait for.
    is_freed: Cell<bool>,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicWord::new(0),
            is_freed: Cell::new(false),
        }
    }

    #[track_caller]
    pub(crate) fn count(&self) -> u32 {
        assert!(!self.is_freed.get(), "the region has been freed");
        self.count.load(Acquire)
    }

    pub(crate) fn count_change(&self) {
        self.count.store(self.count.load(Relaxed) + 1, Release);
    }

    #[track_caller]
    pub(crate) fn free(&self) {
        self.is_freed.set(true);
    }
}
