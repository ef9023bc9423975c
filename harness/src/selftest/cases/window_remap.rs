// SPDX-License-Identifier: GPL-2.0-only
//! mremap of windows: right content at the new place, or a clear errno.

use crate::Prot;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure_eq, fails, fails_with_one_of, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::selftest::sys::memory::Mapping;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "mremap":
    shrink_keeps_the_first_part,
    move_takes_the_content_along,
    move_of_untouched_pages_shows_them,
    moved_window_sees_changes_of_the_space,
    growth_is_refused,
    second_view_by_old_size_zero_is_right_or_refused,
    dontunmap_is_right_or_refused,
];

fn arena_of_eight() -> Result<Arena, Stop> {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 500)?;
    Ok(arena)
}

fn shrink_keeps_the_first_part() -> Outcome {
    let mut arena = arena_of_eight()?;
    let shrunk = arena.window.remap(8 * PAGE, 3 * PAGE, 0)?;
    ensure_eq!(shrunk.address(), arena.window.address(), "address");
    Arena::holds(&shrunk, 0, 3, 500, "after the shrink")?;
    shrunk.store(0, 1)?;
    arena.unmap(0, 8)?;
    raises(shrunk.load(0), Signal::Bus, "after UNMAP")
}

fn move_window(arena: &mut Arena) -> Result<Mapping, Stop> {
    let place = Mapping::anonymous(8 * PAGE)?;
    let (from, to) = (arena.window.address(), place.address());
    let moved = arena.window.move_over(place)?;
    ensure_eq!(moved.address(), to, "address after the move from {from:#x}");
    Ok(moved)
}

fn move_takes_the_content_along() -> Outcome {
    let mut arena = arena_of_eight()?;
    let faults = arena.space.stats()?.faults;
    let moved = move_window(&mut arena)?;
    Arena::holds(&moved, 0, 8, 500, "after the move")?;
    for page in 0..8 {
        moved.store(page * PAGE, 600 + page as u64)?;
    }
    Arena::holds(&moved, 0, 8, 600, "written after the move")?;
    // The entries moved too: at most each had to be made once more.
    let more = arena.space.stats()?.faults - faults;
    crate::selftest::check::ensure!(more <= 16, "{more} faults by the move");
    ensure_eq!(arena.space.stats()?.pages, 8, "pages held");
    Ok(())
}

fn move_of_untouched_pages_shows_them() -> Outcome {
    let mut arena = Arena::new(8, Prot::READ_WRITE)?;
    let other = crate::selftest::state::window(&arena.space, crate::selftest::state::BASE, 8)?;
    for page in 0..8 {
        other.store(page * PAGE, 700 + page as u64)?;
    }
    let moved = move_window(&mut arena)?;
    Arena::holds(&moved, 0, 8, 700, "moved before it was touched")
}

fn moved_window_sees_changes_of_the_space() -> Outcome {
    let mut arena = arena_of_eight()?;
    let moved = move_window(&mut arena)?;
    Arena::holds(&moved, 0, 8, 500, "after the move")?;
    arena.unmap(2, 2)?;
    raises(moved.load(2 * PAGE), Signal::Bus, "unmapped page")?;
    raises(moved.load(3 * PAGE), Signal::Bus, "unmapped page")?;
    arena.remap(2, 1, Prot::READ_WRITE)?;
    reads(moved.load(2 * PAGE), 0, "page mapped again")?;
    reads(moved.load(4 * PAGE), 504, "page that stays")
}

fn growth_is_refused() -> Outcome {
    let mut arena = arena_of_eight()?;
    for flags in [0, libc::MREMAP_MAYMOVE] {
        let result = arena.window.remap(8 * PAGE, 9 * PAGE, flags);
        fails(
            result,
            libc::EFAULT,
            &format!("mremap to nine pages, flags {flags}"),
        )?;
    }
    Arena::holds(&arena.window, 0, 8, 500, "after the refusals")
}

fn second_view_by_old_size_zero_is_right_or_refused() -> Outcome {
    let mut arena = arena_of_eight()?;
    match arena.window.remap(0, 8 * PAGE, libc::MREMAP_MAYMOVE) {
        Ok(view) => {
            Arena::holds(&view, 0, 8, 500, "second view")?;
            view.store(0, 1)?;
            reads(arena.window.load(0), 1, "first view")?;
        }
        Err(error) => {
            let expected = [libc::EFAULT, libc::EINVAL];
            fails_with_one_of::<()>(Err(error), &expected, "mremap of size 0")?;
            Arena::holds(&arena.window, 0, 8, 500, "after the refusal")?;
        }
    }
    Ok(())
}

fn dontunmap_is_right_or_refused() -> Outcome {
    let mut arena = arena_of_eight()?;
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP;
    match arena.window.remap(8 * PAGE, 8 * PAGE, flags) {
        Ok(view) => {
            Arena::holds(&view, 0, 8, 500, "new place")?;
            Arena::holds(&arena.window, 0, 8, 500, "old place")?;
            arena.unmap(0, 8)?;
            raises(view.load(0), Signal::Bus, "new place after UNMAP")?;
            raises(arena.window.load(0), Signal::Bus, "old place after UNMAP")
        }
        Err(error) => {
            fails::<()>(Err(error), libc::EINVAL, "MREMAP_DONTUNMAP")?;
            Arena::holds(&arena.window, 0, 8, 500, "after the refusal")
        }
    }
}
