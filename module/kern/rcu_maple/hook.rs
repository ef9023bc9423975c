// SPDX-License-Identifier: GPL-2.0-only

//! What tests do to a store: in the build with `--cfg faultline_test_hooks` it waits for
//! memory that there is, if the parameter `delay_store_ms` says so.

/// Whether a store is to find no memory without waiting.
#[cfg(not(faultline_test_hooks))]
pub(super) const fn has_no_memory() -> bool {
    false
}

/// Whether a store is to find no memory without waiting.
#[cfg(faultline_test_hooks)]
pub(super) fn has_no_memory() -> bool {
    crate::kern::param::delay_store_ms() != 0
}

/// It waits. May sleep.
#[cfg(not(faultline_test_hooks))]
pub(super) const fn wait_for_memory() {}

/// It waits. May sleep.
#[cfg(faultline_test_hooks)]
pub(super) fn wait_for_memory() {
    use kernel::time::{delay::fsleep, Delta};

    fsleep(Delta::from_millis(
        crate::kern::param::delay_store_ms().into(),
    ));
}
