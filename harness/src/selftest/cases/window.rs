// SPDX-License-Identifier: GPL-2.0-only
//! Which windows can be made, and that they show the right pages.

use std::os::fd::AsFd;

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, SPACE_SIZE, bytes, window};
use crate::selftest::sys::memory::{Mapping, READ_WRITE};
use crate::{PAGE_SIZE, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "window":
    private_is_refused,
    executable_is_refused,
    beyond_the_space_is_refused,
    last_page_has_a_window,
    huge_window_is_fine,
    region_may_come_later,
    overlapping_windows_show_the_same_pages,
    window_over_a_window_replaces_it,
    partial_munmap_leaves_the_rest,
    new_window_does_not_disturb_old_ones,
    striped_window_is_one_memory_in_several_areas,
    proc_maps_shows_the_device,
    smaps_counts_touched_pages,
    populate_is_harmless,
    populate_over_holes_is_harmless,
    read_only_window_refuses_stores,
    read_only_window_can_become_writable,
];

fn map(
    space: &Space,
    offset: u64,
    pages: usize,
    prot: i32,
    flags: i32,
) -> std::io::Result<Mapping> {
    Mapping::of(space.as_fd(), offset, pages * PAGE, prot, flags)
}

fn private_is_refused() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    for prot in [READ_WRITE, libc::PROT_READ, libc::PROT_NONE] {
        let result = map(&arena.space, BASE, 4, prot, libc::MAP_PRIVATE);
        fails(
            result,
            libc::EINVAL,
            &format!("MAP_PRIVATE with protection {prot}"),
        )?;
    }
    Ok(())
}

fn executable_is_refused() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    for prot in [
        libc::PROT_EXEC,
        libc::PROT_EXEC | libc::PROT_READ,
        libc::PROT_EXEC | READ_WRITE,
    ] {
        let result = map(&arena.space, BASE, 4, prot, libc::MAP_SHARED);
        fails(result, libc::EPERM, &format!("mmap with protection {prot}"))?;
        let result = arena.window.protect(0, 4 * PAGE, prot);
        fails(
            result,
            libc::EACCES,
            &format!("mprotect with protection {prot}"),
        )?;
        let result = arena.window.protect(PAGE, PAGE, prot);
        fails(
            result,
            libc::EACCES,
            &format!("mprotect of a part with protection {prot}"),
        )?;
    }
    arena.stamp(0, 4, 1)?;
    Arena::holds(&arena.window, 0, 4, 1, "after the refusals")
}

fn beyond_the_space_is_refused() -> Outcome {
    let space = Space::open()?;
    let last = SPACE_SIZE - PAGE_SIZE;
    for (offset, pages) in [
        (SPACE_SIZE, 1),
        (last, 2),
        (1 << 50, 1),
        (last - PAGE_SIZE, 3),
    ] {
        let result = map(&space, offset, pages, READ_WRITE, libc::MAP_SHARED);
        fails(
            result,
            libc::EINVAL,
            &format!("{pages} pages at {offset:#x}"),
        )?;
    }
    Ok(())
}

fn last_page_has_a_window() -> Outcome {
    let space = Space::open()?;
    let window = window(&space, SPACE_SIZE - 2 * PAGE_SIZE, 2)?;
    space.map(
        SPACE_SIZE - PAGE_SIZE,
        PAGE_SIZE,
        Prot::READ_WRITE,
        crate::Placement::Fixed,
    )?;
    raises(window.load(0), Signal::Bus, "page before the last")?;
    window.store(PAGE, 4)?;
    reads(window.load(PAGE), 4, "last page")
}

fn huge_window_is_fine() -> Outcome {
    let space = Space::open()?;
    // 1 TiB, of which three pages are there.
    let window = window(&space, 0, 1 << 28)?;
    for addr in [0, BASE, (1 << 40) - PAGE_SIZE] {
        space.map(
            addr,
            PAGE_SIZE,
            Prot::READ_WRITE,
            crate::Placement::FixedNoreplace,
        )?;
        window.store(addr as usize, addr + 1)?;
        reads(
            window.load(addr as usize),
            addr + 1,
            &format!("at {addr:#x}"),
        )?;
    }
    raises(window.load(1 << 30), Signal::Bus, "where nothing is")?;
    space.unmap(0, 1 << 40)?;
    raises(window.load(BASE as usize), Signal::Bus, "after UNMAP")
}

