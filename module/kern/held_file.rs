// SPDX-License-Identifier: GPL-2.0-only

//! An open file that is kept, and the pages of what it is open on.
//!
//! C headers: [`include/linux/file.h`](srctree/include/linux/file.h),
//! [`include/linux/pagemap.h`](srctree/include/linux/pagemap.h),
//! [`include/linux/shmem_fs.h`](srctree/include/linux/shmem_fs.h)
//!
//! `kernel::fs::File` ties a file to a thread because of its position, which is
//! not touched here, and knows nothing of its pages.

use core::ptr::NonNull;

use kernel::{bindings as c, error::to_result, page::PAGE_SIZE, prelude::*};

use super::{bindings, page_ref::PageRef, task::fatal_signal_pending};

/// A reference to an open file.
///
/// May be dropped in any context: the last `fput()` of a file is put off to a
/// task that may sleep.
///
/// # Invariants
///
/// `file` is a valid file, and one of its references is this object's.
pub(crate) struct HeldFile {
    file: NonNull<c::file>,
}

// SAFETY: References to files are not tied to a task.
unsafe impl Send for HeldFile {}
// SAFETY: Only used for calls that may run concurrently.
unsafe impl Sync for HeldFile {}

/// What an access wants of a file.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    Read,
    Write,
}

/// Whether what is not in the page cache may be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Allowed,
    Refused,
}

/// Why a page of a file could not be had.
#[derive(Clone, Copy)]
pub(crate) enum ReadError {
    /// It is beyond the end of the file.
    BeyondEnd,
    /// It would have to be read.
    NotCached,
    /// The allocator, or the memory cgroup, has nothing left for a page. Not
    /// what a file system says: that may stay so, and is [`Failed`](Self::Failed).
    NoMemory,
    /// A fatal signal ended a wait.
    Killed,
    /// It could not be read, or its memory is broken.
    Failed,
}

impl ReadError {
    fn new(error: Error) -> Self {
        match error {
            ENOMEM => Self::NoMemory,
            _ if fatal_signal_pending() => Self::Killed,
            _ => Self::Failed,
        }
    }

    /// As shmem reports: `EINVAL` for a page beyond the end, `EFBIG` for one
    /// beyond the end of any file.
    fn of_shmem(error: Error) -> Self {
        match error {
            EINVAL | EFBIG => Self::BeyondEnd,
            _ => Self::new(error),
        }
    }
}

impl HeldFile {
    /// The file that `fd` of the current process stands for. `EBADF`, also if
    /// it was opened with `O_PATH`.
    pub(crate) fn from_fd(fd: i32) -> Result<Self> {
        // SAFETY: No requirements. A negative descriptor becomes one that nobody has.
        let file = unsafe { c::fget(fd as u32) };
        // INVARIANT: `fget()` has counted a reference for us.
        Ok(Self {
            file: NonNull::new(file).ok_or(EBADF)?,
        })
    }

    /// One more reference to an open file.
    ///
    /// # Safety
    ///
    /// `file` is valid, and somebody's reference keeps it so.
    pub(super) unsafe fn get(file: NonNull<c::file>) -> Self {
        // SAFETY: By the safety requirements.
        unsafe { c::get_file(file.as_ptr()) };
        // INVARIANT: The reference just counted.
        Self { file }
    }

    fn as_ptr(&self) -> *mut c::file {
        self.file.as_ptr()
    }

    fn mapping(&self) -> *mut c::address_space {
        // SAFETY: By the type invariants.
        unsafe { (*self.as_ptr()).f_mapping }
    }

    /// The inode whose pages these are, valid as long as this object.
    pub(super) fn inode(&self) -> *mut c::inode {
        // SAFETY: An open file has a mapping, and that a host.
        unsafe { (*self.mapping()).host }
    }

