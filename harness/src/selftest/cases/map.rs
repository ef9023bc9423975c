// SPDX-License-Identifier: GPL-2.0-only
//! Where MAP puts a region, what it replaces, and what UNMAP leaves.

use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, Picture, SPACE_SIZE, bytes, layout, window};
use crate::{PAGE_SIZE, Placement, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "map":
    free_hint_is_taken,
    occupied_hint_gives_the_next_hole_that_fits,
    no_hint_gives_the_lowest_hole,
    hole_that_is_too_small_is_passed_over,
    hint_near_the_end_falls_back_to_the_lowest_hole,
    hint_beyond_the_space_is_no_hint,
    address_zero_is_an_address,
    last_page_can_be_mapped,
    whole_space_then_no_room_is_enomem,
    too_long_for_the_space_is_enomem,
    fixed_replaces_exactly_its_range,
    fixed_over_several_regions_and_holes,
    fixed_over_itself_reads_zero,
    noreplace_takes_a_free_range,
    noreplace_over_anything_is_eexist,
];

fn hint(space: &Space, addr: u64, pages: usize) -> std::io::Result<u64> {
    space.map(addr, bytes(pages), Prot::READ_WRITE, Placement::Hint)
}

fn fixed(space: &Space, addr: u64, pages: usize) -> std::io::Result<u64> {
    space.map(
        addr,
        bytes(pages),
        Prot::READ_WRITE,
        Placement::FixedNoreplace,
    )
}

fn free_hint_is_taken() -> Outcome {
    let space = Space::open()?;
    for addr in [BASE, 1 << 45, PAGE_SIZE, 0] {
        ensure_eq!(hint(&space, addr, 1)?, addr, "address for hint {addr:#x}");
    }
    Ok(())
}

fn occupied_hint_gives_the_next_hole_that_fits() -> Outcome {
    let space = Space::open()?;
    fixed(&space, BASE, 4)?;
    ensure_eq!(
        hint(&space, BASE, 1)?,
        BASE + bytes(4),
        "hint at the start of a region"
    );
    ensure_eq!(
        hint(&space, BASE + bytes(2), 2)?,
        BASE + bytes(5),
        "hint inside a region"
    );
    // The hole before the region is too small for what the hint asks.
    ensure_eq!(
        hint(&space, BASE - bytes(1), 2)?,
        BASE + bytes(7),
        "hint in a small hole"
    );
    ensure_eq!(
        hint(&space, BASE - bytes(1), 1)?,
        BASE - bytes(1),
        "hint in a hole that fits"
    );
    Ok(())
}

fn no_hint_gives_the_lowest_hole() -> Outcome {
    let space = Space::open()?;
    for expected in 0..4 {
        ensure_eq!(hint(&space, 0, 1)?, bytes(expected), "mapping {expected}");
    }
    space.unmap(bytes(1), bytes(2))?;
    ensure_eq!(hint(&space, 0, 1)?, bytes(1), "lowest hole");
    ensure_eq!(hint(&space, 0, 1)?, bytes(2), "the rest of it");
    ensure_eq!(hint(&space, 0, 1)?, bytes(4), "behind all");
    Ok(())
}

fn hole_that_is_too_small_is_passed_over() -> Outcome {
    let space = Space::open()?;
    fixed(&space, bytes(1), 1)?;
    fixed(&space, bytes(4), 1)?;
    fixed(&space, bytes(8), 1)?;
    ensure_eq!(hint(&space, 0, 3)?, bytes(5), "three pages");
    ensure_eq!(hint(&space, 0, 2)?, bytes(2), "two pages");
    ensure_eq!(hint(&space, 0, 1)?, 0, "one page");
    ensure_eq!(hint(&space, 0, 1)?, bytes(9), "another");
    Ok(())
}

fn hint_near_the_end_falls_back_to_the_lowest_hole() -> Outcome {
    let space = Space::open()?;
    fixed(&space, 0, 2)?;
    let last = SPACE_SIZE - PAGE_SIZE;
    ensure_eq!(
        hint(&space, last, 2)?,
        bytes(2),
        "two pages at the last page"
    );
    fixed(&space, last, 1)?;
    ensure_eq!(
        hint(&space, last, 1)?,
        bytes(4),
        "hint at an occupied last page"
    );
    Ok(())
}

fn hint_beyond_the_space_is_no_hint() -> Outcome {
    let space = Space::open()?;
    fixed(&space, 0, 1)?;
    ensure_eq!(
        hint(&space, SPACE_SIZE, 2)?,
        bytes(1),
        "hint at the end of the space"
    );
    ensure_eq!(
        hint(&space, u64::MAX - 4095, 2)?,
        bytes(3),
        "hint at the end of all"
    );
    Ok(())
}

fn address_zero_is_an_address() -> Outcome {
    let space = Space::open()?;
    ensure_eq!(fixed(&space, 0, 1)?, 0, "FIXED_NOREPLACE at 0");
    let window = window(&space, 0, 1)?;
    window.store(0, 5)?;
    reads(window.load(0), 5, "page 0")?;
    fails(fixed(&space, 0, 1), libc::EEXIST, "again")?;
    space.unmap(0, bytes(1))?;
    raises(window.load(0), Signal::Bus, "page 0 after UNMAP")
}

fn last_page_can_be_mapped() -> Outcome {
    let space = Space::open()?;
    let last = SPACE_SIZE - PAGE_SIZE;
    fixed(&space, last, 1)?;
    let window = window(&space, last, 1)?;
    window.store(4088, 5)?;
    reads(window.load(4088), 5, "last word of the space")?;
    ensure_eq!(
        layout(&space)?,
        [(last, SPACE_SIZE, Prot::READ_WRITE)],
        "regions"
    );
    space.unmap(last, bytes(1))?;
    raises(window.load(4088), Signal::Bus, "last word after UNMAP")
}

