// SPDX-License-Identifier: GPL-2.0-only
//! Where a thread shows a piece of memory to others, or hands it over, without a lock.

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use super::memory::Piece;

/// A place for one piece, in cache lines of its own. All pieces that are put here are of
/// one length, and one thread puts them.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slot {
    /// Null if there is none.
    start: AtomicPtr<u8>,
    at: AtomicU64,
    length: u64,
}

impl Slot {
    /// For pieces of so many bytes.
    pub(crate) fn new(length: u64) -> Slot {
        Slot {
            start: AtomicPtr::new(ptr::null_mut()),
            at: AtomicU64::new(0),
            length,
        }
    }

    /// Puts a piece here, in the place of one that may be.
    pub(crate) fn put(&self, piece: Piece) {
        assert_eq!(piece.length, self.length, "pieces of one length");
        self.at.store(piece.at, Ordering::Relaxed);
        // Pairs with the loads in `see` and `take`, which are to find its place and
        // what was stored to it.
        self.start.store(piece.start, Ordering::Release);
    }

    /// Whether nothing is here.
    pub(crate) fn is_empty(&self) -> bool {
        self.start.load(Ordering::Acquire).is_null()
    }

    /// What is here. It stays, and goes with the piece that was put.
    pub(crate) fn see(&self) -> Option<Piece> {
        self.piece(self.start.load(Ordering::Acquire))
    }

    /// Takes what is here.
    pub(crate) fn take(&self) -> Option<Piece> {
        let piece = self.see()?;
        // Pairs with `is_empty`: who puts the next one comes behind this.
        self.start.store(ptr::null_mut(), Ordering::Release);
        Some(piece)
    }

    fn piece(&self, start: *mut u8) -> Option<Piece> {
        (!start.is_null()).then(|| Piece {
            start,
            at: self.at.load(Ordering::Relaxed),
            length: self.length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::memory::{Arena, On};

    #[test]
    fn a_piece_is_seen_and_taken_once() {
        let arena = Arena::new(On::Linux, 4096, 1).unwrap();
        let slot = Slot::new(4096);
        assert!(slot.is_empty() && slot.take().is_none());
        let piece = arena.map(0, 4096).unwrap();
        let start = piece.ptr();
        slot.put(piece);
        assert_eq!(slot.see().map(|piece| piece.ptr()), Some(start));
        let piece = slot.take().unwrap();
        assert!(slot.is_empty());
        piece.touch();
        arena.unmap(piece).unwrap();
    }
}
