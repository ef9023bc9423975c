// SPDX-License-Identifier: GPL-2.0-only

//! Areas of user memory whose faults a driver handles.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use core::{marker::PhantomData, ptr::NonNull};

use kernel::{
    bindings as c,
    mm::virt::VmaNew,
    prelude::*,
    sync::{Arc, ArcBorrow},
    types::ForeignOwnable,
};

use super::{bindings, held_file::HeldFile, page_ref::PageRef};

/// What a fault handler tells the core: a `vm_fault_t`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct VmFaultResult(c::vm_fault_t);

impl VmFaultResult {
    /// The handler installed the entry itself, or the access is to be tried again.
    pub(crate) const NOPAGE: Self = Self(c::vm_fault_reason_VM_FAULT_NOPAGE);
    /// The task gets SIGBUS.
    pub(crate) const SIGBUS: Self = Self(c::vm_fault_reason_VM_FAULT_SIGBUS);
    /// The task gets SIGSEGV.
    pub(crate) const SIGSEGV: Self = Self(c::vm_fault_reason_VM_FAULT_SIGSEGV);
    /// Memory allocation failed. The core looks for a task to kill and then
    /// tries the access again, so this must not stand for a limit that stays.
    pub(crate) const OOM: Self = Self(c::vm_fault_reason_VM_FAULT_OOM);
}

/// A fault that is being handled.
///
/// # Invariants
///
/// `vmf` is the fault the core has called the handler with, and its area has
/// `VM_MIXEDMAP` set.
pub(crate) struct VmFault<'a> {
    vmf: *mut c::vm_fault,
    /// What is to be read when the handler has returned.
    read: Option<(Arc<HeldFile>, u64)>,
    _core: PhantomData<&'a mut c::vm_fault>,
}

/// Why no entry was installed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InsertError {
    /// No page table could be had, for lack of memory or because it was freed
    /// at that moment (`PT_RECLAIM`).
    NoTable,
    /// The entry belongs to another page, or the page cannot be mapped.
    Refused,
}

impl VmFault<'_> {
    /// The page of the file that was accessed.
    pub(crate) fn pgoff(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { (*self.vmf).__bindgen_anon_1.pgoff }
    }

    /// The address that was accessed.
    pub(crate) fn address(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { (*self.vmf).__bindgen_anon_1.real_address }
    }

    /// Whether the access is a write.
    pub(crate) fn is_write(&self) -> bool {
        // SAFETY: By the type invariants.
        let flags = unsafe { (*self.vmf).flags };
        flags & c::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Whether the core has the fault made again, with nothing held meanwhile, if it is
    /// asked to. As for `maybe_unlock_mmap_for_io()`, that is so the first time only.
    ///
    /// Not in a kernel thread (a fault for others, as of KVM): its last `fput()` of the
    /// window's file is left to a work, which might be the end of this module before
    /// the thread has left it.
    pub(crate) fn may_retry(&self) -> bool {
        // SAFETY: The current task is there.
        if unsafe { (*c::get_current()).flags } & c::PF_KTHREAD != 0 {
            return false;
        }
        // SAFETY: By the type invariants.
        let flags = unsafe { (*self.vmf).flags };
        let asked = c::fault_flag_FAULT_FLAG_ALLOW_RETRY
            | c::fault_flag_FAULT_FLAG_RETRY_NOWAIT
            | c::fault_flag_FAULT_FLAG_TRIED;
        flags & asked == c::fault_flag_FAULT_FLAG_ALLOW_RETRY
    }

    /// When the handler has returned, whatever that is, the area (or its address space)
    /// is unlocked, page `index` of `file` is read into the page cache, and the fault is
    /// made again. Only if it [may be](Self::may_retry); else nothing is done. Not for
    /// a file of shmem.
    pub(crate) fn retry_behind_read(&mut self, file: Arc<HeldFile>, index: u64) {
        if self.may_retry() {
            self.read = Some((file, index));
        }
    }

    /// Maps `page` at the accessed address, writable if `write`, otherwise
    /// read-only: `vmf_insert_page_mkwrite()`. An entry that maps `page`
    /// already is left, or made writable. The entry has a reference of its
    /// own to the page.
    ///
    /// May sleep (page-table allocation).
    pub(crate) fn insert_page(&mut self, page: &PageRef, write: bool) -> Result<(), InsertError> {
        // SAFETY: By the type invariants; `page` has a reference.
        let ret = unsafe { c::vmf_insert_page_mkwrite(self.vmf, page.as_ptr(), write) };
        match VmFaultResult(ret) {
            VmFaultResult::NOPAGE => Ok(()),
            VmFaultResult::OOM => Err(InsertError::NoTable),
            _ => Err(InsertError::Refused),
        }
    }
}

