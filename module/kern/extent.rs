// SPDX-License-Identifier: GPL-2.0-only

//! Where in memory something is.

/// An address, and how many bytes are there. To be shown, not to be used.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) address: usize,
    pub(crate) bytes: usize,
}

impl Extent {
    /// That of `object`, without what it refers to.
    pub(crate) fn of<T: ?Sized>(object: &T) -> Self {
        Self {
            address: core::ptr::from_ref(object).addr(),
            bytes: size_of_val(object),
        }
    }
}
