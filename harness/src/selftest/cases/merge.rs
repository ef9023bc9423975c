// SPDX-License-Identifier: GPL-2.0-only
//! Adjacent regions that are alike are one region, whatever brought them there.

use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::files::{Scratch, memfd, private, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, Live, PAGE, at, bytes, regions};
use crate::{Backing, PAGE_SIZE, Placement, Prot, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "merge":
    map_above_extends,
    map_below_extends,
    map_between_joins_three,
    map_without_address_extends,
    other_protection_does_not_merge,
    replacing_map_merges_on_both_sides,
    unmapped_part_heals,
    grown_region_joins_its_neighbour,
    moved_region_joins_its_neighbours,
    parts_of_a_file_merge_where_offsets_meet,
    other_files_and_backings_do_not_merge,
    split_file_region_keeps_its_offsets,
    merged_regions_are_freed,
    generation_of_a_merged_region_is_new,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn map_above_extends() -> Outcome {
    let arena = Arena::new(2, RW)?;
    arena.stamp(0, 2, 10)?;
    arena.remap(2, 3, RW)?;
    ensure_eq!(arena.shape()?, [(0, 5, RW)], "regions");
    ensure_eq!(arena.space.stats()?.regions, 1, "regions of STATS");
    Arena::holds(&arena.window, 0, 2, 10, "contents")
}

fn map_below_extends() -> Outcome {
    let arena = Arena::empty(5)?;
    arena.remap(3, 2, RW)?;
    arena.stamp(3, 2, 10)?;
    arena.remap(1, 2, RW)?;
    ensure_eq!(arena.shape()?, [(1, 5, RW)], "regions");
    Arena::holds(&arena.window, 3, 2, 10, "contents")
}

fn map_between_joins_three() -> Outcome {
    let arena = Arena::empty(6)?;
    arena.remap(0, 2, RW)?;
    arena.remap(4, 2, RW)?;
    arena.stamp(0, 2, 10)?;
    arena.stamp(4, 2, 10)?;
    ensure_eq!(arena.shape()?.len(), 2, "regions at first");
    arena.remap(2, 2, RW)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW)], "regions");
    Arena::holds(&arena.window, 0, 2, 10, "below")?;
    Arena::holds(&arena.window, 4, 2, 10, "above")
}

fn map_without_address_extends() -> Outcome {
    let arena = Arena::empty(1)?;
    for _ in 0..50 {
        arena.space.map(0, bytes(1), RW, Placement::Hint)?;
    }
    let found = regions(&arena.space)?;
    ensure_eq!(found.len(), 1, "regions");
    ensure_eq!((found[0].start, found[0].end), (0, bytes(50)), "region");
    Ok(())
}

fn other_protection_does_not_merge() -> Outcome {
    let arena = Arena::empty(8)?;
    let prots = [RW, RO, Prot::NONE, Prot::WRITE];
    for (i, prot) in prots.into_iter().enumerate() {
        arena.remap(2 * i, 2, prot)?;
    }
    let expected: Vec<_> = (0..4).map(|i| (2 * i, 2 * i + 2, prots[i])).collect();
    ensure_eq!(arena.shape()?, expected, "regions");
    Ok(())
}

fn replacing_map_merges_on_both_sides() -> Outcome {
    let arena = Arena::new(6, RW)?;
    arena.stamp(0, 6, 10)?;
    arena.remap(2, 2, RO)?;
    ensure_eq!(arena.shape()?.len(), 3, "regions with another protection");
    arena.remap(2, 2, RW)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW)], "regions");
    for page in 2..4 {
        ensure_eq!(arena.window.load(page * PAGE)?, 0, "replaced page {page}");
    }
    Arena::holds(&arena.window, 4, 2, 10, "above")
}

fn unmapped_part_heals() -> Outcome {
    let arena = Arena::new(6, RW)?;
    arena.unmap(2, 2)?;
    ensure_eq!(arena.shape()?, [(0, 2, RW), (4, 6, RW)], "with a hole");
    arena.remap(2, 1, RW)?;
    ensure_eq!(arena.shape()?, [(0, 3, RW), (4, 6, RW)], "hole half filled");
    arena.remap(3, 1, RW)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW)], "hole filled");
    Ok(())
}

fn grown_region_joins_its_neighbour() -> Outcome {
    let arena = Arena::new(2, RW)?;
    arena.remap(4, 2, RW)?;
    arena.resize(0, 2, 4, Relocation::Stay)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW)], "regions");
    Ok(())
}

