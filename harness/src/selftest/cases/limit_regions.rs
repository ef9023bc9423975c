// SPDX-License-Identifier: GPL-2.0-only
//! The limit of regions of a space.

use crate::selftest::check::{Outcome, ensure, ensure_eq, fails};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, bytes};
use crate::selftest::sys::kmodule;
use crate::{Placement, Prot, Relocation};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "limit":
    map_beyond_is_enomem,
    map_that_merges_is_no_region_more,
    map_that_splits_beyond_is_enomem,
    unmap_that_splits_beyond_is_enomem,
    whole_regions_can_always_be_unmapped,
    protect_that_splits_beyond_is_enomem,
    protect_that_merges_makes_room,
    remap_that_splits_beyond_is_enomem,
    regions_lowered_below_what_is_held_stop_growth,
    regions_of_other_spaces_do_not_count,
    max_regions_of_a_new_space_is_the_parameter,
];

pub(super) const WITH_PARAMETERS: &[Test] = tests![Needs::Parameters("max_regions=3"), "limit":
    max_regions_parameter_is_kept,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

/// Regions of two pages at pages 0, 4 and 8, and no more allowed.
fn full() -> Result<Arena, crate::selftest::check::Stop> {
    let arena = Arena::empty(16)?;
    for page in [0, 4, 8] {
        arena.remap(page, 2, RW)?;
        arena.stamp(page, 2, 10)?;
    }
    ensure_eq!(arena.space.limit_regions(3)?, 3, "limit in force");
    Ok(arena)
}

fn map_beyond_is_enomem() -> Outcome {
    let arena = full()?;
    for (what, addr, place) in [
        ("hint", 0, Placement::Hint),
        ("FIXED", BASE + bytes(12), Placement::Fixed),
        (
            "FIXED_NOREPLACE",
            BASE + bytes(12),
            Placement::FixedNoreplace,
        ),
    ] {
        arena.refuses(libc::ENOMEM, what, |arena| {
            arena.space.map(addr, bytes(1), RO, place)
        })?;
    }
    for page in [0, 4, 8] {
        Arena::holds(&arena.window, page, 2, 10, "afterwards")?;
    }
    arena.unmap(4, 2)?;
    arena.remap(12, 1, RO)
}

fn map_that_merges_is_no_region_more() -> Outcome {
    let arena = full()?;
    arena.remap(2, 1, RW)?;
    ensure_eq!(arena.space.stats()?.regions, 3, "regions");
    arena.remap(3, 1, RW)?;
    ensure_eq!(arena.space.stats()?.regions, 2, "regions, two joined");
    arena.remap(12, 1, RO)
}

fn map_that_splits_beyond_is_enomem() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    arena.space.limit_regions(2)?;
    arena.refuses(libc::ENOMEM, "MAP inside a region", |arena| {
        arena
            .space
            .map(BASE + bytes(2), bytes(2), RO, Placement::Fixed)
    })?;
    Arena::holds(&arena.window, 0, 8, 10, "afterwards")?;
    // At its edge, and of its own kind, it may be.
    arena.remap(2, 2, RW)?;
    arena.remap(6, 2, RO)?;
    ensure_eq!(arena.shape()?, [(0, 6, RW), (6, 8, RO)], "regions");
    Ok(())
}

fn unmap_that_splits_beyond_is_enomem() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    arena.space.limit_regions(1)?;
    arena.refuses(libc::ENOMEM, "UNMAP in the middle", |arena| {
        arena.space.unmap(BASE + bytes(2), bytes(2))
    })?;
    Arena::holds(&arena.window, 0, 8, 10, "afterwards")?;
    arena.unmap(0, 2)?;
    arena.unmap(6, 2)?;
    ensure_eq!(arena.shape()?, [(2, 6, RW)], "regions");
    Arena::holds(&arena.window, 2, 4, 10, "what is left")
}

fn whole_regions_can_always_be_unmapped() -> Outcome {
    let arena = full()?;
    ensure_eq!(arena.space.limit_regions(1)?, 1, "limit in force");
    arena.unmap(4, 2)?;
    // Parts too, as long as nothing is split.
    arena.unmap(0, 1)?;
    arena.refuses(libc::ENOMEM, "MAP with two of one allowed", |arena| {
        arena
            .space
            .map(BASE + bytes(4), bytes(1), RO, Placement::Fixed)
    })?;
    arena.unmap(0, 12)?;
    ensure_eq!(arena.shape()?, [], "regions");
    arena.remap(0, 4, RW)
}