fn region_may_come_later() -> Outcome {
    let arena = Arena::empty(2)?;
    raises(arena.window.load(0), Signal::Bus, "before")?;
    arena.remap(0, 1, Prot::READ_WRITE)?;
    reads(arena.window.load(0), 0, "page that came")?;
    raises(arena.window.load(PAGE), Signal::Bus, "page that did not")
}

fn overlapping_windows_show_the_same_pages() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    let parts = [(0, 4), (2, 6), (3, 13), (15, 1), (7, 2)];
    let windows = parts
        .iter()
        .map(|&(from, pages)| window(&arena.space, BASE + bytes(from), pages))
        .collect::<Result<Vec<_>, Stop>>()?;
    arena.stamp(0, 16, 300)?;
    for (view, (from, pages)) in windows.iter().zip(parts) {
        for page in 0..pages {
            let what = format!("window at page {from}, page {page}");
            reads(view.load(page * PAGE), 300 + (from + page) as u64, &what)?;
            view.store(page * PAGE + 8, (from + page) as u64)?;
        }
    }
    for page in 0..16 {
        reads(
            arena.window.load(page * PAGE + 8),
            page as u64,
            "stored through the parts",
        )?;
    }
    ensure_eq!(arena.space.stats()?.pages, 16, "pages held");
    Ok(())
}

fn window_over_a_window_replaces_it() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 10)?;
    let first = window(&arena.space, BASE, 2)?;
    reads(first.load(0), 10, "first window")?;
    let second = Mapping::of_over(first, arena.space.as_fd(), BASE + bytes(6))?;
    reads(second.load(0), 16, "second window in its place")?;
    reads(second.load(PAGE), 17, "second window in its place")
}

fn partial_munmap_leaves_the_rest() -> Outcome {
    let mut arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 40)?;
    arena.window.unmap_part(2 * PAGE, 3 * PAGE)?;
    for page in [0, 1, 5, 6, 7] {
        reads(
            arena.window.load(page * PAGE),
            40 + page as u64,
            &format!("page {page}"),
        )?;
        arena.window.store(page * PAGE + 8, page as u64)?;
    }
    // The pages of the hole are still in the space.
    ensure_eq!(arena.space.stats()?.pages, 8, "pages held");
    let other = window(&arena.space, BASE, 8)?;
    Arena::holds(&other, 0, 8, 40, "another window")?;
    arena.unmap(4, 3)?;
    for page in [5, 6] {
        raises(
            arena.window.load(page * PAGE),
            Signal::Bus,
            &format!("page {page} after UNMAP"),
        )?;
    }
    reads(arena.window.load(7 * PAGE), 47, "page 7 after UNMAP")
}

fn new_window_does_not_disturb_old_ones() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 1)?;
    let faults = arena.space.stats()?.faults;
    for _ in 0..50 {
        drop(window(&arena.space, BASE, 4)?);
    }
    Arena::holds(&arena.window, 0, 4, 1, "first window")?;
    ensure_eq!(arena.space.stats()?.faults, faults, "faults");
    Ok(())
}

/// The lines of a file in /proc/self about the mapping that starts at `address`.
fn lines_about(file: &str, address: usize) -> Result<Vec<String>, Stop> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}"))?;
    let start = format!("{address:x}-");
    let is_head = |line: &&str| {
        line.split(' ')
            .next()
            .is_some_and(|word| word.contains('-'))
    };
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&start));
    let head = lines
        .next()
        .ok_or_else(|| Stop::fail(format!("no {start} in {file}")))?;
    let rest = lines.take_while(|line| !is_head(line));
    Ok([head].into_iter().chain(rest).map(str::to_owned).collect())
}

