// SPDX-License-Identifier: GPL-2.0-only
//! Every call with the n-th allocation failing, for every n: it does all of
//! what was asked, or reports ENOMEM and nothing has changed.

use std::fs::File;
use std::io;

use super::freeze::thawed;
use super::query::must_add_up;
use crate::selftest::check::{Outcome, Stop, ensure, fails, reads};
use crate::selftest::fail::Allocations;
use crate::selftest::files::{holds, memfd, private, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, Live, PAGE, Picture, at, bytes, regions, window};
use crate::{Advice, Placement, Prot, Relocation, Source, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "enomem":
    open_and_close,
    window_is_made_or_not,
    map_of_anon,
    map_of_files,
    unmap_of_parts_and_regions,
    protect_of_parts_and_regions,
    remap_in_place,
    remap_elsewhere,
    dontneed_discards_or_not,
    willneed_leaves_good_pages,
    queries_allocate_nothing,
    faults_are_made_again,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
/// No call makes so many allocations.
const MOST: u32 = 1000;

/// Whether a call has to allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allocates {
    Surely,
    Perhaps,
}

/// Regions `[0, 530)` RW, `[530, 534)` R, `[540, 544)` a memfd, `[550, 554)` a
/// copy of it, all with pages, on both sides of a 2 MiB boundary.
struct Scene {
    arena: Arena,
    file: File,
}

impl Scene {
    fn new() -> Result<Scene, Stop> {
        let scene = Scene {
            arena: Arena::empty(600)?,
            file: memfd(4, 50)?,
        };
        let Scene { arena, file } = &scene;
        arena.remap(0, 534, RW)?;
        arena.protect(530, 4, RO)?;
        arena.place(540, 4, RW, shared(file, 0))?;
        arena.place(550, 4, RW, private(file, 0))?;
        for from in [0, 508, 526] {
            arena.stamp(from, 4, 10)?;
        }
        scene.intact("at first")?;
        Ok(scene)
    }

    fn intact(&self, what: &str) -> Outcome {
        let view = &self.arena.window;
        for from in [0, 508, 526] {
            Arena::holds(view, from, 4, 10, what)?;
        }
        for page in 0..4 {
            let word = 50 + page as u64;
            reads(view.load((540 + page) * PAGE), word, what)?;
            reads(view.load((550 + page) * PAGE), word, what)?;
            reads(view.load((530 + page) * PAGE), 0, what)?;
        }
        holds(&self.file, 0, 4, 50, what)
    }
}

type Call = fn(&Scene) -> io::Result<()>;

/// Has every allocation of `call` fail in turn, each time in a new scene.
fn exhaust(what: &str, allocates: Allocates, call: Call) -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    let mut failures = 0;
    for nth in 1..MOST {
        let scene = Scene::new()?;
        let before = Picture::take(&scene.arena.space)?;
        let (result, struck) = allocations.fail(nth, || call(&scene))?;
        let what = format!("{what}, allocation {nth}");
        if result.is_err() {
            fails(result, libc::ENOMEM, &what)?;
            ensure!(struck, "{what}: ENOMEM though none failed");
            before.must_hold(&scene.arena.space, &what)?;
            scene.intact(&what)?;
            failures += 1;
            // Nothing is in the way of it either.
            call(&scene).map_err(|error| Stop::fail(format!("{what}, again: {error}")))?;
        }
        must_add_up(&scene.arena.space)?;
        if !struck {
            let enough = failures > 0 || allocates == Perhaps;
            ensure!(enough, "{what}: no allocation failed it");
            return Ok(());
        }
    }
    Err(Stop::fail(format!("{what}: {MOST} allocations and no end")))
}

fn exhaust_all(calls: &[(&str, Allocates, Call)]) -> Outcome {
    let before = Live::required()?;
    for &(what, allocates, call) in calls {
        exhaust(what, allocates, call)?;
        before.must_return(&format!("live objects after {what}"))?;
    }
    Ok(())
}

use Allocates::{Perhaps, Surely};

fn map(scene: &Scene, page: usize, pages: usize, source: Source<'_>) -> io::Result<()> {
    let (addr, place) = (at(page), Placement::Fixed);
    let space = &scene.arena.space;
    space
        .map_from(addr, bytes(pages), RO, place, source)
        .map(drop)
}

fn map_of_anon() -> Outcome {
    exhaust_all(&[
        ("MAP into a hole", Surely, |s| map(s, 700, 4, Source::Anon)),
        ("MAP beside its like", Surely, |s| {
            map(s, 534, 4, Source::Anon)
        }),
        ("MAP inside a region", Surely, |s| {
            map(s, 100, 420, Source::Anon)
        }),
        ("MAP over everything", Surely, |s| {
            map(s, 2, 598, Source::Anon)
        }),
        ("MAP by a hint", Surely, |s| {
            let space = &s.arena.space;
            space.map(BASE, bytes(4), RW, Placement::Hint).map(drop)
        }),
        ("MAP of a free place", Surely, |s| {
            let (space, place) = (&s.arena.space, Placement::FixedNoreplace);
            space.map(at(700), bytes(4), RW, place).map(drop)
        }),
    ])
}

