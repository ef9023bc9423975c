// SPDX-License-Identifier: GPL-2.0-only

//! The parameters of the torture module. Declared in C (`torture_params.c`),
//! so that sysfs shows them.

use kernel::str::{CStr, CStrExt};

use super::bindings;

/// The name of the type of lock.
pub(crate) fn torture_type() -> &'static CStr {
    // SAFETY: A string that does not change while the module is loaded.
    unsafe { CStr::from_char_ptr(bindings::faultline_torture_type()) }
}

macro_rules! integers {
    ($($(#[$doc:meta])* $name:ident => $shim:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name() -> i32 {
            // SAFETY: No requirements.
            unsafe { bindings::$shim() }
        }
    )*};
}

integers! {
    /// Threads that write, or -1.
    nwriters_stress => faultline_torture_nwriters_stress;
    /// Threads that read, or -1.
    nreaders_stress => faultline_torture_nreaders_stress;
    /// Seconds between statistics.
    stat_interval => faultline_torture_stat_interval;
    /// An occasional long hold, in milliseconds.
    long_hold => faultline_torture_long_hold;
    /// Seconds that the test takes.
    duration => faultline_torture_duration;
    /// Whether to say more.
    verbose => faultline_torture_verbose;
}

/// Processors that are online.
pub(crate) fn online_cpus() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_num_online_cpus() }
}
