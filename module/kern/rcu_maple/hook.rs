// SPDX-License-Identifier: GPL-2.0-only

//! What tests do to a store: in the build with `--cfg faultline_test_hooks` it waits for
//! memory that there is, if the parameter `delay_store_ms` says so; with
//! `--cfg faultline_busted` it may be wrong on purpose.

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

/// A mistake on purpose (`driver/mistake.rs` has the others): a tree that is reserved is
/// stored to.
#[cfg(not(faultline_busted))]
pub(super) const fn ignores_reserved() -> bool {
    false
}

/// A mistake on purpose (`driver/mistake.rs` has the others): a tree that is reserved is
/// stored to.
#[cfg(faultline_busted)]
pub(super) fn ignores_reserved() -> bool {
    crate::kern::param::busted() == c"ignore_reserved"
}
