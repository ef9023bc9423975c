// SPDX-License-Identifier: GPL-2.0-only

//! Objects as bytes, to see whether anybody has written to them.
//!
//! C header: [`include/linux/jhash.h`](srctree/include/linux/jhash.h)

use core::ops::Range;

use super::bindings;

/// A hash of `seed` and of all bytes of `object`, but those in `hole`. Others may
/// write to it meanwhile; then it is that of nothing in particular.
pub(crate) fn hash_around<T: ?Sized>(object: &T, hole: Range<usize>, seed: u32) -> u32 {
    assert!(hole.start <= hole.end && hole.end <= size_of_val(object));
    let start = (object as *const T).cast::<u8>();
    // SAFETY: It is as long as that. C reads the bytes, of which some may be padding, or be
    // written meanwhile: as they are then.
    let seed = unsafe { bindings::faultline_hash(start.cast(), hole.start as u32, seed) };
    let rest = (size_of_val(object) - hole.end) as u32;
    // SAFETY: As above, and the hole ends in it.
    unsafe { bindings::faultline_hash(start.add(hole.end).cast(), rest, seed) }
}

/// That of all bytes of `object`.
pub(crate) fn hash<T: ?Sized>(object: &T, seed: u32) -> u32 {
    hash_around(object, 0..0, seed)
}
