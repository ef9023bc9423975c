// SPDX-License-Identifier: GPL-2.0-only
//! Faults and changes of a space beside what the core does to windows: fork,
//! mprotect, munmap, mremap, madvise.

use std::time::Duration;

use super::concurrency::for_a_while;
use super::query::must_add_up;
use super::transfer::{Disk, PAGES};
use crate::Prot;
use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::selftest::sys::gup::{pipe, read_remote, splice_pages, transfer, write_remote};
use crate::selftest::sys::memory::{Mapping, READ_WRITE};
use crate::selftest::sys::process::fork_and_reap;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "races":
    faults_beside_fork,
    faults_beside_dontneed,
    faults_beside_mprotect,
    windows_come_and_go_beside_unmap,
    windows_move_beside_unmap,
    gup_beside_unmap,
    remote_accesses_beside_replacements,
    direct_reads_beside_replacements,
    pinned_pages_stay_intact_beside_replacements,
    unmap_reaches_every_window,
];

const TIME: Duration = Duration::from_millis(1000);

/// Each thread but the first stores to pages of its own and reads them back.
fn store_and_read(arena: &Arena, number: usize, round: u64) -> Outcome {
    let from = number * 8;
    arena.stamp(from, 8, round)?;
    Arena::holds(&arena.window, from, 8, round, &format!("thread {number}"))?;
    if round % 16 == 0 {
        arena.remap(from, 8, Prot::READ_WRITE)?;
        reads(arena.window.load(from * PAGE), 0, "page mapped anew")?;
    }
    Ok(())
}

fn faults_beside_fork() -> Outcome {
    let arena = Arena::new(32, Prot::READ_WRITE)?;
    for_a_while(TIME, 3, |number, round| match number {
        0 => Ok(fork_and_reap()?),
        _ => store_and_read(&arena, number, round),
    })?;
    must_add_up(&arena.space)
}

fn faults_beside_dontneed() -> Outcome {
    // The window covers whole page tables, which are freed when they are empty.
    let pages = 2048;
    let arena = Arena::new(pages, Prot::READ_WRITE)?;
    for_a_while(TIME, 3, |number, round| match number {
        0 => Ok(arena.window.advise(0, pages * PAGE, libc::MADV_DONTNEED)?),
        _ => {
            let page = 300 + number * 512;
            arena.window.store(page * PAGE, round)?;
            reads(arena.window.load(page * PAGE), round, "own page")
        }
    })?;
    let stats = arena.space.stats()?;
    ensure_eq!(stats.fault_no_memory, 0, "faults out of memory");
    ensure_eq!(stats.pages_added, 2, "pages added");
    must_add_up(&arena.space)
}

fn faults_beside_mprotect() -> Outcome {
    let arena = Arena::new(32, Prot::READ_WRITE)?;
    for_a_while(TIME, 3, |number, round| match number {
        0 => {
            let prot = [libc::PROT_READ, READ_WRITE, libc::PROT_NONE][round as usize % 3];
            Ok(arena.window.protect(0, 8 * PAGE, prot)?)
        }
        _ => {
            // The protected part refuses now and then, the rest never does.
            for page in 0..8 {
                if let Err(fault) = arena.window.store(page * PAGE, round) {
                    ensure_eq!(fault.signal, Signal::Segv, "signal in the protected part");
                }
            }
            store_and_read(&arena, number, round)
        }
    })?;
    must_add_up(&arena.space)
}

fn windows_come_and_go_beside_unmap() -> Outcome {
    let arena = Arena::empty(8)?;
    for_a_while(TIME, 3, |number, round| match number {
        0 => {
            arena.remap(0, 8, Prot::READ_WRITE)?;
            arena.stamp(0, 8, round)?;
            Arena::holds(&arena.window, 0, 8, round, "own window")?;
            arena.unmap(0, 8)?;
            raises(arena.window.load(0), Signal::Bus, "after UNMAP")
        }
        _ => {
            let view = window(&arena.space, BASE, 8)?;
            for page in 0..8 {
                if let Err(fault) = view.load(page * PAGE) {
                    ensure_eq!(fault.signal, Signal::Bus, "signal of a load");
                }
            }
            Ok(())
        }
    })?;
    must_add_up(&arena.space)
}

fn windows_move_beside_unmap() -> Outcome {
    let arena = Arena::empty(8)?;
    for_a_while(TIME, 2, |number, round| match number {
        0 => {
            arena.remap(0, 8, Prot::READ_WRITE)?;
            arena.stamp(0, 8, round + 1)?;
            arena.unmap(0, 8)?;
            raises(arena.window.load(7 * PAGE), Signal::Bus, "after UNMAP")
        }
        _ => {
            let mut view = window(&arena.space, BASE, 8)?;
            for page in 0..8 {
                let _ = view.load(page * PAGE);
            }
            let moved = view.move_over(Mapping::anonymous(8 * PAGE)?)?;
            for page in 0..8 {
                if let Err(fault) = moved.load(page * PAGE) {
                    ensure_eq!(fault.signal, Signal::Bus, "signal of a load after the move");
                }
            }
            Ok(())
        }
    })?;
    must_add_up(&arena.space)
}

