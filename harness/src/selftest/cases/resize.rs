// SPDX-License-Identifier: GPL-2.0-only
//! REMAP that shrinks and grows.

use std::os::fd::AsFd;

use crate::access::Signal;
use crate::selftest::check::{Outcome, ensure, ensure_eq, fails_with_one_of, raises, reads};
use crate::selftest::files::{memfd, private, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE, Picture, SPACE_SIZE, at, bytes, regions, window};
use crate::{PAGE_SIZE, Placement, Prot, Relocation, Source, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "remap":
    same_length_changes_nothing,
    shrink_unmaps_the_tail,
    shrink_over_regions_and_holes,
    growth_in_place_keeps_contents,
    growth_up_to_a_neighbour,
    blocked_growth_is_enomem_without_maymove,
    growth_of_a_part_is_enomem_without_maymove,
    blocked_growth_moves_with_maymove,
    part_that_grows_moves_alone,
    growth_with_room_stays_in_place,
    growth_at_the_end_of_the_space,
    growth_beyond_the_room_of_the_space_is_enomem,
    growth_of_several_regions_is_efault,
    range_without_region_is_efault,
    growth_shows_more_of_a_file,
    growth_beyond_any_file_is_eoverflow,
    fixed_shrinks_and_moves,
    fixed_grows_and_moves,
    calls_are_counted,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn same_length_changes_nothing() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.stamp(0, 4, 10)?;
    let before = regions(&arena.space)?;
    for relocation in [Relocation::Stay, Relocation::MayMove] {
        for (from, pages) in [(0, 4), (1, 2), (3, 1)] {
            let got = arena.resize(from, pages, pages, relocation)?;
            ensure_eq!(got, at(from), "address, {relocation:?}");
        }
    }
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    ensure_eq!(regions(&arena.space)?.len(), before.len(), "regions");
    Arena::holds(&arena.window, 0, 4, 10, "contents")
}

fn shrink_unmaps_the_tail() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    let second = window(&arena.space, at(0), 8)?;
    Arena::holds(&second, 0, 8, 10, "second window")?;
    ensure_eq!(arena.resize(0, 8, 3, Relocation::Stay)?, at(0), "address");
    ensure_eq!(arena.shape()?, [(0, 3, RW)], "regions");
    for view in [&arena.window, &second] {
        Arena::holds(view, 0, 3, 10, "what is left")?;
        for page in 3..8 {
            raises(view.load(page * PAGE), Signal::Bus, "behind the end")?;
        }
    }
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_removed), (3, 5), "pages");
    ensure_eq!((stats.remaps, stats.pages_moved), (1, 0), "remaps, moved");
    // Inside a region: the end of the range goes, what is behind it stays.
    arena.resize(0, 2, 1, Relocation::MayMove)?;
    ensure_eq!(arena.shape()?, [(0, 1, RW), (2, 3, RW)], "regions");
    reads(second.load(2 * PAGE), 12, "behind the range")
}

fn shrink_over_regions_and_holes() -> Outcome {
    let arena = Arena::empty(12)?;
    for (from, pages, prot) in [(0, 2, RW), (2, 2, RO), (5, 3, RW), (9, 3, RW)] {
        arena.remap(from, pages, prot)?;
    }
    arena.stamp(0, 2, 10)?;
    arena.stamp(9, 3, 10)?;
    let got = arena.resize(0, 10, 1, Relocation::Stay)?;
    ensure_eq!(got, at(0), "address");
    ensure_eq!(arena.shape()?, [(0, 1, RW), (10, 12, RW)], "regions");
    Arena::holds(&arena.window, 0, 1, 10, "first page")?;
    Arena::holds(&arena.window, 10, 2, 10, "behind the range")?;
    raises(arena.window.load(9 * PAGE), Signal::Bus, "end of the range")
}

