// SPDX-License-Identifier: GPL-2.0-only

//! Objects that RCU readers may look at, freed after a grace period.
//!
//! C header: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h)
//!
//! A module that uses this must call `rcu_barrier()` before it goes.

use core::{
    mem::{offset_of, ManuallyDrop},
    ops::Deref,
    ptr::{self, NonNull},
};

use kernel::{
    alloc::{AllocError, Flags, KBox},
    bindings,
    prelude::*,
    sync::{atomic::Relaxed, Refcount},
    types::Opaque,
};

use super::extent::Extent;

/// The allocation behind [`RcuArc`].
///
/// `value` comes first, so that a pointer to it is one to the allocation.
#[repr(C)]
#[pin_data]
struct Inner<T> {
    #[pin]
    value: T,
    rcu: Opaque<bindings::callback_head>,
    refcount: Refcount,
}

impl<T> Inner<T> {
    fn new(value: impl PinInit<T>, flags: Flags) -> Result<NonNull<Self>, AllocError> {
        let inner = KBox::pin_init(
            pin_init!(Self {
                value <- value,
                rcu: Opaque::uninit(),
                refcount: Refcount::new(1),
            }),
            flags,
        )
        .map_err(|_| AllocError)?;
        // SAFETY: The box is only taken apart to be put together again in `free_now`; the value
        // is not moved.
        let inner = KBox::into_raw(unsafe { Pin::into_inner_unchecked(inner) });
        // SAFETY: Pointers of boxes are not null.
        Ok(unsafe { NonNull::new_unchecked(inner) })
    }

    /// # Safety
    ///
    /// `this` came from `new`, and nobody can find it any more except RCU
    /// readers that have found it already.
    unsafe fn free_later(this: NonNull<Self>) {
        // SAFETY: By the safety requirements. The callback gets the very same `rcu` field.
        unsafe {
            bindings::call_rcu(
                Opaque::cast_into(&raw const (*this.as_ptr()).rcu),
                Some(Self::free_callback),
            )
        }
    }

    unsafe extern "C" fn free_callback(head: *mut bindings::callback_head) {
        // SAFETY: `head` is the `rcu` field of an `Inner<T>`, by `free_later`.
        let inner = unsafe { head.byte_sub(offset_of!(Self, rcu)) }.cast::<Self>();
        // SAFETY: By `free_later` it came from a box, and no reader is left.
        drop(unsafe { KBox::from_raw(inner) });
    }
}

/// A reference-counted, pinned `T` that RCU readers can try to get a reference to.
///
/// When the last reference goes, `T`'s destructor runs in an RCU callback.
///
/// # Invariants
///
/// `inner` came from [`Inner::new`], and one of the references counted in it
/// is this object's.
pub(crate) struct RcuArc<T> {
    inner: NonNull<Inner<T>>,
}

// SAFETY: As for `Arc`.
unsafe impl<T: Send + Sync> Send for RcuArc<T> {}
// SAFETY: As for `Arc`.
unsafe impl<T: Send + Sync> Sync for RcuArc<T> {}

impl<T: Send + Sync + 'static> RcuArc<T> {
    /// Allocates with `flags` and initialises in place.
    pub(crate) fn new(value: impl PinInit<T>, flags: Flags) -> Result<Self, AllocError> {
        // INVARIANT: Just made, with a count of one.
        Inner::new(value, flags).map(|inner| Self { inner })
    }

    /// A hash of `seed` and of all its bytes, the count of references included.
    #[cfg(faultline_test_hooks)]
    pub(crate) fn hash(&self, seed: u32) -> u32 {
        // SAFETY: By the type invariants.
        super::bytes::hash(unsafe { self.inner.as_ref() }, seed)
    }

    /// The allocation of `value`, which is in one.
    pub(crate) fn extent(value: &T) -> Extent {
        Extent {
            address: ptr::from_ref(value).addr(),
            bytes: size_of::<Inner<T>>(),
        }
    }

    /// Gives up the reference; the pointer is one to the value.
    pub(crate) fn into_raw(self) -> *mut T {
        let inner = self.inner;
        core::mem::forget(self);
        inner.as_ptr().cast()
    }

    /// # Safety
    ///
    /// `value` came from [`RcuArc::into_raw`], whose reference is taken back.
    pub(crate) unsafe fn from_raw(value: *mut T) -> Self {
        // SAFETY: `into_raw` gives no null pointer.
        let inner = unsafe { NonNull::new_unchecked(value.cast()) };
        // INVARIANT: By the safety requirements.
        Self { inner }
    }

    /// Gives up the reference, as dropping it does; if it was the last, `last` is
    /// called with the object first. Only RCU readers that have found the object
    /// before may still look at it then.
    pub(crate) fn put(self, last: impl FnOnce(&T)) {
        let this = ManuallyDrop::new(self);
        // SAFETY: By the type invariants, and it is not dropped.
        if unsafe { this.unref() } {
            last(&this);
            // SAFETY: By the type invariants, and no reference is left.
            unsafe { Inner::free_later(this.inner) }
        }
    }

    /// The pointer that [`RcuArc::into_raw`] would give, without giving up the reference.
    pub(crate) fn as_raw(&self) -> *mut T {
        self.inner.as_ptr().cast()
    }

    /// A reference of one's own to an object that may be going away; `None` if
    /// the last reference has gone.
    ///
    /// # Safety
    ///
    /// `value` came from [`RcuArc::into_raw`] and was found in this RCU read
    /// section, so it is not freed yet.
    pub(crate) unsafe fn try_get(value: *mut T) -> Option<Self> {
        // SAFETY: By the safety requirements; `value` is the first field of `Inner`.
        let inner = unsafe { NonNull::new_unchecked(value.cast::<Inner<T>>()) };
        // SAFETY: As above.
        let refcount = unsafe { &(*inner.as_ptr()).refcount };
        let mut count = refcount.as_atomic().load(Relaxed);
        // A count below zero has saturated: such an object is never freed.
        while count > 0 {
            // Relaxed: what the object holds is published with the pointer to
            // it, and a count above zero keeps it from being torn down.
            match refcount.as_atomic().cmpxchg(count, count + 1, Relaxed) {
                // INVARIANT: The reference just counted.
                Ok(_) => return Some(Self { inner }),
                Err(now) => count = now,
            }
        }
        (count < 0).then(|| Self { inner })
    }
}

impl<T> RcuArc<T> {
    /// Whether that was the last reference.
    ///
    /// # Safety
    ///
    /// This object is not used again, except to look at `T` and to free it if
    /// that was the last.
    unsafe fn unref(&self) -> bool {
        // A release, and an acquire for the last: everything done through any
        // reference comes before what is done to it then.
        // SAFETY: By the type invariants.
        unsafe { &(*self.inner.as_ptr()).refcount }.dec_and_test()
    }
}

impl<T> Clone for RcuArc<T> {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants.
        let refcount = unsafe { &(*self.inner.as_ptr()).refcount };
        refcount.inc();
        // INVARIANT: The reference just counted.
        Self { inner: self.inner }
    }
}

impl<T> Deref for RcuArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: By the type invariants.
        unsafe { &(*self.inner.as_ptr()).value }
    }
}

impl<T> Drop for RcuArc<T> {
    fn drop(&mut self) {
        // SAFETY: It goes.
        if unsafe { self.unref() } {
            // SAFETY: By the type invariants, and no reference is left.
            unsafe { Inner::free_later(self.inner) }
        }
    }
}
