// SPDX-License-Identifier: GPL-2.0-only

//! A vector in an array.

use core::mem::MaybeUninit;

/// At most `N` values, in place: neither made nor moved are those that there are
/// not.
///
/// # Invariants
///
/// The first `len` of `slots` are initialised, and `len` is at most `N`.
pub(crate) struct ArrayVec<T, const N: usize> {
    slots: [MaybeUninit<T>; N],
    len: usize,
}

impl<T, const N: usize> ArrayVec<T, N> {
    /// None.
    pub(crate) const fn new() -> Self {
        // INVARIANT: None are initialised.
        Self {
            slots: [const { MaybeUninit::uninit() }; N],
            len: 0,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds one.
    ///
    /// # Panics
    ///
    /// If there are `N` already.
    pub(crate) fn push(&mut self, value: T) {
        self.slots[self.len].write(value);
        // INVARIANT: Just written, without a panic.
        self.len += 1;
    }

    /// Takes the last.
    pub(crate) fn pop(&mut self) -> Option<T> {
        // INVARIANT: What is not counted any more is not looked at again.
        self.len = self.len.checked_sub(1)?;
        // SAFETY: By the type invariants it was initialised.
        Some(unsafe { self.slots[self.len].assume_init_read() })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        // SAFETY: By the type invariants these are initialised.
        let init = |slot: &'_ MaybeUninit<T>| unsafe { &*slot.as_ptr() };
        self.slots[..self.len].iter().map(init)
    }
}

impl<T, const N: usize> Drop for ArrayVec<T, N> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