/// The faults of an area. Handlers run in process context with the area (or
/// its address space) locked for reading, and may sleep.
pub(crate) trait VmOperations: Send + Sync + Sized + 'static {
    /// There is no entry for the accessed address: `->fault`.
    fn fault(&self, fault: &mut VmFault<'_>) -> VmFaultResult;

    /// There is a read-only entry, and a write: `->page_mkwrite`. The handler
    /// installs a writable entry itself and returns [`VmFaultResult::NOPAGE`],
    /// or one of the errors.
    fn page_mkwrite(&self, fault: &mut VmFault<'_>) -> VmFaultResult;
}

/// Where an area that is being mapped begins in its file, in pages.
pub(crate) fn pgoff(vma: &VmaNew) -> usize {
    // SAFETY: The area is being set up by this task.
    unsafe { (*vma.as_ptr()).vm_pgoff }
}

/// Makes `private` handle the faults of `vma`, which gets `VM_MIXEDMAP`. The
/// area, and every area split off or copied from it, holds a reference.
///
/// To be called once, as the last thing that can fail in `mmap`: if `mmap`
/// fails behind it, the reference is leaked.
pub(crate) fn install<T: VmOperations>(vma: &VmaNew, private: Arc<T>) {
    vma.set_mixedmap();
    let raw = vma.as_ptr();
    // SAFETY: The area is being set up by this task. `close` takes the reference back.
    unsafe { (*raw).vm_private_data = private.into_foreign().cast() };
    // SAFETY: As above.
    unsafe { (*raw).vm_ops = &VmOpsTable::<T>::TABLE };
}

/// Unlocks the area of the fault, or its address space, and reads page `index` of
/// `file`, as `filemap_fault()` does.
///
/// # Safety
///
/// The core handles `vmf`, and takes `VM_FAULT_RETRY` for an answer. The area is not
/// used any more.
#[cold]
unsafe fn read_and_retry(vmf: *mut c::vm_fault, file: &HeldFile, index: u64) -> c::vm_fault_t {
    // SAFETY: By the safety requirements.
    let window = unsafe { (*(*vmf).__bindgen_anon_1.vma).vm_file };
    // The area may go now, and this module with its last file.
    // SAFETY: The file of the area, which is still locked.
    let _window = NonNull::new(window).map(|window| unsafe { HeldFile::get(window) });
    // SAFETY: By the safety requirements.
    unsafe { bindings::faultline_release_fault_lock(vmf) };
    file.cache_page(index);
    // Something was read, so the core does not let us ask again.
    c::vm_fault_reason_VM_FAULT_RETRY | c::vm_fault_reason_VM_FAULT_MAJOR
}

struct VmOpsTable<T>(PhantomData<T>);

impl<T: VmOperations> VmOpsTable<T> {
    const TABLE: c::vm_operations_struct = c::vm_operations_struct {
        open: Some(Self::open),
        close: Some(Self::close),
        fault: Some(Self::fault),
        page_mkwrite: Some(Self::page_mkwrite),
        map_pages: Some(Self::map_pages),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `vma` was set up by [`install`] for `T` and is not closed.
    unsafe fn private<'a>(vma: *mut c::vm_area_struct) -> ArcBorrow<'a, T> {
        // SAFETY: By the safety requirements.
        let private = unsafe { (*vma).vm_private_data };
        // SAFETY: It came from `into_foreign`, and the area holds the reference.
        unsafe { <Arc<T> as ForeignOwnable>::borrow(private.cast()) }
    }

    unsafe extern "C" fn open(vma: *mut c::vm_area_struct) {
        // SAFETY: The core calls it for areas copied from one of ours.
        let private = unsafe { Self::private(vma) };
        let _ = Arc::from(private).into_foreign();
    }

    unsafe extern "C" fn close(vma: *mut c::vm_area_struct) {
        // SAFETY: The core calls it once for each area of ours.
        let private = unsafe { (*vma).vm_private_data };
        // SAFETY: The reference that `install` or `open` gave the area.
        drop(unsafe { <Arc<T> as ForeignOwnable>::from_foreign(private.cast()) });
    }

    unsafe extern "C" fn fault(vmf: *mut c::vm_fault) -> c::vm_fault_t {
        // SAFETY: The core calls it for areas of ours.
        unsafe { Self::handle(vmf, T::fault) }
    }

    unsafe extern "C" fn page_mkwrite(vmf: *mut c::vm_fault) -> c::vm_fault_t {
        // SAFETY: The core calls it for areas of ours.
        unsafe { Self::handle(vmf, T::page_mkwrite) }
    }

    /// # Safety
    ///
    /// `vmf` is a fault in an area set up by [`install`] for `T`.
    unsafe fn handle(
        vmf: *mut c::vm_fault,
        handler: fn(&T, &mut VmFault<'_>) -> VmFaultResult,
    ) -> c::vm_fault_t {
        // SAFETY: By the safety requirements.
        let vma = unsafe { (*vmf).__bindgen_anon_1.vma };
        // SAFETY: By the safety requirements.
        let private = unsafe { Self::private(vma) };
        // INVARIANT: `install` has set `VM_MIXEDMAP`.
        let mut fault = VmFault {
            vmf,
            read: None,
            _core: PhantomData,
        };
        let result = handler(&private, &mut fault);
        match fault.read {
            None => result.0,
            // SAFETY: By the safety requirements, and the fault may be made again.
            Some((file, index)) => unsafe { read_and_retry(vmf, &file, index) },
        }
    }

    /// Maps nothing around a read fault. It is there because the core handles
    /// faults of areas without it under `mmap_lock` only, see
    /// `vmf_can_call_fault()` in `mm/memory.c`.
    unsafe extern "C" fn map_pages(
        _vmf: *mut c::vm_fault,
        _start: usize,
        _end: usize,
    ) -> c::vm_fault_t {
        0
    }
}
