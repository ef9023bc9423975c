// SPDX-License-Identifier: GPL-2.0-only

//! An XArray of reference-counted objects that are looked up without its lock.
//!
//! C header: [`include/linux/xarray.h`](srctree/include/linux/xarray.h)
//!
//! `kernel::xarray` takes the array's lock for every look-up.

use core::{marker::PhantomData, ptr};

use kernel::{bindings as c, error::to_result, prelude::*, sync::rcu, types::Opaque};

use super::{bindings, rcu_arc::RcuArc};

/// # Invariants
///
/// `xa` is initialised. Its entries came from [`RcuArc::into_raw`]; each owns
/// the reference.
#[pin_data(PinnedDrop)]
pub(crate) struct RcuXArray<T: Send + Sync + 'static> {
    #[pin]
    xa: Opaque<c::xarray>,
    _owns: PhantomData<RcuArc<T>>,
}

// SAFETY: It owns references that may be sent.
unsafe impl<T: Send + Sync + 'static> Send for RcuXArray<T> {}
// SAFETY: Readers use RCU, writers the array's lock.
unsafe impl<T: Send + Sync + 'static> Sync for RcuXArray<T> {}

impl<T: Send + Sync + 'static> RcuXArray<T> {
    /// An empty array; its nodes are charged to the memory cgroup.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialised here, without entries.
            // SAFETY: `xa` is valid for writing.
            xa <- Opaque::ffi_init(|xa| unsafe { bindings::faultline_xa_init(xa) }),
            _owns: PhantomData,
        })
    }

    /// The object at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<RcuArc<T>> {
        let _rcu = rcu::read_lock();
        // SAFETY: By the type invariants.
        let found = unsafe { c::xa_load(self.xa.get(), index) };
        // SAFETY: An entry is an object, found in this read section.
        (!found.is_null()).then(|| unsafe { RcuArc::try_get(found.cast()) })?
    }

    /// The object at `index` or the next above it, at most at `last`, with its index.
    pub(crate) fn find(&self, index: usize, last: usize) -> Option<(usize, RcuArc<T>)> {
        let _rcu = rcu::read_lock();
        let mut index = index;
        loop {
            // SAFETY: By the type invariants.
            let found = unsafe { c::xa_find(self.xa.get(), &mut index, last, c::XA_PRESENT) };
            if found.is_null() {
                return None;
            }
            // SAFETY: An entry is an object, found in this read section.
            match unsafe { RcuArc::try_get(found.cast()) } {
                Some(object) => return Some((index, object)),
                // It has just been removed.
                None if index < last => index += 1,
                None => return None,
            }
        }
    }

    /// Puts `new` at `index`, unless there is an object already, which is then
    /// returned instead (and `new` is dropped). May sleep.
    pub(crate) fn get_or_insert(&self, index: usize, new: RcuArc<T>) -> Result<RcuArc<T>> {
        let kept = new.clone();
        let raw = new.into_raw();
        let (present, inserted) = self.exchange(index, ptr::null_mut(), raw, c::GFP_KERNEL);
        if let Ok(true) = inserted {
            return Ok(kept);
        }
        // SAFETY: It was not inserted, so the reference is still ours.
        drop(unsafe { RcuArc::from_raw(raw) });
        match inserted {
            Ok(_) => present.ok_or(EAGAIN),
            Err(error) => Err(error),
        }
    }

    /// Removes `object` from `index`, if that is what is there.
    pub(crate) fn remove(&self, index: usize, object: &RcuArc<T>) {
        let raw = object.as_raw();
        if let (_, Ok(true)) = self.exchange(index, raw, ptr::null_mut(), c::GFP_NOWAIT) {
            // SAFETY: The array's reference, which it has just given up.
            drop(unsafe { RcuArc::from_raw(raw) });
        }
    }

    /// Replaces `old` by `new`, if `old` is what is there. Returns whether it
    /// was, and if not a reference to what is.
    fn exchange(
        &self,
        index: usize,
        old: *mut T,
        new: *mut T,
        gfp: c::gfp_t,
    ) -> (Option<RcuArc<T>>, Result<bool>) {
        // SAFETY: By the type invariants.
        unsafe { c::xa_lock(self.xa.get()) };
        // SAFETY: The lock is held; it may be dropped to allocate, and is taken again.
        let found = unsafe { c::__xa_cmpxchg(self.xa.get(), index, old.cast(), new.cast(), gfp) };
        // SAFETY: No requirements.
        let result = to_result(unsafe { c::xa_err(found) }).map(|()| ptr::eq(found, old.cast()));
        let present = match result {
            // SAFETY: An entry is an object, and the lock keeps it from being removed.
            Ok(false) if !found.is_null() => unsafe { RcuArc::try_get(found.cast()) },
            _ => None,
        };
        // SAFETY: The lock is held.
        unsafe { c::xa_unlock(self.xa.get()) };
        (present, result)
    }
}

#[pinned_drop]
impl<T: Send + Sync + 'static> PinnedDrop for RcuXArray<T> {
    fn drop(self: Pin<&mut Self>) {
        let mut index = 0;
        loop {
            // SAFETY: By the type invariants.
            let found = unsafe { c::xa_find(self.xa.get(), &mut index, usize::MAX, c::XA_PRESENT) };
            if found.is_null() {
                break;
            }
            // SAFETY: An entry, whose reference the array owns.
            drop(unsafe { RcuArc::<T>::from_raw(found.cast()) });
            match index.checked_add(1) {
                Some(next) => index = next,
                None => break,
            }
        }
        // SAFETY: By the type invariants; it only frees nodes.
        unsafe { c::xa_destroy(self.xa.get()) };
    }
}