fn growth_in_place_keeps_contents() -> Outcome {
    let arena = Arena::empty(700)?;
    arena.remap(0, 2, RW)?;
    arena.stamp(0, 2, 10)?;
    ensure_eq!(arena.resize(0, 2, 700, Relocation::Stay)?, at(0), "address");
    ensure_eq!(arena.shape()?, [(0, 700, RW)], "regions");
    Arena::holds(&arena.window, 0, 2, 10, "old pages")?;
    for page in [2, 3, 511, 512, 699] {
        reads(arena.window.load(page * PAGE), 0, "new page")?;
        arena.window.store(page * PAGE, 1)?;
    }
    ensure_eq!(arena.space.stats()?.pages_moved, 0, "pages moved");
    // The last pages of a region are its end as well.
    arena.resize(699, 1, 3, Relocation::Stay)?;
    ensure_eq!(arena.shape()?, [(0, 702, RW)], "regions");
    Ok(())
}

fn growth_up_to_a_neighbour() -> Outcome {
    let arena = Arena::new(2, RO)?;
    arena.remap(5, 1, RW)?;
    arena.resize(0, 2, 5, Relocation::Stay)?;
    ensure_eq!(arena.shape()?, [(0, 5, RO), (5, 6, RW)], "regions");
    Ok(())
}

fn blocked_growth_is_enomem_without_maymove() -> Outcome {
    let arena = Arena::new(2, RW)?;
    arena.stamp(0, 2, 10)?;
    for (from, prot) in [(2, RO), (4, Prot::NONE), (5, RW)] {
        arena.unmap(2, 8)?;
        arena.remap(from, 2, prot)?;
        let what = format!("growth to 6 pages with {prot:?} at page {from}");
        arena.refuses(libc::ENOMEM, &what, |arena| {
            arena.resize(0, 2, 6, Relocation::Stay)
        })?;
    }
    Arena::holds(&arena.window, 0, 2, 10, "contents")
}

fn growth_of_a_part_is_enomem_without_maymove() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    for (from, old, new) in [(0, 2, 3), (2, 3, 20), (0, 7, 8)] {
        let what = format!("{from}+{old} to {new} pages");
        arena.refuses(libc::ENOMEM, &what, |arena| {
            arena.resize(from, old, new, Relocation::Stay)
        })?;
    }
    Arena::holds(&arena.window, 0, 8, 10, "contents")
}

fn blocked_growth_moves_with_maymove() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.remap(5, 1, RO)?;
    arena.stamp(0, 3, 10)?;
    let before = arena.space.stats()?;
    let got = arena.resize(0, 4, 600, Relocation::MayMove)?;
    ensure!(got % PAGE_SIZE == 0 && got != at(0), "moved to {got:#x}");
    let moved = window(&arena.space, got, 600)?;
    Arena::holds(&moved, 0, 3, 10, "moved pages")?;
    for page in [3, 4, 511, 599] {
        reads(moved.load(page * PAGE), 0, "page never touched")?;
        moved.store(page * PAGE, 1)?;
    }
    for page in 0..4 {
        raises(arena.window.load(page * PAGE), Signal::Bus, "old address")?;
    }
    let found = regions(&arena.space)?;
    ensure_eq!(found.len(), 2, "regions: {found:x?}");
    ensure!(
        found
            .iter()
            .any(|r| (r.start, r.end, r.prot) == (got, got + bytes(600), RW)),
        "no region at {got:#x}: {found:x?}"
    );
    let stats = arena.space.stats()?;
    ensure_eq!(stats.pages_moved - before.pages_moved, 3, "pages moved");
    ensure_eq!(stats.pages_removed, before.pages_removed, "pages removed");
    Ok(())
}

fn part_that_grows_moves_alone() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    let got = arena.resize(2, 3, 5, Relocation::MayMove)?;
    let moved = window(&arena.space, got, 5)?;
    Arena::holds(&moved, 0, 3, 12, "moved part")?;
    reads(moved.load(4 * PAGE), 0, "new page")?;
    for page in 0..8 {
        let loaded = arena.window.load(page * PAGE);
        match (at(page) >= got && at(page) < got + bytes(5), page) {
            (true, _) => {}
            (_, 2..5) => raises(loaded, Signal::Bus, "old address")?,
            _ => reads(loaded, 10 + page as u64, "what was around it")?,
        }
    }
    ensure_eq!(arena.space.stats()?.pages_moved, 3, "pages moved");
    Ok(())
}

