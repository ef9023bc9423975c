// SPDX-License-Identifier: GPL-2.0-only

//! Memfds, and the lock of their inodes.
//!
//! C headers: [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h),
//! [`include/linux/fs.h`](srctree/include/linux/fs.h)

use core::ops::Deref;

use kernel::{error::to_result, prelude::*};

use super::{bindings, held_file::HeldFile};

/// An open memfd.
///
/// # Invariants
///
/// [`HeldFile::is_memfd`] is true of the file, so its inode is one of shmem.
#[derive(Clone)]
pub(super) struct Memfd(HeldFile);

impl Memfd {
    /// `ENODEV` if `file` is no memfd.
    pub(super) fn new(file: HeldFile) -> Result<Self> {
        // INVARIANT: Just checked, and what a file is open on does not change.
        file.is_memfd().then_some(Self(file)).ok_or(ENODEV)
    }
}

impl Deref for Memfd {
    type Target = HeldFile;

    fn deref(&self) -> &HeldFile {
        &self.0
    }
}

/// `inode_lock()`, held until dropped.
///
/// # Invariants
///
/// The current task holds the lock of the memfd's inode.
pub(super) struct LockedInode<'a>(&'a Memfd);

impl<'a> LockedInode<'a> {
    /// `EINTR` if a fatal signal ends the wait. May sleep.
    pub(super) fn lock_killable(file: &'a Memfd) -> Result<Self> {
        // SAFETY: The file keeps its inode.
        to_result(unsafe { bindings::faultline_inode_lock_killable(file.inode()) })?;
        // INVARIANT: Just taken.
        Ok(Self(file))
    }

    pub(super) fn try_lock(file: &'a Memfd) -> Option<Self> {
        // SAFETY: The file keeps its inode.
        let taken = unsafe { bindings::faultline_inode_trylock(file.inode()) };
        // INVARIANT: Just taken. Made only then: dropping it would unlock the inode.
        taken.then(|| Self(file))
    }

    /// `shmem_freeze()`
    pub(super) fn freeze(&self, freeze: bool) {
        // SAFETY: By the type invariants it is locked, and an inode of shmem.
        unsafe { bindings::faultline_shmem_freeze(self.0.inode(), freeze) }
    }

    pub(super) fn is_frozen(&self) -> bool {
        // SAFETY: As above.
        unsafe { bindings::faultline_shmem_is_frozen(self.0.inode()) }
    }

    /// `F_SEAL_*`
    pub(super) fn seals(&self) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::faultline_shmem_seals(self.0.inode()) }
    }
}

impl Drop for LockedInode<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_inode_unlock(self.0.inode()) }
    }
}