fn striped_window_is_one_memory_in_several_areas() -> Outcome {
    let arena = Arena::new(5, Prot::READ_WRITE)?;
    arena.stamp(0, 5, 1)?;
    let striped = arena.space.striped_window(BASE, 5 * PAGE, 2 * PAGE)?;
    for page in 0..5 {
        let what = format!("page {page} of the stripes");
        reads(striped.load(page * PAGE), 1 + page as u64, &what)?;
    }
    for (stripe, pages) in [(0, 2), (2, 2), (4, 1)] {
        let start = striped.ptr().addr() + stripe * PAGE;
        let end = start + pages * PAGE;
        let lines = lines_about("maps", start)?;
        let area = format!("{start:x}-{end:x} ");
        ensure!(lines[0].starts_with(&area), "{} is not {area}", lines[0]);
    }
    let uneven = arena.space.striped_window(BASE, 4 * PAGE, PAGE + 1);
    fails(uneven, libc::EINVAL, "stripes of no whole pages")?;
    let none = arena.space.striped_window(BASE, 4 * PAGE, 0);
    fails(none, libc::EINVAL, "stripes of nothing")
}

fn proc_maps_shows_the_device() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    let lines = lines_about("maps", arena.window.address())?;
    let words: Vec<_> = lines[0].split_whitespace().collect();
    ensure_eq!(words[1], "rw-s", "protection in {}", lines[0]);
    ensure_eq!(
        u64::from_str_radix(words[2], 16).ok(),
        Some(BASE),
        "offset in {}",
        lines[0]
    );
    ensure_eq!(
        words.last().copied(),
        Some("/dev/faultline"),
        "name in {}",
        lines[0]
    );
    Ok(())
}

fn smaps_counts_touched_pages() -> Outcome {
    let arena = Arena::new(16, Prot::READ_WRITE)?;
    arena.stamp(0, 5, 1)?;
    let rss = |lines: Vec<String>| {
        lines.iter().find_map(|line| {
            line.strip_prefix("Rss:")?
                .trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<usize>()
                .ok()
        })
    };
    let seen = rss(lines_about("smaps", arena.window.address())?);
    ensure_eq!(seen, Some(5 * 4), "Rss in kB of five pages");
    arena.unmap(0, 2)?;
    let seen = rss(lines_about("smaps", arena.window.address())?);
    ensure_eq!(seen, Some(3 * 4), "Rss in kB of three pages");
    Ok(())
}

fn populate_is_harmless() -> Outcome {
    let arena = Arena::new(32, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 7)?;
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    let full = map(&arena.space, BASE, 32, READ_WRITE, flags)?;
    let faults = arena.space.stats()?.faults;
    Arena::holds(&full, 0, 8, 7, "pages that were there")?;
    for page in 8..32 {
        reads(full.load(page * PAGE), 0, "fresh page")?;
    }
    ensure_eq!(
        arena.space.stats()?.faults,
        faults,
        "faults by loads after MAP_POPULATE"
    );
    full.store(0, 1)?;
    reads(arena.window.load(0), 1, "first window")
}

fn populate_over_holes_is_harmless() -> Outcome {
    let arena = Arena::empty(8)?;
    arena.remap(4, 2, Prot::NONE)?;
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    let full = map(&arena.space, BASE, 8, READ_WRITE, flags)?;
    raises(full.load(0), Signal::Bus, "hole")?;
    raises(full.load(4 * PAGE), Signal::Segv, "region without access")?;
    ensure_eq!(arena.space.stats()?.pages, 0, "pages held");
    Ok(())
}

fn read_only_window_refuses_stores() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 3)?;
    let view = map(&arena.space, BASE, 2, libc::PROT_READ, libc::MAP_SHARED)?;
    Arena::holds(&view, 0, 2, 3, "read-only window")?;
    raises(
        view.store(0, 1),
        Signal::Segv,
        "store through a read-only window",
    )?;
    Arena::holds(&arena.window, 0, 2, 3, "first window")
}

fn read_only_window_can_become_writable() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    let view = map(&arena.space, BASE, 2, libc::PROT_READ, libc::MAP_SHARED)?;
    reads(view.load(0), 0, "before")?;
    view.protect(0, 2 * PAGE, READ_WRITE)?;
    view.store(0, 9)?;
    view.store(PAGE, 9)?;
    reads(arena.window.load(0), 9, "first window")?;
    ensure!(
        arena.space.stats()?.fault_mkwrite >= 1,
        "the entry was not upgraded"
    );
    Ok(())
}
