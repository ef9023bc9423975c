// SPDX-License-Identifier: GPL-2.0-only
//! Speculative faults and changes, each stopped at a point of its way while the
//! other runs: what the fault comes to must fit what is there in the end.

use super::query::must_add_up;
use crate::access::{Fault, Signal};
use crate::counts::Counts;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::files;
use crate::selftest::overlap::{EARLY, LATE, meet, overtake, pass};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, window};
use crate::{Advice, Policy, Prot};

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "interleave":
    unmap_overtakes_a_fault,
    replacement_overtakes_a_fault,
    protection_overtakes_a_fault,
    protection_there_and_back_loses_nothing,
    move_overtakes_a_fault,
    discard_overtakes_a_fault,
    rewritten_file_overtakes_a_fault,
    other_file_overtakes_a_fault,
    change_of_policy_overtakes_a_fault,
    unmap_waits_for_a_commit,
    replacement_waits_for_a_commit,
    protection_waits_for_a_commit,
    discard_waits_for_a_commit,
    unmap_meets_a_new_leaf,
    fault_meets_an_unmap,
    fault_meets_a_replacement,
    fault_meets_a_discard,
    fault_beside_a_discard_stays,
    fault_in_another_part_is_not_aborted,
    fault_during_a_move_is_moved_along,
    upgrade_meets_a_protection,
];

// Page 0 of an arena is the last of a leaf: changes of one leaf begin at page 1.

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
/// What a fault stores.
const WORD: u64 = 77;

fn spaced(pages: usize) -> Result<Arena, Stop> {
    let arena = Arena::new(pages, RW)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    Ok(arena)
}

/// As `overtake`, for a store to page 1 of a new space, at each of `points`; then
/// `check` is told what the store came to. It is the first in its leaf, and at points
/// where it may have guessed, once more with another.
fn store_at(
    points: &[&str],
    change: impl Fn(&Arena) -> Outcome,
    check: impl Fn(&Arena, Result<(), Fault>) -> Outcome,
) -> Outcome {
    for point in points {
        let neighbours: &[usize] = match EARLY.contains(point) {
            true => &[0, 1],
            false => &[0],
        };
        for &pages in neighbours {
            let arena = Arena::empty(10)?;
            arena.space.set_policy(Policy::SPF_RANGE)?;
            arena.remap(0, 4, RW)?;
            if pages > 0 {
                arena.remap(8, pages, RW)?;
                arena.stamp(8, pages, 30)?;
            }
            let stored = overtake(point, || arena.window.store(PAGE, WORD), || change(&arena))?;
            arena.unmap(8, 1)?;
            check(&arena, stored)?;
            must_add_up(&arena.space)?;
        }
    }
    Ok(())
}

fn aborts(arena: &Arena) -> Result<u64, Stop> {
    Ok(Counts::of(&arena.space.stats()?).aborts())
}

fn unmap_overtakes_a_fault() -> Outcome {
    store_at(
        &EARLY,
        |arena| arena.unmap(0, 4),
        |arena, stored| {
            raises(stored, Signal::Bus, "store to what was unmapped meanwhile")?;
            ensure_eq!(arena.space.stats()?.pages, 0, "pages");
            raises(arena.window.load(PAGE), Signal::Bus, "load afterwards")
        },
    )
}

fn replacement_overtakes_a_fault() -> Outcome {
    store_at(
        &EARLY,
        |arena| arena.remap(0, 4, RO),
        |arena, stored| {
            raises(stored, Signal::Segv, "store to what is read-only now")?;
            reads(arena.window.load(PAGE), 0, "new page")
        },
    )
}

fn protection_overtakes_a_fault() -> Outcome {
    store_at(
        &EARLY,
        |arena| Ok(arena.protect(0, 4, RO)?),
        |arena, stored| {
            raises(stored, Signal::Segv, "store to what is read-only now")?;
            reads(arena.window.load(PAGE), 0, "page")
        },
    )
}

