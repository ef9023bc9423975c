// SPDX-License-Identifier: GPL-2.0-only

//! A reference to this module.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use super::bindings;

/// Keeps the module from being unloaded, until dropped.
///
/// Whoever drops it sees to it that unloading waits for the code behind that: as
/// `rcu_barrier()` waits for callbacks, and `destroy_workqueue()` for works.
///
/// # Invariants
///
/// One of the module's references is this object's.
pub(super) struct ModulePin(());

impl ModulePin {
    pub(super) fn new() -> Self {
        // SAFETY: No requirements: code of the module runs, so it is there. If it is about to go
        // that is not called off, which is no worse than no reference.
        unsafe { bindings::faultline_module_get() };
        // INVARIANT: Just counted.
        Self(())
    }

    /// # Safety
    ///
    /// A pin was forgotten, for the caller to take over.
    pub(super) unsafe fn taken_over() -> Self {
        // INVARIANT: By the safety requirements.
        Self(())
    }
}

impl Drop for ModulePin {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. The caller's code does not go with it, see above.
        unsafe { bindings::faultline_module_put() }
    }
}
