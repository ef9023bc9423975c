// SPDX-License-Identifier: GPL-2.0-only

//! References to pages, one's own or of the page cache.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/highmem.h`](srctree/include/linux/highmem.h)
//!
//! `kernel::page::Page` is a page of order 0 that was allocated; it cannot stand
//! for a part of a large folio.

use core::{mem::ManuallyDrop, ptr::NonNull};

use kernel::{
    alloc::{AllocError, Flags},
    bindings as c,
    error::from_err_ptr,
    page::{Page, PAGE_SIZE},
    prelude::*,
};

use super::bindings;

/// A reference to a page, which may be a part of a large folio.
///
/// # Invariants
///
/// `page` is a valid page, and one of its folio's references is this object's.
pub(crate) struct PageRef {
    page: NonNull<c::page>,
}

// SAFETY: References to pages are not tied to a task.
unsafe impl Send for PageRef {}
// SAFETY: Only used for calls that may run concurrently.
unsafe impl Sync for PageRef {}

impl PageRef {
    /// A fresh page of order 0. May sleep, as `flags` say.
    pub(crate) fn alloc(flags: Flags) -> Result<Self, AllocError> {
        let page = ManuallyDrop::new(Page::alloc_page(flags)?);
        // INVARIANT: The reference that `page` had: a page of order 0 can be given back with
        // put_page() as well.
        NonNull::new(page.as_ptr())
            .map(|page| Self { page })
            .ok_or(AllocError)
    }

    /// A fresh page with the first `len` bytes of `from` (at most a page), and
    /// zeroes behind. `ENOMEM`, or `EIO` if the memory of `from` is broken. May
    /// sleep, as `flags` say.
    pub(crate) fn copy_of(from: &Self, len: usize, flags: Flags) -> Result<Self> {
        FreshPage::alloc(flags)?.copy_of(from, len)
    }

    /// The page that a C function has returned with a reference to it: `None`
    /// for `NULL`, and the error of an error pointer.
    ///
    /// # Safety
    ///
    /// `page` is null, an error pointer, or a page with a reference that is given up.
    pub(super) unsafe fn from_raw(page: *mut c::page) -> Result<Option<Self>> {
        // INVARIANT: By the safety requirements.
        Ok(NonNull::new(from_err_ptr(page)?).map(|page| Self { page }))
    }

    pub(crate) fn as_ptr(&self) -> *mut c::page {
        self.page.as_ptr()
    }

    /// Whether the memory of the page is known to be broken.
    pub(crate) fn is_poisoned(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_page_hwpoison(self.as_ptr()) }
    }

    /// Makes sure that what is written to the page is kept: `folio_mark_dirty()`.
    ///
    /// The caller sees to it that the page is not truncated meanwhile. Does not
    /// sleep for a page of shmem.
    pub(crate) fn mark_dirty(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_mark_page_dirty(self.as_ptr()) };
    }
}

/// A page of order 0 that nobody else has yet, with any contents.
pub(crate) struct FreshPage(PageRef);

impl FreshPage {
    /// May sleep, as `flags` say.
    pub(crate) fn alloc(flags: Flags) -> Result<Self, AllocError> {
        PageRef::alloc(flags).map(Self)
    }

    /// With the first `len` bytes of `from` (at most a page), and zeroes behind. `EIO`
    /// if the memory of `from` is broken. Does not sleep.
    pub(crate) fn copy_of(self, from: &PageRef, len: usize) -> Result<PageRef> {
        // SAFETY: Both are valid pages, and nobody else has this one.
        let copied = unsafe { bindings::faultline_copy_mc_page(self.0.as_ptr(), from.as_ptr()) };
        if copied != 0 {
            return Err(EIO);
        }
        if len < PAGE_SIZE {
            // SAFETY: A valid page of our own, and an offset inside it.
            unsafe { bindings::faultline_zero_page_from(self.0.as_ptr(), len as u32) };
        }
        Ok(self.0)
    }
}

impl Drop for PageRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_put_page(self.as_ptr()) }
    }
}
