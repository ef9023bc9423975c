// SPDX-License-Identifier: GPL-2.0-only

//! Random numbers.
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use kernel::bindings;

/// A number below `ceiling`, which is not 0. Any context.
pub(crate) fn random_below(ceiling: u32) -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::__get_random_u32_below(ceiling) }
}