    /// Whether both are the same open file: the same `open(2)`, not only the
    /// same inode.
    pub(crate) fn is_same_open(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// Whether it was opened for reading, or for writing.
    pub(crate) fn is_open_for(&self, want: Want) -> bool {
        // SAFETY: By the type invariants.
        match want {
            Want::Read => unsafe { bindings::faultline_file_is_readable(self.as_ptr()) },
            // SAFETY: As above.
            Want::Write => unsafe { bindings::faultline_file_is_writable(self.as_ptr()) },
        }
    }

    /// Asks the security modules, and who watches the file, as read(2) or
    /// write(2) of `len` bytes from byte `pos` on does: `rw_verify_area()`.
    /// Their error. May sleep.
    pub(crate) fn verify(&self, want: Want, pos: u64, len: u64) -> Result {
        let (rw, pos) = (matches!(want, Want::Write).into(), pos as c::loff_t);
        // SAFETY: By the type invariants; 0 is READ and 1 is WRITE.
        let ret = unsafe { c::rw_verify_area(rw, self.as_ptr(), &pos, len as usize) };
        to_result(ret)
    }

    /// Whether it is a memfd of normal pages: a file of shmem's internal mount
    /// that memfd_create(2) has named. Others of that mount are SysV segments,
    /// shared anonymous memory, buffers of GPU drivers: they can be opened by
    /// /proc/PID/map_files, but have owners that rely on their pages.
    pub(crate) fn is_memfd(&self) -> bool {
        // SAFETY: By the type invariants.
        self.is_regular()
            && self.is_shmem()
            && unsafe { bindings::faultline_file_is_internal(self.as_ptr()) }
            // SAFETY: By the type invariants; nobody renames what is in no directory.
            && unsafe { bindings::faultline_file_is_named_memfd(self.as_ptr()) }
    }

    /// Whether the page cache holds normal pages of it that may be read: a
    /// regular file that can be mapped, not DAX, not hugetlb, with pages that
    /// come from shmem or by `->read_folio`. Others (secretmem, guest memory)
    /// are not even in the kernel's own map.
    ///
    /// Files of kernfs (sysfs, cgroups) have `->read_folio` and a way to map
    /// some, but their contents are not in the page cache. What tells them is
    /// that splice(2) does not go by it, on a file system without a device:
    /// gfs2 has one, and its own reason.
    ///
    /// A file whose pages are another's (coda) has neither the other's size nor
    /// its `->read_folio`.
    pub(crate) fn has_cached_pages(&self) -> bool {
        // SAFETY: By the type invariants.
        let can_mmap = unsafe { bindings::faultline_file_can_mmap(self.as_ptr()) };
        // SAFETY: By the type invariants.
        let is_huge = unsafe { bindings::faultline_file_is_hugetlb(self.as_ptr()) };
        // SAFETY: By the type invariants.
        let is_dax = unsafe { bindings::faultline_file_is_dax(self.as_ptr()) };
        // SAFETY: By the type invariants.
        let is_pseudo = unsafe { bindings::faultline_file_bypasses_cache(self.as_ptr()) };
        // SAFETY: By the type invariants; an open file has an inode.
        let is_own = unsafe { (*self.as_ptr()).f_inode } == self.inode();
        let is_normal =
            self.is_regular() && can_mmap && is_own && !is_huge && !is_dax && !is_pseudo;
        is_normal && (self.is_shmem() || self.has_read_folio())
    }

    fn is_regular(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_file_is_regular(self.as_ptr()) }
    }

