// SPDX-License-Identifier: GPL-2.0-only
//! What UNMAP removes, and what it leaves.

use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure_eq, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, SPACE_SIZE, bytes, layout, window};
use crate::{PAGE_SIZE, Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "map":
    unmap_in_the_middle_keeps_both_halves,
    unmap_at_the_edges_shrinks,
    unmap_over_holes_removes_all_it_meets,
    unmap_of_nothing_succeeds,
    unmap_of_the_whole_space,
    neighbours_with_one_protection_are_one,
    region_of_many_leaves,
];

fn fixed(space: &Space, addr: u64, pages: usize) -> std::io::Result<u64> {
    space.map(
        addr,
        bytes(pages),
        Prot::READ_WRITE,
        Placement::FixedNoreplace,
    )
}

fn unmap_in_the_middle_keeps_both_halves() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 30)?;
    arena.unmap(3, 2)?;
    let ends = [0, 3, 5, 8].map(|page| BASE + bytes(page));
    let rw = Prot::READ_WRITE;
    ensure_eq!(
        layout(&arena.space)?,
        [(ends[0], ends[1], rw), (ends[2], ends[3], rw)],
        "regions"
    );
    Arena::holds(&arena.window, 0, 3, 30, "first half")?;
    Arena::holds(&arena.window, 5, 3, 30, "second half")?;
    arena.stamp(5, 3, 60)?;
    for page in 3..5 {
        raises(
            arena.window.load(page * PAGE),
            Signal::Bus,
            "load from the hole",
        )?;
        raises(
            arena.window.store(page * PAGE, 1),
            Signal::Bus,
            "store to the hole",
        )?;
    }
    arena.remap(3, 2, Prot::READ_WRITE)?;
    reads(arena.window.load(3 * PAGE), 0, "the hole mapped again")?;
    Arena::holds(&arena.window, 0, 3, 30, "first half")?;
    Arena::holds(&arena.window, 5, 3, 60, "second half")
}

fn unmap_at_the_edges_shrinks() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 30)?;
    arena.unmap(0, 2)?;
    arena.unmap(7, 1)?;
    let rest = (BASE + bytes(2), BASE + bytes(7), Prot::READ_WRITE);
    ensure_eq!(layout(&arena.space)?, [rest], "regions");
    Arena::holds(&arena.window, 2, 5, 30, "the rest")?;
    raises(arena.window.load(PAGE), Signal::Bus, "before")?;
    raises(arena.window.load(7 * PAGE), Signal::Bus, "behind")
}

fn unmap_over_holes_removes_all_it_meets() -> Outcome {
    let arena = Arena::empty(12)?;
    for (from, pages) in [(0, 2), (4, 1), (6, 2), (10, 2)] {
        arena.remap(from, pages, Prot::READ_WRITE)?;
        arena.stamp(from, pages, 50)?;
    }
    arena.unmap(1, 10)?;
    let rw = Prot::READ_WRITE;
    let expected = [
        (BASE, BASE + bytes(1), rw),
        (BASE + bytes(11), BASE + bytes(12), rw),
    ];
    ensure_eq!(layout(&arena.space)?, expected, "regions");
    ensure_eq!(arena.space.stats()?.pages, 2, "pages held");
    Arena::holds(&arena.window, 0, 1, 50, "before")?;
    Arena::holds(&arena.window, 11, 1, 50, "behind")
}

fn unmap_of_nothing_succeeds() -> Outcome {
    let space = Space::open()?;
    space.unmap(BASE, bytes(4))?;
    fixed(&space, BASE, 1)?;
    space.unmap(0, BASE)?;
    space.unmap(BASE + bytes(1), bytes(100))?;
    space.unmap(SPACE_SIZE - PAGE_SIZE, PAGE_SIZE)?;
    ensure_eq!(space.stats()?.unmaps, 4, "successful UNMAPs");
    ensure_eq!(
        layout(&space)?,
        [(BASE, BASE + bytes(1), Prot::READ_WRITE)],
        "regions"
    );
    Ok(())
}

fn unmap_of_the_whole_space() -> Outcome {
    let space = Space::open()?;
    let addresses = [0, BASE, 1 << 33, 1 << 45, SPACE_SIZE - PAGE_SIZE];
    for addr in addresses {
        fixed(&space, addr, 1)?;
        window(&space, addr, 1)?.store(0, addr)?;
    }
    ensure_eq!(space.stats()?.pages, addresses.len() as u64, "pages before");
    space.unmap(0, SPACE_SIZE)?;
    let stats = space.stats()?;
    ensure_eq!(
        (stats.regions, stats.pages),
        (0, 0),
        "regions and pages left"
    );
    for addr in addresses {
        raises(
            window(&space, addr, 1)?.load(0),
            Signal::Bus,
            &format!("at {addr:#x}"),
        )?;
    }
    Ok(())
}

fn neighbours_with_one_protection_are_one() -> Outcome {
    let arena = Arena::empty(6)?;
    for page in [0, 2, 1, 5, 4, 3] {
        arena.remap(page, 1, Prot::READ_WRITE)?;
        arena.stamp(page, 1, 70)?;
    }
    Arena::holds(&arena.window, 0, 6, 70, "all")?;
    ensure_eq!(arena.shape()?, [(0, 6, Prot::READ_WRITE)], "regions");
    ensure_eq!(arena.space.stats()?.regions, 1, "regions of STATS");
    arena.unmap(1, 4)?;
    Arena::holds(&arena.window, 0, 1, 70, "first")?;
    Arena::holds(&arena.window, 5, 1, 70, "last")
}

fn region_of_many_leaves() -> Outcome {
    // 64 MiB, touched once in each 2 MiB and around each boundary.
    let pages = 64 << 8;
    let arena = Arena::new(pages, Prot::READ_WRITE)?;
    let touched: Vec<usize> = (0..pages).filter(|page| page % 512 < 2).collect();
    for &page in &touched {
        arena.window.store(page * PAGE, page as u64)?;
    }
    arena.unmap(512, pages - 1024)?;
    for &page in &touched {
        let result = arena.window.load(page * PAGE);
        if (512..pages - 512).contains(&page) {
            raises(result, Signal::Bus, &format!("unmapped page {page}"))?;
        } else {
            reads(result, page as u64, &format!("page {page}"))?;
        }
    }
    Ok(())
}
