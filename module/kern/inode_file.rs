// SPDX-License-Identifier: GPL-2.0-only

//! An anonymous inode of one's own, for a reverse map of one's own.
//!
//! C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)
//!
//! All opens of a device node share its inode and so its `i_mmap`, the tree of
//! areas that map it. A file whose `f_mapping` points to an inode of its own
//! has an `i_mmap` of its own: `unmap_mapping_pages()` then finds the areas of
//! that file and no others.

use core::ptr::NonNull;

use kernel::{bindings as c, error::from_err_ptr, fs::File, prelude::*};

use super::bindings;

/// An open file on an anonymous inode that nothing else uses.
///
/// # Invariants
///
/// `file` is a reference to a file, owned by this object.
pub(crate) struct InodeFile {
    file: NonNull<c::file>,
}

// SAFETY: References to files are not tied to a task.
unsafe impl Send for InodeFile {}
// SAFETY: Only used for calls that may run concurrently.
unsafe impl Sync for InodeFile {}

impl InodeFile {
    /// May sleep.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: No requirements.
        let file = from_err_ptr(unsafe { bindings::faultline_inode_file() })?;
        // INVARIANT: The reference just made is ours.
        Ok(Self {
            file: NonNull::new(file).ok_or(EINVAL)?,
        })
    }

    /// Makes the areas that will map `file` appear in this inode's reverse map.
    ///
    /// # Safety
    ///
    /// - `file` is being opened: nobody else can use it yet.
    /// - `self` lives until the release of `file` has begun.
    pub(crate) unsafe fn adopt(&self, file: &File) {
        // SAFETY: Both files are valid; by the safety requirements nobody looks at `f_mapping`
        // yet, and the new one outlives every use of `file`.
        unsafe { bindings::faultline_file_share_mapping(file.as_ptr(), self.file.as_ptr()) }
    }

    /// How many areas map what shares this inode, a moment ago, if all are shared and
    /// their files open for writing.
    pub(crate) fn shared_areas(&self) -> u32 {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_file_shared_areas(self.file.as_ptr()) }
    }

    /// Removes the translations of `pages` pages from page `first` on from
    /// every area that maps them, in every process, and flushes them from the
    /// TLBs: `unmap_mapping_pages()`.
    ///
    /// May sleep. Holds `i_mmap_rwsem` for reading throughout, so a caller
    /// with much to do calls it in pieces.
    pub(crate) fn unmap_pages(&self, first: u64, pages: u64) {
        if pages == 0 {
            // Which the C function takes for "to the end".
            return;
        }
        // SAFETY: By the type invariants the file, and with it its mapping, is valid.
        let mapping = unsafe { (*self.file.as_ptr()).f_mapping };
        // SAFETY: As above. Areas of this mapping hold pages of no private copies (`even_cows`
        // makes no difference: windows are shared).
        unsafe { c::unmap_mapping_pages(mapping, first as usize, pages as usize, false) }
    }
}

impl Drop for InodeFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { c::fput(self.file.as_ptr()) }
    }
}