fn protect_that_splits_beyond_is_enomem() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    arena.space.limit_regions(2)?;
    arena.refuses(libc::ENOMEM, "PROTECT in the middle", |arena| {
        arena.protect(2, 2, RO)
    })?;
    arena.stamp(0, 8, 20)?;
    arena.protect(0, 2, RO)?;
    arena.refuses(libc::ENOMEM, "PROTECT at the other edge", |arena| {
        arena.protect(6, 2, RO)
    })?;
    arena.protect(2, 2, RO)?;
    ensure_eq!(arena.shape()?, [(0, 4, RO), (4, 8, RW)], "regions");
    Arena::holds(&arena.window, 0, 8, 20, "contents")
}

fn protect_that_merges_makes_room() -> Outcome {
    let arena = Arena::new(9, RW)?;
    arena.protect(3, 3, RO)?;
    arena.space.limit_regions(3)?;
    arena.refuses(libc::ENOMEM, "MAP beyond the limit", |arena| {
        arena
            .space
            .map(BASE + bytes(12), bytes(1), RO, Placement::Fixed)
    })?;
    arena.protect(3, 3, RW)?;
    arena.remap(12, 1, RO)?;
    ensure_eq!(arena.shape()?, [(0, 9, RW), (12, 13, RO)], "regions");
    Ok(())
}

fn remap_that_splits_beyond_is_enomem() -> Outcome {
    let arena = full()?;
    let elsewhere = Relocation::Fixed(BASE + bytes(40));
    arena.refuses(libc::ENOMEM, "move of a part", |arena| {
        arena.resize(0, 1, 1, elsewhere)
    })?;
    // Nor beside another, that it might merge with.
    arena.protect(8, 2, RO)?;
    arena.refuses(libc::ENOMEM, "growth of a part, by a move", |arena| {
        arena.resize(0, 1, 3, Relocation::MayMove)
    })?;
    // A whole region may move, grow and shrink.
    arena.shift(0, 2, 40)?;
    arena.resize(40, 2, 5, Relocation::Stay)?;
    arena.resize(40, 5, 1, Relocation::Stay)?;
    ensure_eq!(arena.space.stats()?.regions, 3, "regions");
    Ok(())
}

fn regions_lowered_below_what_is_held_stop_growth() -> Outcome {
    let arena = full()?;
    ensure_eq!(arena.space.limit_regions(2)?, 2, "limit in force");
    let stats = arena.space.stats()?;
    ensure_eq!((stats.regions, stats.max_regions), (3, 2), "regions, limit");
    arena.refuses(libc::ENOMEM, "MAP", |arena| {
        arena.space.map(0, bytes(1), RO, Placement::Hint)
    })?;
    arena.stamp(0, 2, 20)?;
    // What leaves their number as it is, is allowed.
    arena.protect(0, 2, RO)?;
    arena.remap(4, 2, RO)?;
    arena.unmap(0, 2)?;
    fails(arena.space.limit_regions(3), libc::EPERM, "raising it")
}

fn regions_of_other_spaces_do_not_count() -> Outcome {
    let (one, other) = (full()?, Arena::empty(1)?);
    for page in 0..10 {
        other.remap(2 * page, 1, RW)?;
    }
    one.refuses(libc::ENOMEM, "MAP", |arena| {
        arena.space.map(0, bytes(1), RO, Placement::Hint)
    })
}

fn max_regions_of_a_new_space_is_the_parameter() -> Outcome {
    let parameter = kmodule::parameter("max_regions")?;
    let seen = Arena::empty(1)?.space.stats()?.max_regions;
    if parameter == "0" {
        // The default is the module's choice, but not "none".
        ensure!(seen >= 65_536, "{seen} regions by default");
    } else {
        ensure_eq!(seen.to_string(), parameter, "max_regions of a new space");
    }
    Ok(())
}

fn max_regions_parameter_is_kept() -> Outcome {
    let arena = Arena::empty(16)?;
    ensure_eq!(arena.space.stats()?.max_regions, 3, "limit of a new space");
    for page in [0, 4, 8] {
        arena.remap(page, 2, RW)?;
    }
    arena.refuses(libc::ENOMEM, "fourth region", |arena| {
        arena.space.map(0, bytes(1), RO, Placement::Hint)
    })?;
    fails(arena.space.limit_regions(4), libc::EPERM, "raising it")
}