fn growth_with_room_stays_in_place() -> Outcome {
    let arena = Arena::new(2, RW)?;
    let got = arena.resize(0, 2, 4, Relocation::MayMove)?;
    ensure_eq!(got, at(0), "address");
    ensure_eq!(arena.shape()?, [(0, 4, RW)], "regions");
    Ok(())
}

fn growth_at_the_end_of_the_space() -> Outcome {
    let space = Space::open()?;
    let last = SPACE_SIZE - bytes(2);
    space.map(last, bytes(1), RW, Placement::Fixed)?;
    space.remap(last, bytes(1), bytes(2), Relocation::Stay)?;
    let before = Picture::take(&space)?;
    // Beyond the space: no such range, or no room.
    fails_with_one_of(
        space.remap(last, bytes(2), bytes(3), Relocation::Stay),
        &[libc::ENOMEM, libc::EINVAL],
        "growth beyond the space",
    )?;
    before.must_hold(&space, "refused growth")?;
    window(&space, last, 2)?.store(PAGE, 7)?;
    let got = space.remap(last, bytes(2), bytes(3), Relocation::MayMove)?;
    reads(window(&space, got, 3)?.load(PAGE), 7, "moved page")
}

fn growth_beyond_the_room_of_the_space_is_enomem() -> Outcome {
    let arena = Arena::new(1, RW)?;
    arena.remap(1, 1, RO)?;
    arena.stamp(0, 1, 10)?;
    // Nowhere is that much free.
    let most = SPACE_SIZE - bytes(1);
    arena.refuses(libc::ENOMEM, "growth to nearly all", |arena| {
        let (addr, old) = (at(0), bytes(1));
        arena.space.remap(addr, old, most, Relocation::MayMove)
    })?;
    Arena::holds(&arena.window, 0, 1, 10, "contents")
}

fn growth_of_several_regions_is_efault() -> Outcome {
    let arena = Arena::new(2, RW)?;
    arena.remap(2, 2, RO)?;
    for (old, new) in [(3, 8), (4, 8), (5, 8)] {
        for relocation in [
            Relocation::Stay,
            Relocation::MayMove,
            Relocation::Fixed(at(100)),
        ] {
            let what = format!("{old} to {new} pages, {relocation:?}");
            arena.refuses(libc::EFAULT, &what, |arena| {
                arena.resize(0, old, new, relocation)
            })?;
        }
    }
    Ok(())
}

fn range_without_region_is_efault() -> Outcome {
    let arena = Arena::empty(16)?;
    arena.remap(4, 4, RW)?;
    for relocation in [Relocation::Stay, Relocation::MayMove] {
        for (from, old, new) in [
            (0, 2, 2),
            (0, 2, 1),
            (0, 2, 4),
            (3, 2, 1),
            (3, 2, 4),
            (8, 1, 2),
        ] {
            let what = format!("{from}+{old} to {new} pages, {relocation:?}");
            arena.refuses(libc::EFAULT, &what, |arena| {
                arena.resize(from, old, new, relocation)
            })?;
        }
        // Beyond its end.
        arena.refuses(libc::EFAULT, "growth of more than the region", |arena| {
            arena.resize(4, 5, 8, relocation)
        })?;
    }
    for (from, pages) in [(0, 2), (0, 8), (3, 2), (8, 4)] {
        let to = Relocation::Fixed(at(100));
        let what = format!("move of {from}+{pages}");
        arena.refuses(libc::EFAULT, &what, |arena| {
            arena.resize(from, pages, pages, to)
        })?;
    }
    Ok(())
}