/// The ABA case: what was true before is true again.
fn protection_there_and_back_loses_nothing() -> Outcome {
    for point in EARLY {
        let arena = spaced(4)?;
        let other = window(&arena.space, BASE, 4)?;
        let stored = overtake(
            point,
            || arena.window.store(PAGE, WORD),
            || {
                arena.protect(0, 4, RO)?;
                arena.protect(0, 4, RW)?;
                // What is written in between is no other page's.
                arena.remap(2, 1, RW)?;
                Ok(())
            },
        )?;
        stored?;
        reads(arena.window.load(PAGE), WORD, "what was stored")?;
        reads(other.load(PAGE), WORD, "what was stored, in another window")?;
        ensure_eq!(aborts(&arena)?, 0, "aborts");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn move_overtakes_a_fault() -> Outcome {
    store_at(
        &EARLY,
        |arena| arena.shift(0, 4, 100),
        |arena, stored| {
            raises(stored, Signal::Bus, "store to what was moved meanwhile")?;
            ensure_eq!(arena.space.stats()?.pages, 0, "pages");
            Ok(())
        },
    )
}

fn discard_overtakes_a_fault() -> Outcome {
    store_at(
        &EARLY,
        |arena| Ok(arena.advise(0, 4, Advice::DontNeed)?),
        |arena, stored| {
            stored?;
            reads(arena.window.load(PAGE), WORD, "what was stored")?;
            ensure_eq!(aborts(arena)?, 0, "aborts");
            Ok(())
        },
    )
}

/// A copy of what the file had before DONTNEED is not what is there behind it, be it
/// in the same page of the file or in another.
fn rewritten_file_overtakes_a_fault() -> Outcome {
    for (point, shrunk) in EARLY.into_iter().flat_map(|at| [(at, 4), (at, 0)]) {
        let file = files::Scratch::stamped(4, 10)?;
        let arena = Arena::backed(4, RW, files::private(&file.file, 0))?;
        arena.space.set_policy(Policy::SPF_RANGE)?;
        let loaded = overtake(
            point,
            || arena.window.load(PAGE),
            || {
                file.file.set_len(bytes(shrunk))?;
                files::stamp(&file.file, 0, 4, 20)?;
                Ok(arena.advise(0, 4, Advice::DontNeed)?)
            },
        )?;
        reads(loaded, 21, "page of the file as it is now")?;
        reads(arena.window.load(PAGE), 21, "the same page later")?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn other_file_overtakes_a_fault() -> Outcome {
    let (one, other) = (files::memfd(4, 10)?, files::memfd(4, 20)?);
    for point in EARLY {
        let arena = Arena::backed(4, RW, files::shared(&one, 0))?;
        arena.space.set_policy(Policy::SPF_RANGE)?;
        let loaded = overtake(
            point,
            || arena.window.load(PAGE),
            || arena.place(0, 4, RW, files::shared(&other, 0)),
        )?;
        reads(loaded, 21, "page of the other memfd")?;
        ensure!(
            arena.space.stats()?.spf_stale > 0,
            "no abort for that: {:?}",
            arena.space.stats()?
        );
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn change_of_policy_overtakes_a_fault() -> Outcome {
    store_at(
        &EARLY,
        |arena| {
            arena.space.set_policy(Policy::GLOBAL)?;
            arena.remap(0, 4, RO)
        },
        |_, stored| raises(stored, Signal::Segv, "store to what is read-only now"),
    )
}

fn unmap_waits_for_a_commit() -> Outcome {
    store_at(
        &LATE,
        |arena| {
            arena.unmap(0, 4)?;
            raises(arena.window.load(PAGE), Signal::Bus, "load once unmapped")?;
            ensure_eq!(arena.space.stats()?.pages, 0, "pages once unmapped");
            Ok(())
        },
        // It was installed; the store itself may have come too late.
        |arena, _| raises(arena.window.load(PAGE), Signal::Bus, "load afterwards"),
    )
}

fn replacement_waits_for_a_commit() -> Outcome {
    store_at(
        &LATE,
        |arena| {
            arena.remap(0, 4, RO)?;
            reads(arena.window.load(PAGE), 0, "new page")
        },
        |arena, _| reads(arena.window.load(PAGE), 0, "new page afterwards"),
    )
}

fn protection_waits_for_a_commit() -> Outcome {
    store_at(
        &LATE,
        |arena| {
            arena.protect(0, 4, RO)?;
            raises(
                arena.window.store(PAGE, 1),
                Signal::Segv,
                "store once it is read-only",
            )
        },
        |arena, stored| {
            // The store is made again when the entry is not there any more.
            let expected = if stored.is_ok() { WORD } else { 0 };
            reads(arena.window.load(PAGE), expected, "page afterwards")
        },
    )
}

fn discard_waits_for_a_commit() -> Outcome {
    store_at(
        &LATE,
        |arena| Ok(arena.advise(0, 4, Advice::DontNeed)?),
        |arena, stored| {
            stored?;
            let there = arena.window.load(PAGE)?;
            ensure!(there == WORD || there == 0, "{there} is nobody's word");
            // Whoever has the window sees the page that the space has.
            let other = window(&arena.space, BASE, 4)?;
            arena.window.store(PAGE, 5)?;
            reads(other.load(PAGE), 5, "what was stored, in another window")
        },
    )
}

fn unmap_meets_a_new_leaf() -> Outcome {
    store_at(
        &["fault_published"],
        |arena| {
            arena.unmap(0, 4)?;
            ensure_eq!(arena.space.stats()?.pages, 0, "pages once unmapped");
            Ok(())
        },
        |arena, _| raises(arena.window.load(PAGE), Signal::Bus, "load afterwards"),
    )
}

fn fault_meets_an_unmap() -> Outcome {
    for point in ["change_stored", "leaf_passed", "leaf_zapped"] {
        let arena = spaced(4)?;
        arena.stamp(0, 4, 30)?;
        meet(
            point,
            || arena.unmap(1, 3),
            || match point {
                // Its entry is still there.
                "change_stored" | "leaf_passed" => Ok(()),
                _ => raises(arena.window.load(2 * PAGE), Signal::Bus, "load"),
            },
        )?;
        raises(arena.window.load(2 * PAGE), Signal::Bus, "load afterwards")?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn fault_meets_a_replacement() -> Outcome {
    for point in [
        "replace_pending",
        "leaf_passed",
        "leaf_zapped",
        "leaf_emptied",
    ] {
        let arena = spaced(4)?;
        arena.stamp(0, 4, 30)?;
        // Not in this window's page tables.
        let other = window(&arena.space, BASE, 4)?;
        meet(
            point,
            || arena.remap(0, 4, RW),
            || reads(other.load(PAGE), 0, "page of the new region"),
        )?;
        reads(arena.window.load(PAGE), 0, "page in the first window")?;
        ensure_eq!(
            arena.space.stats()?.spf_writer_active,
            1,
            "aborts because of the replacement at {point}"
        );
        must_add_up(&arena.space)?;
    }
    Ok(())
}

fn fault_meets_a_discard() -> Outcome {
    for point in ["leaf_passed", "leaf_zapped"] {
        let arena = spaced(4)?;
        arena.stamp(0, 4, 30)?;
        let other = window(&arena.space, BASE, 4)?;
        meet(
            point,
            || Ok(arena.advise(1, 3, Advice::DontNeed)?),
            || reads(other.load(2 * PAGE), 0, "page that is being discarded"),
        )?;
        reads(arena.window.load(2 * PAGE), 0, "page in the first window")?;
        ensure_eq!(
            arena.space.stats()?.spf_writer_active,
            1,
            "aborts because of the DONTNEED at {point}"
        );
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// A page that comes to an empty slot behind the pass is none of those to discard.
fn fault_beside_a_discard_stays() -> Outcome {
    for point in ["leaf_passed", "leaf_zapped"] {
        let arena = spaced(4)?;
        arena.stamp(1, 1, 30)?;
        arena.stamp(3, 1, 30)?;
        pass(
            point,
            || Ok(arena.advise(1, 3, Advice::DontNeed)?),
            || Ok(arena.window.store(2 * PAGE, WORD)?),
        )?;
        reads(
            arena.window.load(2 * PAGE),
            WORD,
            "what was stored meanwhile",
        )?;
        reads(arena.window.load(PAGE), 0, "page that was discarded")?;
        ensure_eq!(aborts(&arena)?, 0, "aborts at {point}");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// Neither of the same region nor of the same leaf.
fn fault_in_another_part_is_not_aborted() -> Outcome {
    for point in [
        "change_stored",
        "leaf_passed",
        "leaf_zapped",
        "leaf_emptied",
    ] {
        let arena = spaced(64)?;
        arena.stamp(0, 8, 30)?;
        let stored = pass(
            point,
            || arena.unmap(0, 8),
            || {
                arena.window.store(32 * PAGE, WORD)?;
                arena.window.store(8 * PAGE, WORD)?;
                reads(arena.window.load(32 * PAGE), WORD, "what was stored")
            },
        );
        stored?;
        ensure_eq!(aborts(&arena)?, 0, "aborts at {point}");
        must_add_up(&arena.space)?;
    }
    Ok(())
}

/// A page that comes when the move has already looked which there are.
fn fault_during_a_move_is_moved_along() -> Outcome {
    const LEAF: usize = 512;
    let arena = Arena::empty(8 * LEAF)?;
    arena.space.set_policy(Policy::SPF_RANGE)?;
    arena.remap(0, 2 * LEAF, RW)?;
    arena.stamp(0, 1, 30)?;
    // Both in the leaf that it knows, which becomes two, and in another.
    let to = 4 * LEAF + 100;
    let pages = [LEAF - 1, LEAF, LEAF + 88, 2 * LEAF - 1];
    pass(
        "move_prepared",
        || arena.shift(0, 2 * LEAF, to),
        || {
            for page in pages {
                arena.window.store(page * PAGE, WORD + page as u64)?;
            }
            Ok(())
        },
    )?;
    reads(arena.window.load(to * PAGE), 30, "first page")?;
    for page in pages {
        let there = (to + page) * PAGE;
        let what = format!("page {page}, stored to during the move");
        reads(arena.window.load(there), WORD + page as u64, &what)?;
    }
    ensure_eq!(arena.space.stats()?.pages, 5, "pages");
    arena.unmap(0, 8 * LEAF)?;
    ensure_eq!(arena.space.stats()?.pages, 0, "pages once unmapped");
    must_add_up(&arena.space)
}

/// A read-only entry that is to become writable.
fn upgrade_meets_a_protection() -> Outcome {
    for point in EARLY[..1].iter().chain(&LATE) {
        let arena = spaced(4)?;
        reads(arena.window.load(PAGE), 0, "page")?;
        let stored = overtake(
            point,
            || arena.window.store(PAGE, WORD),
            || {
                arena.protect(0, 4, RO)?;
                raises(
                    arena.window.store(PAGE, 1),
                    Signal::Segv,
                    "store when read-only",
                )
            },
        )?;
        let expected = if stored.is_ok() { WORD } else { 0 };
        reads(arena.window.load(PAGE), expected, "page afterwards")?;
        must_add_up(&arena.space)?;
    }
    Ok(())
}
