// SPDX-License-Identifier: GPL-2.0-only

//! What a task has of a lock: a place in the line, or a range.

use core::marker::PhantomData;

use super::{super::sync::Sleep, request::Request};

/// A fatal signal ended the wait for a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed;

/// Marks a guard whose range is held for reading.
#[derive(Debug)]
pub enum Read {}
/// Marks a guard whose range is held for writing.
#[derive(Debug)]
pub enum Write {}

/// Whether a request has to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has the lock.
    Now,
    /// Something is in its way.
    Later,
}

/// A place in the line. Dropping it gives it up.
#[must_use = "the place is given up immediately when this is unused"]
pub struct Queued<'r, 'l, M> {
    request: &'r Request<'l>,
    turn: Turn,
    _mode: PhantomData<(M, *mut ())>,
}

impl<'r, 'l, M> Queued<'r, 'l, M> {
    #[inline]
    pub(super) fn new(request: &'r Request<'l>, turn: Turn) -> Self {
        Self {
            request,
            turn,
            _mode: PhantomData,
        }
    }

    #[cfg(test)]
    pub(super) fn request(&self) -> &'r Request<'l> {
        self.request
    }

    /// Whether something was in the way on arrival.
    #[inline]
    pub fn must_wait(&self) -> bool {
        self.turn == Turn::Later
    }

    /// Whether anybody that is in the way has the pages now. If not, all of them
    /// wait, too. Takes spin locks; for statistics.
    pub fn is_behind_holder(&self) -> bool {
        self.request.is_behind_holder()
    }

    /// Waits for its turn. May sleep.
    #[inline]
    pub fn wait(self) -> Guard<'r, 'l, M> {
        if self.turn == Turn::Later {
            self.request.wait(Sleep::Uninterruptible);
        }
        self.into_guard()
    }

    /// As [`Queued::wait`], unless a fatal signal comes first. May sleep.
    #[inline]
    pub fn wait_killable(self) -> Result<Guard<'r, 'l, M>, Killed> {
        if self.turn == Turn::Later && !self.request.wait(Sleep::Killable) {
            // Dropping it gets it out of the line.
            return Err(Killed);
        }
        Ok(self.into_guard())
    }

    #[inline]
    fn into_guard(self) -> Guard<'r, 'l, M> {
        let request = self.request;
        core::mem::forget(self);
        Guard::new(request)
    }
}

impl<M> Drop for Queued<'_, '_, M> {
    #[inline]
    fn drop(&mut self) {
        let left = self.turn == Turn::Later && self.request.leave().is_err();
        if !left {
            // It was granted, on arrival or at the last moment.
            self.request.release_all();
        }
    }
}

/// A range that is held, until dropped.
#[must_use = "the range is released immediately when the guard is unused"]
pub struct Guard<'r, 'l, M> {
    request: &'r Request<'l>,
    /// As for other locks' guards, it stays with the task that got it.
    _mode: PhantomData<(M, *mut ())>,
}

// SAFETY: What can be done with a shared guard can be done by any task.
unsafe impl<M> Sync for Guard<'_, '_, M> {}

impl<'r, 'l, M> Guard<'r, 'l, M> {
    #[inline]
    pub(super) fn new(request: &'r Request<'l>) -> Self {
        Self {
            request,
            _mode: PhantomData,
        }
    }

    /// Whether any request has come to wait for a part of the range. Once it
    /// has, this stays true.
    pub fn is_contended(&self) -> bool {
        self.request.is_contended()
    }

    /// Gives back all pages below `page`.
    pub fn release_below(&mut self, page: u64) {
        self.request.trim(|held| held.above(page));
    }

    /// Gives back `page` and all pages above it.
    pub fn release_from(&mut self, page: u64) {
        self.request.trim(|held| held.below(page));
    }
}

impl<'r, 'l> Guard<'r, 'l, Write> {
    /// Holds the range for reading from here on, without ever giving it back.
    pub fn downgrade(self) -> Guard<'r, 'l, Read> {
        let request = self.request;
        core::mem::forget(self);
        request.downgrade();
        Guard::new(request)
    }
}

impl<M> Drop for Guard<'_, '_, M> {
    #[inline]
    fn drop(&mut self) {
        self.request.release_all();
    }
}
