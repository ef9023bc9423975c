// SPDX-License-Identifier: GPL-2.0-only

//! Objects as bytes, to see whether anybody has written to them.
//!
//! C header: [`include/linux/jhash.h`](srctree/include/linux/jhash.h)

use super::bindings;

/// A hash of `seed` and of all bytes of `object`. Others may write to it meanwhile; then it
/// is that of nothing in particular.
pub(crate) fn hash<T: ?Sized>(object: &T, seed: u32) -> u32 {
    let start = core::ptr::from_ref(object).cast();
    // SAFETY: It is as long as that. C reads the bytes, of which some may be padding, or be
    // written meanwhile: as they are then.
    unsafe { bindings::faultline_hash(start, size_of_val(object) as u32, seed) }
}
