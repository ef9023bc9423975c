// SPDX-License-Identifier: GPL-2.0-only
//! The memory of one run: where faults happen, and beside it, in the same
//! mapping, pages to call mprotect(2) and munmap(2) on.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::tail::Tail;
use crate::PAGE_SIZE;
use crate::bench::goals::open_loop;
use crate::bench::memory::{Arena, On, Piece};
use crate::bench::{GIB, MIB};

/// What is touched, in bytes from 0 on.
const STAGE: u64 = 128 * MIB;
/// Where in a space a thread maps what is its own, in bytes from the one before.
const SLOT: u64 = GIB;
/// Slots, of which the last is for what is large.
const SLOTS: u64 = 3;
/// What the calls are made on, in bytes.
const TAIL: u64 = 512 * MIB;

/// See the module.
pub(super) struct Stage {
    pub(super) arena: Arena,
    /// What is touched. On Linux' own memory the tail belongs to it.
    pub(super) piece: Piece,
    /// Of the piece, bytes that are touched.
    pub(super) length: u64,
    /// How much is large.
    pub(super) big: u64,
}

impl Stage {
    /// Anonymous memory, or a private mapping of `file`, which is as long.
    pub(super) fn new(on: On, file: Option<&File>) -> io::Result<Stage> {
        let big = open_loop::big();
        let slots = (SLOTS + 1) * SLOT;
        let arena = Arena::new(on, slots + TAIL, STAGE / PAGE_SIZE)?;
        // One mapping must hold both. Of a space that is the window.
        let length = match on {
            On::Space(_) => STAGE,
            On::Linux | On::Memfd => STAGE + TAIL,
        };
        let piece = match file {
            None => arena.map(0, length)?,
            Some(file) => arena.map_file(0, length, file.as_fd())?,
        };
        Ok(Stage {
            arena,
            piece,
            length: STAGE,
            big,
        })
    }

    /// Bytes of a file for the stage.
    pub(super) fn file_length() -> u64 {
        STAGE
    }

    /// Address of the slot of this number, from 0 on.
    pub(super) fn slot(number: usize) -> u64 {
        assert!((number as u64) < SLOTS, "no such slot");
        (number as u64 + 1) * SLOT
    }

    /// Address of the slot for what is large.
    pub(super) fn big_slot() -> u64 {
        SLOTS * SLOT
    }

    /// The pages for calls. To be taken once.
    pub(super) fn tail(&self) -> Tail {
        match &self.arena {
            Arena::Space(_, window) => Tail::of_window(window, TAIL),
            Arena::Linux | Arena::SharedAnonymous | Arena::File(_) => {
                Tail::of_piece(&self.piece, TAIL)
            }
        }
    }

    /// Unmaps all of it.
    pub(super) fn leave(self) -> io::Result<()> {
        self.arena.unmap(self.piece)
    }
}
