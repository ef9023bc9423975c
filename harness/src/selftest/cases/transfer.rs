// SPDX-License-Identifier: GPL-2.0-only
//! I/O from and to the pages of a window themselves, and pages that are in use
//! by I/O when they are unmapped.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::Prot;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure_eq, fails, fails_with_one_of, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::selftest::sys::gup::{open_direct, pipe, read_into, splice_pages, transfer};
use crate::selftest::sys::memory::Mapping;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "io":
    vmsplice_passes_the_pages,
    vmsplice_touches_fresh_pages,
    vmsplice_without_region_is_efault,
    spliced_pages_outlive_unmap,
    spliced_pages_outlive_the_space,
    direct_read_fills_the_window,
    direct_write_takes_from_the_window,
    direct_read_into_a_read_only_region_is_efault,
    read_into_the_window,
    read_into_a_hole_is_efault,
];

fn words_of(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks_exact(8)
        .map(|chunk| u64::from_ne_bytes(chunk.try_into().expect("eight bytes")))
        .collect()
}

fn read_pages(mut pipe: &File, pages: usize) -> Result<Vec<u8>, Stop> {
    let mut seen = vec![0u8; pages * PAGE];
    pipe.read_exact(&mut seen)?;
    Ok(seen)
}

fn vmsplice_passes_the_pages() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 40)?;
    let (read, write) = pipe()?;
    ensure_eq!(
        splice_pages(&write, &arena.window, 0, 8 * PAGE)?,
        8 * PAGE,
        "bytes spliced"
    );
    // The pages themselves are in the pipe: a store after the splice shows.
    arena.window.store(8, 99)?;
    let seen = words_of(&read_pages(&read, 8)?);
    for page in 0..8 {
        ensure_eq!(seen[page * PAGE / 8], 40 + page as u64, "page {page}");
    }
    ensure_eq!(seen[1], 99, "word stored after the splice");
    Ok(())
}

fn vmsplice_touches_fresh_pages() -> Outcome {
    let arena = Arena::new(4, Prot::READ)?;
    let (read, write) = pipe()?;
    ensure_eq!(
        splice_pages(&write, &arena.window, 0, 4 * PAGE)?,
        4 * PAGE,
        "bytes spliced"
    );
    ensure_eq!(
        words_of(&read_pages(&read, 4)?),
        vec![0; 4 * PAGE / 8],
        "content"
    );
    ensure_eq!(arena.space.stats()?.pages, 4, "pages held");
    Ok(())
}

fn vmsplice_without_region_is_efault() -> Outcome {
    let arena = Arena::empty(4)?;
    arena.remap(2, 2, Prot::NONE)?;
    let (_read, write) = pipe()?;
    for page in 0..4 {
        let result = splice_pages(&write, &arena.window, page * PAGE, PAGE);
        fails(result, libc::EFAULT, &format!("page {page}"))?;
    }
    Ok(())
}

fn spliced_pages_outlive_unmap() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 40)?;
    let (read, write) = pipe()?;
    splice_pages(&write, &arena.window, 0, 8 * PAGE)?;
    arena.unmap(0, 8)?;
    raises(arena.window.load(0), Signal::Bus, "after UNMAP")?;
    arena.remap(0, 8, Prot::READ_WRITE)?;
    for page in 0..8 {
        reads(arena.window.load(page * PAGE), 0, "mapped again")?;
        arena.window.store(page * PAGE, u64::MAX)?;
    }
    let seen = words_of(&read_pages(&read, 8)?);
    for page in 0..8 {
        ensure_eq!(
            seen[page * PAGE / 8],
            40 + page as u64,
            "old page {page} in the pipe"
        );
    }
    Ok(())
}

fn spliced_pages_outlive_the_space() -> Outcome {
    let (read, write) = pipe()?;
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 40)?;
    splice_pages(&write, &arena.window, 0, 8 * PAGE)?;
    drop(arena);
    // Have the memory used again, if it was wrongly freed.
    let other = Arena::new(512, Prot::READ_WRITE)?;
    other.stamp(0, 512, 1 << 40)?;
    let seen = words_of(&read_pages(&read, 8)?);
    for page in 0..8 {
        ensure_eq!(
            seen[page * PAGE / 8],
            40 + page as u64,
            "page {page} in the pipe"
        );
    }
    Ok(())
}