fn map_of_files() -> Outcome {
    exhaust_all(&[
        ("SHARED", Surely, |s| map(s, 700, 4, shared(&s.file, 0))),
        ("PRIVATE", Surely, |s| map(s, 700, 4, private(&s.file, 0))),
        ("SHARED over all", Surely, |s| {
            map(s, 2, 598, shared(&s.file, 0))
        }),
        ("PRIVATE inside", Surely, |s| {
            map(s, 100, 4, private(&s.file, 0))
        }),
    ])?;
    // A failed MAP keeps nothing of the file.
    let allocations = Allocations::of_this_thread()?;
    let file = memfd(4, 50)?;
    let arena = Arena::empty(1)?;
    for nth in 1..MOST {
        let place = || {
            let (addr, place) = (at(0), Placement::Fixed);
            arena
                .space
                .map_from(addr, bytes(1), RW, place, shared(&file, 0))
        };
        let (result, struck) = allocations.fail(nth, place)?;
        if result.is_ok() {
            arena.unmap(0, 1)?;
        }
        thawed(&file, &format!("after a MAP whose allocation {nth} failed"))?;
        if !struck {
            break;
        }
    }
    Ok(())
}

fn unmap_of_parts_and_regions() -> Outcome {
    fn unmap(scene: &Scene, from: usize, pages: usize) -> io::Result<()> {
        scene.arena.space.unmap(at(from), bytes(pages))
    }
    exhaust_all(&[
        ("UNMAP of the middle", Surely, |s| unmap(s, 100, 412)),
        ("UNMAP of an edge", Surely, |s| unmap(s, 0, 100)),
        ("UNMAP of one region", Perhaps, |s| unmap(s, 530, 4)),
        ("UNMAP across regions", Surely, |s| unmap(s, 510, 42)),
        ("UNMAP inside a file", Surely, |s| unmap(s, 541, 1)),
        ("UNMAP of everything", Perhaps, |s| unmap(s, 0, 600)),
        ("UNMAP of nothing", Perhaps, |s| unmap(s, 700, 100)),
    ])
}

fn protect_of_parts_and_regions() -> Outcome {
    exhaust_all(&[
        ("PROTECT of the middle", Surely, |s| {
            s.arena.protect(100, 412, RO)
        }),
        ("PROTECT of one region", Surely, |s| {
            s.arena.protect(0, 530, RO)
        }),
        ("PROTECT that merges", Surely, |s| {
            s.arena.protect(530, 4, RW)
        }),
        ("PROTECT across", Surely, |s| {
            s.arena.protect(1, 532, Prot::NONE)
        }),
        ("PROTECT of a memfd", Surely, |s| {
            s.arena.protect(541, 2, RO)
        }),
        ("PROTECT of a copy", Surely, |s| s.arena.protect(551, 2, RO)),
        ("PROTECT to the same", Perhaps, |s| {
            s.arena.protect(1, 2, RW)
        }),
    ])
}

fn resize(scene: &Scene, from: usize, old: usize, new: usize) -> io::Result<()> {
    let stay = Relocation::Stay;
    scene.arena.resize(from, old, new, stay).map(drop)
}

fn remap_in_place() -> Outcome {
    exhaust_all(&[
        ("REMAP that shrinks", Surely, |s| resize(s, 0, 600, 100)),
        ("REMAP that shrinks a file", Surely, |s| {
            resize(s, 550, 4, 2)
        }),
        ("REMAP that grows", Surely, |s| resize(s, 530, 4, 10)),
        ("REMAP that grows a file", Surely, |s| resize(s, 550, 4, 60)),
    ])
}

fn remap_elsewhere() -> Outcome {
    fn shift(scene: &Scene, from: usize, pages: usize, to: usize) -> io::Result<()> {
        let to = Relocation::Fixed(at(to));
        scene.arena.resize(from, pages, pages, to).map(drop)
    }
    exhaust_all(&[
        ("REMAP of all regions", Surely, |s| shift(s, 0, 600, 10_007)),
        ("REMAP of the middle", Surely, |s| shift(s, 1, 528, 10_000)),
        ("REMAP onto regions", Surely, |s| shift(s, 500, 20, 525)),
        ("REMAP of one page", Surely, |s| shift(s, 3, 1, 10_000)),
        ("REMAP of a memfd", Surely, |s| shift(s, 541, 2, 700)),
        ("REMAP of a copy", Surely, |s| shift(s, 551, 2, 700)),
        ("REMAP that shrinks", Surely, |s| {
            let to = Relocation::Fixed(at(10_000));
            s.arena.resize(0, 530, 200, to).map(drop)
        }),
        ("REMAP that grows", Surely, |s| {
            s.arena.resize(0, 530, 2000, Relocation::MayMove).map(drop)
        }),
    ])
}