fn growth_shows_more_of_a_file() -> Outcome {
    for as_shared in [true, false] {
        let file = memfd(8, 50)?;
        let source = match as_shared {
            true => shared(&file, 2),
            false => private(&file, 2),
        };
        let arena = Arena::empty(8)?;
        arena.place(0, 2, RO, source)?;
        Arena::holds(&arena.window, 0, 2, 52, "before")?;
        arena.resize(0, 2, 8, Relocation::Stay)?;
        Arena::holds(&arena.window, 0, 6, 52, "after")?;
        raises(arena.window.load(6 * PAGE), Signal::Bus, "behind the file")?;
        // Elsewhere, by a move, it is the same.
        arena.remap(8, 1, RW)?;
        let got = arena.resize(0, 8, 9, Relocation::MayMove)?;
        let moved = window(&arena.space, got, 9)?;
        Arena::holds(&moved, 0, 6, 52, "after the move")?;
        let found = arena.space.query(got)?.map(|r| (r.start, r.offset));
        ensure_eq!(found, Some((got, bytes(2))), "region");
    }
    Ok(())
}

/// As MAP of such a region is, and whichever way it would grow.
fn growth_beyond_any_file_is_eoverflow() -> Outcome {
    const LAST: u64 = i64::MAX as u64 - (2 * PAGE_SIZE - 1);
    let file = memfd(4, 50)?;
    for source in [
        Source::Private(file.as_fd(), LAST),
        Source::Shared(file.as_fd(), LAST),
    ] {
        let arena = Arena::empty(8)?;
        arena.refuses(libc::EOVERFLOW, "MAP", |arena| {
            let place = Placement::Fixed;
            arena.space.map_from(at(0), bytes(2), RW, place, source)
        })?;
        arena.place(0, 1, RW, source)?;
        for relocation in [
            Relocation::Stay,
            Relocation::MayMove,
            Relocation::Fixed(at(4)),
        ] {
            let what = format!("{:?}, REMAP {relocation:?}", source.backing());
            arena.refuses(libc::EOVERFLOW, &what, |arena| {
                arena.resize(0, 1, 2, relocation)
            })?;
        }
        // Nor where something is in the way.
        arena.remap(1, 1, RO)?;
        arena.refuses(libc::EOVERFLOW, "REMAP with MAYMOVE, blocked", |arena| {
            arena.resize(0, 1, 2, Relocation::MayMove)
        })?;
        // As it is it may move, and grow as far as a file may.
        arena.shift(0, 1, 4)?;
        let query = arena.space.query(at(4))?;
        ensure_eq!(query.map(|found| found.offset), Some(LAST), "offset");
    }
    Ok(())
}

fn fixed_shrinks_and_moves() -> Outcome {
    let arena = Arena::new(8, RW)?;
    arena.stamp(0, 8, 10)?;
    let got = arena.resize(0, 8, 3, Relocation::Fixed(at(600)))?;
    ensure_eq!(got, at(600), "address");
    ensure_eq!(arena.shape()?, [(600, 603, RW)], "regions");
    Arena::holds(&window(&arena.space, got, 3)?, 0, 3, 10, "moved part")?;
    for page in 0..8 {
        raises(arena.window.load(page * PAGE), Signal::Bus, "old address")?;
    }
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_moved), (3, 3), "pages, moved");
    Ok(())
}

fn fixed_grows_and_moves() -> Outcome {
    let arena = Arena::new(3, RW)?;
    arena.stamp(0, 3, 10)?;
    arena.remap(700, 20, RO)?;
    let got = arena.resize(0, 3, 8, Relocation::Fixed(at(705)))?;
    ensure_eq!(got, at(705), "address");
    let expected = [(700, 705, RO), (705, 713, RW), (713, 720, RO)];
    ensure_eq!(arena.shape()?, expected, "regions");
    let moved = window(&arena.space, got, 8)?;
    Arena::holds(&moved, 0, 3, 10, "moved pages")?;
    for page in 3..8 {
        reads(moved.load(page * PAGE), 0, "new page")?;
    }
    Ok(())
}

fn calls_are_counted() -> Outcome {
    let arena = Arena::new(4, RW)?;
    arena.resize(0, 4, 2, Relocation::Stay)?;
    arena.resize(0, 2, 4, Relocation::Stay)?;
    arena.shift(0, 4, 10)?;
    let _ = arena.resize(0, 4, 8, Relocation::Stay);
    let stats = arena.space.stats()?;
    ensure_eq!((stats.remaps, stats.maps, stats.unmaps), (3, 1, 0), "calls");
    super::query::must_add_up(&arena.space)
}
