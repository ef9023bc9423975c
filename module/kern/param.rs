// SPDX-License-Identifier: GPL-2.0-only

//! Module parameters. Declared in C (`params.c`), so that sysfs shows them.

use kernel::str::{CStr, CStrExt};

use super::bindings;

/// Pages a new space may hold.
pub(crate) fn max_pages() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_max_pages() }
}

/// Pages that all spaces together may hold.
pub(crate) fn total_pages() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_total_pages() }
}

/// Regions a new space may have.
pub(crate) fn max_regions() -> u64 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_max_regions() }
}

/// The name of the policy of a new space.
pub(crate) fn policy() -> &'static CStr {
    // SAFETY: A string that does not change while the module is loaded.
    unsafe { CStr::from_char_ptr(bindings::faultline_param_policy()) }
}

/// The name of the mistake to be made, if any.
#[cfg(faultline_busted)]
pub(crate) fn busted() -> &'static CStr {
    // SAFETY: A string that does not change while the module is loaded.
    unsafe { CStr::from_char_ptr(bindings::faultline_param_busted()) }
}

/// How long each UNMAP sleeps while it holds the space's lock, in milliseconds.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_unmap_ms() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_unmap_ms() }
}

/// How long a change sleeps before and behind each batch of pages that it
/// discards, in milliseconds.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_discard_ms() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_discard_ms() }
}

/// How long a fault that has found its region sleeps, in milliseconds.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_fault_ms() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_fault_ms() }
}

/// The points, by bit, at which faults and changes may sleep.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_points() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_points() }
}

/// Of so many that come to a point one sleeps; of none if it is 0.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_one_in() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_one_in() }
}

/// How long one sleeps at a point at most, in microseconds.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_us() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_us() }
}

/// How long a store of regions has the tree reserved, as if it waited for memory, in
/// milliseconds.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_store_ms() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_store_ms() }
}

/// How long a fault sleeps before it reads a page of a file, in milliseconds.
#[cfg(faultline_test_hooks)]
pub(crate) fn delay_read_ms() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_delay_read_ms() }
}

/// What aborts speculation: 0 is the page, 1 its leaf, 2 its region, 3 the space.
#[cfg(faultline_test_hooks)]
pub(crate) fn precision() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_param_precision() }
}