fn moved_region_joins_its_neighbours() -> Outcome {
    let arena = Arena::empty(20)?;
    arena.remap(0, 2, RW)?;
    arena.remap(4, 2, RW)?;
    arena.remap(10, 2, RW)?;
    arena.stamp(10, 2, 10)?;
    arena.shift(10, 2, 2)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW)], "regions");
    Arena::holds(&arena.window, 2, 2, 18, "moved pages")?;
    // And out of the middle again.
    arena.shift(2, 2, 14)?;
    let expected = [(0, 2, RW), (4, 6, RW), (14, 16, RW)];
    ensure_eq!(arena.shape()?, expected, "regions");
    Ok(())
}

/// Maps two pages of a file at page `first`, and the two pages from `second`
/// of it right behind them: the number of regions.
fn two_parts(first: usize, second: usize, as_shared: bool) -> Result<usize, Stop> {
    let arena = Arena::empty(4)?;
    let file = memfd(8, 50)?;
    let part = |page| match as_shared {
        true => shared(&file, page),
        false => private(&file, page),
    };
    arena.place(0, 2, RO, part(first))?;
    arena.place(2, 2, RO, part(second))?;
    let expected = [first, first + 1, second, second + 1];
    for (page, of_file) in expected.into_iter().enumerate() {
        let seen = arena.window.load(page * PAGE)?;
        ensure_eq!(seen, 50 + of_file as u64, "page {page}");
    }
    Ok(arena.shape()?.len())
}

fn parts_of_a_file_merge_where_offsets_meet() -> Outcome {
    for as_shared in [true, false] {
        ensure_eq!(two_parts(1, 3, as_shared)?, 1, "regions of pages 1 to 4");
        ensure_eq!(two_parts(1, 4, as_shared)?, 2, "regions with a gap");
        ensure_eq!(two_parts(3, 1, as_shared)?, 2, "regions in reverse");
        ensure_eq!(two_parts(1, 1, as_shared)?, 2, "regions of the same pages");
    }
    Ok(())
}

fn other_files_and_backings_do_not_merge() -> Outcome {
    let arena = Arena::empty(10)?;
    let (one, other) = (memfd(8, 10)?, memfd(8, 20)?);
    arena.place(0, 2, RO, shared(&one, 0))?;
    arena.place(2, 2, RO, shared(&other, 2))?;
    arena.place(4, 2, RO, private(&other, 4))?;
    arena.remap(6, 2, RO)?;
    arena.place(8, 2, RO, private(&one, 0))?;
    let found = regions(&arena.space)?;
    let seen: Vec<_> = found.iter().map(|r| (r.backing, r.offset)).collect();
    let expected = [
        (Backing::SHARED, 0),
        (Backing::SHARED, bytes(2)),
        (Backing::PRIVATE, bytes(4)),
        (Backing::ANON, 0),
        (Backing::PRIVATE, 0),
    ];
    ensure_eq!(seen, expected, "backings and offsets");
    Ok(())
}

fn split_file_region_keeps_its_offsets() -> Outcome {
    let scratch = Scratch::stamped(16, 50)?;
    let arena = Arena::backed(8, RO, private(&scratch.file, 3))?;
    arena.unmap(3, 2)?;
    arena.protect(6, 1, RW)?;
    let seen: Vec<_> = regions(&arena.space)?
        .iter()
        .map(|r| ((r.start - BASE) / PAGE_SIZE, r.offset / PAGE_SIZE))
        .collect();
    ensure_eq!(seen, [(0, 3), (5, 8), (6, 9), (7, 10)], "page and offset");
    for page in [0, 1, 2, 5, 6, 7] {
        let seen = arena.window.load(page * PAGE)?;
        ensure_eq!(seen, 53 + page as u64, "page {page}");
    }
    arena.place(3, 2, RO, private(&scratch.file, 6))?;
    arena.protect(6, 1, RO)?;
    ensure_eq!(arena.shape()?, [(0, 8, RO)], "regions once healed");
    Arena::holds(&arena.window, 0, 8, 53, "all of it")
}

fn merged_regions_are_freed() -> Outcome {
    let arena = Arena::new(1, RW)?;
    let one = Live::required()?;
    for page in 1..200 {
        arena.remap(page, 1, RW)?;
    }
    for page in (0..200).step_by(2) {
        arena.protect(page, 1, RO)?;
    }
    ensure_eq!(arena.space.stats()?.regions, 200, "regions when split");
    arena.protect(0, 200, RW)?;
    one.must_return("live objects with all merged")
}

fn generation_of_a_merged_region_is_new() -> Outcome {
    let arena = Arena::new(2, RW)?;
    let before = regions(&arena.space)?[0];
    arena.space.map(at(2), bytes(2), RW, Placement::Fixed)?;
    let after = regions(&arena.space)?;
    ensure_eq!(after.len(), 1, "regions");
    ensure!(
        after[0].generation != before.generation,
        "generation kept: {before:x?}, {after:x?}"
    );
    Ok(())
}