fn gup_beside_unmap() -> Outcome {
    use std::io::Read;
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    for_a_while(TIME, 3, |number, round| match number {
        0 => {
            arena.remap(0, 8, Prot::READ_WRITE)?;
            arena.stamp(0, 8, stamp(round))
        }
        _ => {
            let (mut read, write) = pipe()?;
            let spliced = splice_pages(&write, &arena.window, 0, 8 * PAGE)?;
            let mut seen = vec![0; spliced];
            read.read_exact(&mut seen)?;
            first_words(&seen)
                .enumerate()
                .try_for_each(|(page, word)| is_of(page, word))
        }
    })?;
    must_add_up(&arena.space)
}

/// What `Arena::stamp` makes a stamp of round `round` from: the low byte of a page's
/// tells the page, and is not 0.
fn stamp(round: u64) -> u64 {
    (round << 8) + 1
}

/// Whether `word` is 0, a stamp of page `page`, or parts of both: the kernel copies
/// byte by byte, also while the page gets its stamp.
fn is_of(page: usize, word: u64) -> Outcome {
    let low = word & 0xff;
    ensure!(
        low == 0 || low == page as u64 + 1,
        "{word:#x} on page {page}"
    );
    Ok(())
}

/// The first word of each page.
fn first_words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(PAGE).map(|page| {
        let word = page[..8].try_into().expect("eight bytes");
        u64::from_ne_bytes(word)
    })
}

/// process_vm_readv and process_vm_writev, which pin pages one by one.
fn remote_accesses_beside_replacements() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    let pid = std::process::id() as i32;
    let at = |page: usize| arena.window.ptr() as usize + page * PAGE;
    for_a_while(TIME, 3, |number, round| match number {
        0 => {
            arena.remap(0, 8, Prot::READ_WRITE)?;
            for page in 0..8 {
                is_of(page, arena.window.load(page * PAGE)?)?;
            }
            arena.stamp(0, 8, stamp(round))
        }
        1 => {
            let seen = read_remote(pid, at(0), 8 * PAGE)?;
            first_words(&seen)
                .enumerate()
                .try_for_each(|(page, word)| is_of(page, word))
        }
        _ => {
            let page = round as usize % 8;
            let word = stamp(round) + page as u64;
            write_remote(pid, at(page), &word.to_ne_bytes())?;
            Ok(())
        }
    })?;
    must_add_up(&arena.space)
}

/// The device writes to pages that may have been replaced meanwhile: then to nobody's.
fn direct_reads_beside_replacements() -> Outcome {
    let disk = Disk::open()?;
    disk.stamp(stamp(1))?;
    let arena = Arena::new(PAGES, Prot::READ_WRITE)?;
    for_a_while(TIME, 3, |number, round| match number {
        0 => {
            arena.remap(0, PAGES, Prot::READ_WRITE)?;
            for page in 0..PAGES {
                is_of(page, arena.window.load(page * PAGE)?)?;
            }
            arena.stamp(0, PAGES, stamp(round))
        }
        _ => {
            let length = PAGES * PAGE;
            transfer(&disk.file, false, &arena.window, 0, length, 0)?;
            Ok(())
        }
    })?;
    must_add_up(&arena.space)
}

/// What is in a pipe is what was there when it was pinned, whatever is mapped there
/// and stored to since.
fn pinned_pages_stay_intact_beside_replacements() -> Outcome {
    use std::io::Read;
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    for_a_while(TIME, 3, |number, round| {
        // Each thread has pages of its own; the space and its leaf are everybody's.
        let from = number * 5;
        arena.remap(from, 4, Prot::READ_WRITE)?;
        arena.stamp(from, 4, round << 8)?;
        let (mut read, write) = pipe()?;
        let spliced = splice_pages(&write, &arena.window, from * PAGE, 4 * PAGE)?;
        arena.remap(from, 4, Prot::READ_WRITE)?;
        for page in from..from + 4 {
            reads(arena.window.load(page * PAGE), 0, "page mapped anew")?;
        }
        arena.stamp(from, 4, u64::MAX << 8)?;
        let mut seen = vec![0; spliced];
        read.read_exact(&mut seen)?;
        for (page, word) in first_words(&seen).enumerate() {
            let page = (from + page) as u64;
            ensure_eq!(word, (round << 8) + page, "page {page} in the pipe");
        }
        Ok(())
    })?;
    must_add_up(&arena.space)
}

fn unmap_reaches_every_window() -> Outcome {
    // 16 windows with entries for the page, beside a thread that keeps faulting
    // in one of them.
    let arena = Arena::empty(1)?;
    let windows = (0..16)
        .map(|_| window(&arena.space, BASE, 1))
        .collect::<Result<Vec<_>, _>>()?;
    for_a_while(TIME, 2, |number, round| {
        if number == 1 {
            let _ = windows[5].load(0);
            return Ok(());
        }
        arena.remap(0, 1, Prot::READ_WRITE)?;
        arena.window.store(0, round + 1)?;
        for (i, view) in windows.iter().enumerate() {
            reads(view.load(0), round + 1, &format!("window {i}"))?;
        }
        arena.space.unmap(BASE, bytes(1))?;
        for (i, view) in windows.iter().enumerate() {
            raises(
                view.load(0),
                Signal::Bus,
                &format!("window {i} after UNMAP"),
            )?;
        }
        Ok(())
    })?;
    must_add_up(&arena.space)
}