    fn is_shmem(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_file_is_shmem(self.as_ptr()) }
    }

    fn has_read_folio(&self) -> bool {
        // SAFETY: A mapping has operations, of which any may be missing.
        unsafe { (*(*self.mapping()).a_ops).read_folio.is_some() }
    }

    /// The size in bytes, a moment ago.
    pub(crate) fn size(&self) -> u64 {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_file_size(self.as_ptr()) as u64 }
    }

    /// The bytes of page `index` that are below the end of the file, if any.
    pub(crate) fn valid_bytes(&self, index: u64) -> Option<usize> {
        let start = index.checked_mul(PAGE_SIZE as u64)?;
        let valid = self.size().checked_sub(start)?;
        (valid != 0).then(|| valid.min(PAGE_SIZE as u64) as usize)
    }

    /// A copy of page `index` of a file that [has cached
    /// pages](Self::has_cached_pages), charged to the memory cgroup. What lies
    /// at or beyond the end of the file reads zero. May sleep, and do I/O (but for a
    /// file of shmem only if that is `Allowed`).
    pub(crate) fn copy_page(&self, index: u64, reading: Reading) -> Result<PageRef, ReadError> {
        self.valid_bytes(index).ok_or(ReadError::BeyondEnd)?;
        let page = self.find_page(index, reading)?;
        // Once more, as only now the page is known to be up to date.
        let valid = self.valid_bytes(index).ok_or(ReadError::BeyondEnd)?;
        match page {
            Some(page) if page.is_poisoned() => Err(ReadError::Failed),
            Some(page) => {
                PageRef::copy_of(&page, valid, GFP_KERNEL_ACCOUNT).map_err(ReadError::new)
            }
            None => PageRef::alloc(GFP_KERNEL_ACCOUNT | kernel::alloc::flags::__GFP_ZERO)
                .map_err(|_| ReadError::NoMemory),
        }
    }

    /// The page at `index`, up to date; `None` for a hole in a file of shmem.
    fn find_page(&self, index: u64, reading: Reading) -> Result<Option<PageRef>, ReadError> {
        let index = index as usize;
        if self.is_shmem() {
            // SAFETY: By the type invariants, and just checked.
            let page = unsafe { bindings::faultline_shmem_find_page(self.as_ptr(), index) };
            // SAFETY: It comes with a reference, unless it is null or an error.
            return unsafe { PageRef::from_raw(page) }.map_err(ReadError::of_shmem);
        }
        // Without the lock below, which is a line that all CPUs would write.
        // SAFETY: By the type invariants.
        let cached = unsafe { bindings::faultline_find_uptodate_page(self.as_ptr(), index) };
        // SAFETY: It comes with a reference, unless it is null.
        match unsafe { PageRef::from_raw(cached) } {
            Ok(Some(page)) => Ok(Some(page)),
            _ if reading == Reading::Refused => Err(ReadError::NotCached),
            _ => self.read_page(index).map_err(ReadError::new),
        }
    }

    /// Reads page `index`, not of a file of shmem, into the page cache, if it can be
    /// read. May sleep and do I/O.
    pub(super) fn cache_page(&self, index: u64) {
        // Who needs it sees why not.
        let _ = self.read_page(index as usize);
    }

    /// Every wait for the page ends with a fatal signal.
    fn read_page(&self, index: usize) -> Result<Option<PageRef>> {
        #[cfg(faultline_test_hooks)]
        kernel::time::delay::fsleep(kernel::time::Delta::from_millis(
            super::param::delay_read_ms().into(),
        ));
        // SAFETY: By the type invariants. It takes the lock below itself.
        unsafe { bindings::faultline_readahead(self.as_ptr(), index) };
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::faultline_invalidate_lock_shared_killable(self.mapping()) })?;
        // SAFETY: By the type invariants, and the mapping has `->read_folio`, which may want the
        // file. Its invalidation is held off.
        let page = unsafe { bindings::faultline_read_page(self.as_ptr(), index) };
        // SAFETY: Taken above.
        unsafe { bindings::faultline_invalidate_unlock_shared(self.mapping()) };
        // SAFETY: It comes with a reference, unless it is an error.
        unsafe { PageRef::from_raw(page) }
    }

    /// Page `index` of a file of shmem itself, made if it is a hole, charged to
    /// the memory cgroup then. As long as it is held it stays the page at
    /// `index`, unless the file is truncated or gets a hole there. May sleep
    /// and do I/O.
    pub(super) fn shmem_page(&self, index: u64) -> Result<PageRef, ReadError> {
        if fatal_signal_pending() {
            return Err(ReadError::Killed);
        }
        // SAFETY: By the type invariants; for another file it is an error.
        let page = unsafe { bindings::faultline_shmem_read_page(self.as_ptr(), index as usize) };
        // SAFETY: It comes with a reference, unless it is an error.
        let page = unsafe { PageRef::from_raw(page) }.map_err(ReadError::of_shmem)?;
        page.ok_or(ReadError::Failed)
    }

    /// Page `index`, if it is up to date in the page cache. Does not sleep.
    pub(crate) fn cached_page(&self, index: u64) -> Option<PageRef> {
        // SAFETY: By the type invariants.
        let page = unsafe { bindings::faultline_find_uptodate_page(self.as_ptr(), index as usize) };
        // SAFETY: It comes with a reference, unless it is null.
        let page = unsafe { PageRef::from_raw(page) }.ok()??;
        (!page.is_poisoned()).then_some(page)
    }

    /// Page `index` of a file of shmem itself, if it is up to date in the page cache
    /// and its folio was not locked. Does not sleep.
    pub(super) fn try_locked_page(&self, index: u64) -> Option<PageRef> {
        // SAFETY: By the type invariants.
        let page = unsafe { bindings::faultline_try_locked_page(self.as_ptr(), index as usize) };
        // SAFETY: It comes with a reference, unless it is null.
        let page = unsafe { PageRef::from_raw(page) }.ok()??;
        (!page.is_poisoned()).then_some(page)
    }

    /// Whether `page` is page `index` in the page cache now.
    pub(crate) fn has_page(&self, page: &PageRef, index: u64) -> bool {
        // SAFETY: By the type invariants of both; a folio that is referenced is not split.
        unsafe { bindings::faultline_file_has_page(self.as_ptr(), page.as_ptr(), index as usize) }
    }

    /// Whether what `update_time` would note is there.
    pub(super) fn times_are_current(&self) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::faultline_times_are_current(self.inode()) }
    }

    /// Notes that the file's contents change now: `file_update_time()`. Only
    /// for a file of shmem, for which it does not sleep.
    pub(super) fn update_time(&self) {
        // SAFETY: By the type invariants. An error means that the time stays as it is.
        let _ = unsafe { c::file_update_time(self.as_ptr()) };
    }
}

impl Clone for HeldFile {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants.
        unsafe { Self::get(self.file) }
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { c::fput(self.as_ptr()) }
    }
}