fn whole_space_then_no_room_is_enomem() -> Outcome {
    let space = Space::open()?;
    let all = space.map(0, SPACE_SIZE, Prot::READ_WRITE, Placement::Hint)?;
    ensure_eq!(all, 0, "address of the whole space");
    let window = window(&space, 1 << 40, 1)?;
    window.store(0, 1)?;
    let before = Picture::take(&space)?;
    for addr in [0, BASE, SPACE_SIZE - PAGE_SIZE] {
        fails(hint(&space, addr, 1), libc::ENOMEM, "MAP in a full space")?;
        fails(
            fixed(&space, addr, 1),
            libc::EEXIST,
            "FIXED_NOREPLACE in a full space",
        )?;
        before.must_hold(&space, "refused MAP")?;
    }
    space.unmap(BASE, bytes(2))?;
    fails(
        hint(&space, 0, 3),
        libc::ENOMEM,
        "three pages into a hole of two",
    )?;
    ensure_eq!(
        hint(&space, SPACE_SIZE - PAGE_SIZE, 2)?,
        BASE,
        "two pages into the hole"
    );
    reads(window.load(0), 1, "page elsewhere")
}

fn too_long_for_the_space_is_enomem() -> Outcome {
    let space = Space::open()?;
    fixed(&space, BASE, 1)?;
    let before = Picture::take(&space)?;
    let lengths = [
        SPACE_SIZE,
        SPACE_SIZE + PAGE_SIZE,
        1 << 50,
        1 << 63,
        u64::MAX - 4095,
    ];
    for length in lengths {
        for addr in [0, BASE, SPACE_SIZE - PAGE_SIZE] {
            let result = space.map(addr, length, Prot::READ, Placement::Hint);
            fails(
                result,
                libc::ENOMEM,
                &format!("{length:#x} bytes, hint {addr:#x}"),
            )?;
            before.must_hold(&space, "refused MAP")?;
        }
    }
    Ok(())
}

fn fixed_replaces_exactly_its_range() -> Outcome {
    let arena = Arena::new(9, Prot::READ_WRITE)?;
    arena.stamp(0, 9, 100)?;
    arena.remap(3, 3, Prot::READ)?;
    let ends = [0, 3, 6, 9].map(|page| BASE + bytes(page));
    let expected = [
        (ends[0], ends[1], Prot::READ_WRITE),
        (ends[1], ends[2], Prot::READ),
        (ends[2], ends[3], Prot::READ_WRITE),
    ];
    ensure_eq!(layout(&arena.space)?, expected, "regions");
    Arena::holds(&arena.window, 0, 3, 100, "before")?;
    Arena::holds(&arena.window, 6, 3, 100, "behind")?;
    for page in 3..6 {
        reads(arena.window.load(page * PAGE), 0, "replaced page")?;
        raises(
            arena.window.store(page * PAGE, 1),
            Signal::Segv,
            "store to a replaced page",
        )?;
    }
    ensure_eq!(arena.space.stats()?.pages_removed, 3, "pages removed");
    Ok(())
}

fn fixed_over_several_regions_and_holes() -> Outcome {
    let arena = Arena::empty(12)?;
    for (from, pages) in [(0, 2), (3, 1), (5, 2), (10, 2)] {
        arena.remap(from, pages, Prot::READ_WRITE)?;
        arena.stamp(from, pages, 50)?;
    }
    arena.remap(1, 10, Prot::READ_WRITE)?;
    Arena::holds(&arena.window, 0, 1, 50, "before")?;
    Arena::holds(&arena.window, 11, 1, 50, "behind")?;
    for page in 1..11 {
        reads(
            arena.window.load(page * PAGE),
            0,
            &format!("replaced page {page}"),
        )?;
    }
    let all = (BASE, BASE + bytes(12), Prot::READ_WRITE);
    ensure_eq!(layout(&arena.space)?, [all], "regions");
    Ok(())
}

fn fixed_over_itself_reads_zero() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    for round in 0..20 {
        for page in 0..4 {
            reads(
                arena.window.load(page * PAGE),
                0,
                &format!("round {round}, page {page}"),
            )?;
        }
        arena.stamp(0, 4, 1000)?;
        arena.remap(0, 4, Prot::READ_WRITE)?;
    }
    ensure_eq!(arena.space.stats()?.regions, 1, "regions");
    Ok(())
}

fn noreplace_takes_a_free_range() -> Outcome {
    let space = Space::open()?;
    fixed(&space, BASE, 2)?;
    // Touching a neighbour on both sides is no overlap.
    fixed(&space, BASE + bytes(4), 2)?;
    ensure_eq!(
        fixed(&space, BASE + bytes(2), 2)?,
        BASE + bytes(2),
        "address"
    );
    Ok(())
}

fn noreplace_over_anything_is_eexist() -> Outcome {
    let arena = Arena::empty(8)?;
    arena.remap(2, 1, Prot::READ_WRITE)?;
    arena.remap(5, 2, Prot::NONE)?;
    arena.stamp(2, 1, 9)?;
    let before = Picture::take(&arena.space)?;
    for (from, pages) in [
        (2, 1),
        (0, 3),
        (2, 2),
        (0, 8),
        (4, 2),
        (6, 2),
        (6, 1),
        (5, 1),
    ] {
        let what = format!("pages {from}..{}", from + pages);
        fails(
            fixed(&arena.space, BASE + bytes(from), pages),
            libc::EEXIST,
            &what,
        )?;
        before.must_hold(&arena.space, &what)?;
    }
    Arena::holds(&arena.window, 2, 1, 9, "afterwards")
}
