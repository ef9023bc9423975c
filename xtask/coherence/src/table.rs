// SPDX-License-Identifier: GPL-2.0-only
//! The lines of the guest's memory, by physical address.
//!
//! A flat array with a slot for each line of memory the guest can have, of which
//! only what is touched takes memory of the host: so the guest's memory bounds it.
//! A phase begins with a new epoch, which makes all slots count as untouched.

use std::cell::UnsafeCell;
use std::hint;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::line::{LINE, Line};

/// An instruction, and what it has done to a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// Address of the instruction; 0 is none.
    pub code: u64,
    /// Its writes.
    pub writes: u32,
    /// Its reads.
    pub reads: u32,
    /// How often the line moved for it.
    pub transfers: u32,
}

/// Instructions that a slot remembers while its line is one processor's only.
pub const EARLY: usize = 5;

/// A line with what is remembered of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry {
    /// Phase that the rest is of.
    pub epoch: u32,
    /// Its state.
    pub line: Line,
    /// The first instructions that accessed it.
    pub early: [Site; EARLY],
    /// Accesses of further ones.
    pub early_others: Site,
}

#[repr(C)]
struct Slot {
    locked: AtomicBool,
    /// Touched only by who has set `locked`.
    entry: UnsafeCell<Entry>,
}

/// All lines.
pub struct Table {
    memory: MmapRaw,
    lines: u64,
}

impl Table {
    /// A table for physical addresses up to `bytes`.
    pub fn new(bytes: u64) -> io::Result<Table> {
        let lines = bytes / LINE;
        let length = usize::try_from(lines)
            .ok()
            .and_then(|lines| lines.checked_mul(size_of::<Slot>()))
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let memory = MmapOptions::new()
            .len(length)
            .no_reserve_swap()
            .map_anon()?;
        // It is touched here and there: whole huge pages would be mostly empty.
        memory.advise(Advice::NoHugePage)?;
        Ok(Table {
            memory: memory.into(),
            lines,
        })
    }

    /// Whether there is a slot for this line.
    pub fn has(&self, line: u64) -> bool {
        line < self.lines
    }

    /// Does something with a line while nobody else does. `line` must be in it.
    pub fn with<T>(&self, line: u64, work: impl FnOnce(&mut Entry) -> T) -> T {
        assert!(self.has(line), "line {line:#x} is beyond the table");
        let slots = self.memory.as_mut_ptr().cast::<Slot>();
        // SAFETY: The memory has room for `lines` slots, and this one is of them.
        let slot = unsafe { slots.add(line as usize) };
        // SAFETY: It is aligned, as the memory is to pages, and lives as long as self. All
        // zeroes are a valid slot: not locked, an entry of integers.
        let slot = unsafe { &*slot };
        // Acquire: pairs with the release below, so the entry is as the last one left it.
        while slot
            .locked
            .compare_exchange_weak(false, true, Acquire, Relaxed)
            .is_err()
        {
            hint::spin_loop();
        }
        // SAFETY: Who has set `locked` is alone with the entry, and does not call back.
        let result = work(unsafe { &mut *slot.entry.get() });
        slot.locked.store(false, Release);
        result
    }
}

// SAFETY: Entries are only touched with their slot locked.
unsafe impl Sync for Table {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::line::Kind;

    #[test]
    fn a_slot_is_changed_by_one_at_a_time() {
        let table = Table::new(1 << 30).unwrap();
        let last = (1 << 30) / LINE - 1;
        thread::scope(|scope| {
            for cpu in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for _ in 0..10_000 {
                        table.with(last, |entry| entry.line.access(cpu, Kind::Write, 1));
                    }
                });
            }
        });
        assert_eq!(table.with(last, |entry| entry.line.writes), 40_000);
        assert!(!table.has(last + 1));
    }
}
