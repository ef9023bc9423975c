// SPDX-License-Identifier: GPL-2.0-only

//! Tracepoints, and those of range locks: see `trace.h`.
//!
//! `kernel::tracepoint::declare_trace!` looks for them in `kernel::bindings`,
//! where those of a module outside the tree are not.

use kernel::ffi::c_ulong;

/// Declares a function that fires the tracepoint of its name. Disabled, it
/// costs a jump that is patched out.
macro_rules! declare_trace {
    ($(fn $name:ident($($arg:ident: $ty:ty),* $(,)?);)*) => {$(
        kernel::macros::paste! {
            #[inline(always)]
            pub(crate) fn $name($($arg: $ty),*) {
                #[allow(improper_ctypes)]
                extern "C" {
                    static mut [<__tracepoint_faultline_ $name>]: kernel::bindings::tracepoint;
                    fn [<rust_do_trace_faultline_ $name>]($($arg: $ty),*);
                }
                // SAFETY: The key of a tracepoint may be looked at any time.
                let enabled = unsafe {
                    kernel::jump_label::static_branch_unlikely!(
                        [<__tracepoint_faultline_ $name>],
                        kernel::bindings::tracepoint,
                        key
                    )
                };
                if enabled {
                    // SAFETY: Only scalars are passed.
                    unsafe { [<rust_do_trace_faultline_ $name>]($($arg),*) };
                }
            }
        }
    )*};
}

// The torture has no others.
#[allow(unused_imports)]
pub(super) use declare_trace;

declare_trace! {
    fn range_start_locking(lock: c_ulong, start: u64, end: u64, write: bool);
    fn range_acquire_returned(lock: c_ulong, start: u64, end: u64, write: bool, success: bool);
    fn range_released(lock: c_ulong, start: u64, end: u64, write: bool);
}
