// SPDX-License-Identifier: GPL-2.0-only
//! Faults and changes of a space beside what the core does to windows: fork,
//! mprotect, munmap, mremap, madvise.

use std::time::Duration;

use super::concurrency::for_a_while;
use super::query::must_add_up;
use crate::Prot;
use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::selftest::sys::gup::{pipe, splice_pages};
use crate::selftest::sys::memory::{Mapping, READ_WRITE};
use crate::selftest::sys::process::fork_and_reap;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "races":
    faults_beside_fork,
    faults_beside_dontneed,
    faults_beside_mprotect,
    windows_come_and_go_beside_unmap,
    windows_move_beside_unmap,
    gup_beside_unmap,
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
            // The low byte tells the page, and is not 0.
            arena.stamp(0, 8, (round << 8) + 1)
        }
        _ => {
            let (mut read, write) = pipe()?;
            let spliced = splice_pages(&write, &arena.window, 0, 8 * PAGE)?;
            let mut seen = vec![0; spliced];
            read.read_exact(&mut seen)?;
            for page in 0..spliced / PAGE {
                let bytes = seen[page * PAGE..][..8].try_into().expect("eight bytes");
                let word = u64::from_ne_bytes(bytes);
                // Zero, a stamp of that page, or parts of both: the pages in the pipe
                // are copied byte by byte, also while they get their stamps.
                let low = word & 0xff;
                ensure_eq!(
                    low != 0 && low != page as u64 + 1,
                    false,
                    "{word:#x} on page {page}"
                );
            }
            Ok(())
        }
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