fn dontneed_discards_or_not() -> Outcome {
    exhaust_all(&[
        ("DONTNEED inside", Perhaps, |s| {
            s.arena.advise(100, 412, Advice::DontNeed)
        }),
        ("DONTNEED across", Perhaps, |s| {
            s.arena.advise(0, 534, Advice::DontNeed)
        }),
        ("DONTNEED of a file", Perhaps, |s| {
            s.arena.advise(540, 4, Advice::DontNeed)
        }),
    ])
}

/// It may have brought some pages when it fails; they are as they should be.
fn willneed_leaves_good_pages() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    for (from, pages) in [(500, 20), (540, 4), (550, 4)] {
        let mut failures = 0;
        for nth in 1..MOST {
            let scene = Scene::new()?;
            let Scene { arena, .. } = &scene;
            arena.advise(540, 4, Advice::DontNeed)?;
            arena.advise(550, 4, Advice::DontNeed)?;
            let before = regions(&arena.space)?;
            let fill = || arena.advise(from, pages, Advice::WillNeed);
            let (result, struck) = allocations.fail(nth, fill)?;
            let what = format!("WILLNEED {from}+{pages}, allocation {nth}");
            if result.is_err() {
                fails(result, libc::ENOMEM, &what)?;
                ensure!(struck, "{what}: ENOMEM though none failed");
                failures += 1;
            }
            ensure!(regions(&arena.space)? == before, "{what}: regions changed");
            scene.intact(&what)?;
            arena.advise(from, pages, Advice::WillNeed)?;
            must_add_up(&arena.space)?;
            if !struck {
                break;
            }
        }
        ensure!(failures > 0, "WILLNEED {from}+{pages}: none failed it");
    }
    Ok(())
}

fn queries_allocate_nothing() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    let scene = Scene::new()?;
    let space = &scene.arena.space;
    let calls: [(&str, &dyn Fn() -> io::Result<()>); 4] = [
        ("QUERY", &|| space.query(BASE).map(drop)),
        ("STATS", &|| space.stats().map(drop)),
        ("POLICY", &|| space.policy().map(drop)),
        ("LIMIT", &|| space.limit(0).map(drop)),
    ];
    for (name, call) in calls {
        // Once before: the stack may grow.
        call()?;
        let (result, struck) = allocations.fail(1, call)?;
        result?;
        ensure!(!struck, "{name} allocated");
    }
    Ok(())
}

/// A load or store that the kernel cannot serve for want of memory is made
/// again: the task sees nothing of it but its time.
fn faults_are_made_again() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    for (name, page, expected) in [("ANON", 200, 0), ("SHARED", 541, 51), ("PRIVATE", 552, 52)] {
        let mut failed = 0;
        for nth in 1..MOST {
            let scene = Scene::new()?;
            let space = &scene.arena.space;
            // Without pages, and without page tables.
            scene.arena.advise(540, 4, Advice::DontNeed)?;
            scene.arena.advise(550, 4, Advice::DontNeed)?;
            let view = window(space, BASE, 600)?;
            let (loaded, load_struck) = allocations.fail(nth, || view.load(page * PAGE))?;
            let what = format!("{name}, allocation {nth}");
            reads(loaded, expected, &what)?;
            let (stored, store_struck) = allocations.fail(nth, || view.store(page * PAGE, 9))?;
            stored?;
            reads(view.load(page * PAGE), 9, &what)?;
            failed += space.stats()?.fault_no_memory;
            must_add_up(space)?;
            if !load_struck && !store_struck {
                break;
            }
        }
        ensure!(failed > 0, "{name}: no fault failed for want of memory");
    }
    Ok(())
}

fn open_and_close() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    let before = Live::required()?;
    let mut failures = 0;
    for nth in 1..MOST {
        let (space, struck) = allocations.fail(nth, Space::open)?;
        match space {
            Ok(space) => drop(space),
            Err(error) => {
                let what = format!("open, allocation {nth}");
                fails::<()>(Err(error), libc::ENOMEM, &what)?;
                failures += 1;
            }
        }
        before.must_return("live objects after open")?;
        if !struck {
            break;
        }
    }
    ensure!(failures > 0, "no allocation failed an open");
    for nth in 1..20 {
        let Scene { arena, file } = Scene::new()?;
        allocations.fail(nth, || drop(arena))?;
        before.must_return("live objects after close")?;
        thawed(&file, "after close")?;
    }
    Ok(())
}

fn window_is_made_or_not() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    let scene = Scene::new()?;
    let space = &scene.arena.space;
    let mut failures = 0;
    for nth in 1..MOST {
        let before = Picture::take(space)?;
        let (view, struck) = allocations.fail(nth, || space.window(BASE, 600 * PAGE))?;
        match view {
            Ok(view) => reads(view.load(509 * PAGE), 519, "window that was made")?,
            Err(error) => {
                let what = format!("mmap, allocation {nth}");
                fails::<()>(Err(error), libc::ENOMEM, &what)?;
                before.must_hold(space, &what)?;
                failures += 1;
            }
        }
        if !struck {
            break;
        }
    }
    ensure!(failures > 0, "no allocation failed an mmap");
    scene.intact("afterwards")
}