/// A block device, and memory to talk to it with.
pub(super) struct Disk {
    pub(super) file: File,
    memory: Mapping,
}

const DISK: &str = "/dev/ram0";
pub(super) const PAGES: usize = 8;

impl Disk {
    pub(super) fn open() -> Result<Disk, Stop> {
        let file =
            open_direct(Path::new(DISK)).map_err(|error| Stop::skip(format!("{DISK}: {error}")))?;
        Ok(Disk {
            file,
            memory: Mapping::anonymous(PAGES * PAGE)?,
        })
    }

    /// Writes `base + page` into each page of the disk.
    pub(super) fn stamp(&self, base: u64) -> Outcome {
        for page in 0..PAGES {
            self.memory.store(page * PAGE, base + page as u64)?;
        }
        let written = transfer(&self.file, true, &self.memory, 0, PAGES * PAGE, 0)?;
        ensure_eq!(written, PAGES * PAGE, "bytes written to the disk");
        Ok(())
    }
}

fn direct_read_fills_the_window() -> Outcome {
    let disk = Disk::open()?;
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    // Fresh pages, pages that were read, pages that were written.
    arena.window.load(2 * PAGE)?;
    arena.stamp(4, 4, 1)?;
    for round in 1..4 {
        disk.stamp(round * 1000)?;
        let got = transfer(&disk.file, false, &arena.window, 0, PAGES * PAGE, 0)?;
        ensure_eq!(got, PAGES * PAGE, "bytes read");
        Arena::holds(&arena.window, 0, PAGES, round * 1000, "after the read")?;
        arena.remap(0, PAGES, Prot::READ_WRITE)?;
    }
    Ok(())
}

fn direct_write_takes_from_the_window() -> Outcome {
    let disk = Disk::open()?;
    disk.stamp(1)?;
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    // The last page is fresh: zeroes go to the disk.
    arena.stamp(0, PAGES - 1, 7000)?;
    let written = transfer(&disk.file, true, &arena.window, 0, PAGES * PAGE, 0)?;
    ensure_eq!(written, PAGES * PAGE, "bytes written");
    transfer(&disk.file, false, &disk.memory, 0, PAGES * PAGE, 0)?;
    Arena::holds(&disk.memory, 0, PAGES - 1, 7000, "on the disk")?;
    reads(
        disk.memory.load((PAGES - 1) * PAGE),
        0,
        "fresh page on the disk",
    )
}

fn direct_read_into_a_read_only_region_is_efault() -> Outcome {
    let disk = Disk::open()?;
    disk.stamp(1)?;
    let arena = Arena::empty(PAGES)?;
    arena.remap(0, 2, Prot::READ)?;
    arena.window.load(0)?;
    for page in 0..3 {
        let result = transfer(&disk.file, false, &arena.window, page * PAGE, PAGE, 0);
        fails(
            result,
            libc::EFAULT,
            &format!("O_DIRECT read into page {page}"),
        )?;
    }
    reads(arena.window.load(0), 0, "afterwards")?;
    // It can be written to the disk all the same.
    transfer(&disk.file, true, &arena.window, 0, 2 * PAGE, 0)?;
    Ok(())
}

fn read_into_the_window() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    let (read, mut write) = pipe()?;
    write.write_all(&[0x11; PAGE])?;
    ensure_eq!(
        read_into(&read, &arena.window, PAGE / 2, PAGE)?,
        PAGE,
        "bytes read"
    );
    reads(arena.window.load(0), 0, "before")?;
    reads(
        arena.window.load(PAGE - 8),
        u64::from_ne_bytes([0x11; 8]),
        "first page",
    )?;
    reads(
        arena.window.load(PAGE),
        u64::from_ne_bytes([0x11; 8]),
        "second page",
    )?;
    reads(arena.window.load(2 * PAGE - 8), 0, "behind")
}

fn read_into_a_hole_is_efault() -> Outcome {
    let arena = Arena::empty(3)?;
    arena.remap(1, 1, Prot::READ)?;
    let (read, mut write) = pipe()?;
    write.write_all(&[0x11; 64])?;
    for page in 0..3 {
        let result = read_into(&read, &arena.window, page * PAGE, 8);
        fails_with_one_of(result, &[libc::EFAULT], &format!("read into page {page}"))?;
    }
    reads(arena.window.load(PAGE), 0, "read-only page")
}
