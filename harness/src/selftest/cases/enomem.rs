// SPDX-License-Identifier: GPL-2.0-only
//! Every call with the n-th allocation failing, for every n: it does all of
//! what was asked, or reports ENOMEM and nothing has changed.

use std::fs::File;
use std::io;

use super::freeze::soon_thawed;
use super::query::must_add_up;
use crate::selftest::check::{Outcome, Stop, ensure, fails, reads};
use crate::selftest::fail::Allocations;
use crate::selftest::files::{holds, memfd, private, shared};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, Live, PAGE, Picture, at, bytes, regions, window};
use crate::{Advice, Placement, Policy, Prot, Relocation, Source, Space, WindowOptions};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "enomem":
    open_and_close,
    window_is_made_or_not,
    map_of_anon,
    map_of_files,
    unmap_of_parts_and_regions,
    protect_of_parts_and_regions,
    remap_in_place,
    remap_elsewhere,
    remap_of_a_few_pages_elsewhere,
    remap_elsewhere_of_files,
    remap_elsewhere_to_other_lengths,
    dontneed_discards_or_not,
    willneed_leaves_good_pages,
    queries_allocate_nothing,
    faults_are_made_again,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
/// No call makes so many allocations.
const MOST: u32 = 1000;
/// How much is allocated before all allocations fail, in bytes: from less than
/// a region to more than any call takes.
const BUDGETS: [usize; 12] = [
    0, 64, 128, 256, 512, 1024, 1536, 2048, 3072, 4096, 8192, 65536,
];

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

/// Has every allocation of `call` fail in turn, and then all from each on: one
/// may be made again in another way. How often that failed the call.
fn exhaust(what: &str, call: Call) -> Result<u32, Stop> {
    let allocations = Allocations::of_this_thread()?;
    Live::settle();
    let idle = Live::required()?;
    let mut failures = 0;
    for nth in 1.. {
        ensure!(nth < MOST, "{what}: {MOST} allocations and no end");
        let mut struck = false;
        let what = format!("{what}, allocation {nth}");
        idle.must_return(&what)?;
        failures += attempt(&what, call, |scene| {
            let (result, so_many) = allocations.fail(nth, || call(scene))?;
            struck = so_many;
            ensure!(struck || result.is_ok(), "{what}: {result:?}, none failed");
            Ok(result)
        })?;
        if !struck {
            break;
        }
    }
    for bytes in BUDGETS {
        let what = format!("{what}, {bytes} bytes allocated");
        idle.must_return(&what)?;
        let failed = attempt(&what, call, |scene| {
            let (result, in_time) = allocations.starve(bytes, || call(scene))?;
            let late = result.is_err() && !in_time;
            ensure!(!late, "{what}: it gave up, but not at once");
            Ok(result)
        })?;
        failures += failed;
        if failed == 0 {
            break;
        }
    }
    // The kernel refuses memory to who cannot wait long before it has none.
    let what = format!("{what}, with memory for who can wait");
    let failed = attempt(&what, call, |scene| {
        let (result, in_time) = allocations.starve_who_cannot_wait(|| call(scene))?;
        ensure!(in_time, "{what}: it waited for memory that others have");
        Ok(result)
    })?;
    ensure!(failed == 0, "{what}: it failed");
    Ok(failures)
}

/// Has `starved` make `call` in a new scene. It has done all, or nothing and is
/// possible then. Returns 1 if it failed, else 0.
fn attempt(
    what: &str,
    call: Call,
    starved: impl FnOnce(&Scene) -> Result<io::Result<()>, Stop>,
) -> Result<u32, Stop> {
    let scene = Scene::new()?;
    let space = &scene.arena.space;
    let before = Picture::take(space)?;
    let result = starved(&scene)?;
    let failed = result.is_err();
    if failed {
        fails(result, libc::ENOMEM, what)?;
        before.must_hold(space, what)?;
        scene.intact(what)?;
        call(&scene).map_err(|error| Stop::fail(format!("{what}, again: {error}")))?;
    }
    must_add_up(space)?;
    Ok(u32::from(failed))
}

/// Of several calls, each must be exhausted, and some must have failed.
fn exhaust_all(calls: &[(&str, Call)]) -> Outcome {
    let mut failures = 0;
    for &(what, call) in calls {
        failures += exhaust(what, call)?;
    }
    ensure!(failures > 0, "no allocation failed any of these calls");
    Ok(())
}

fn map(scene: &Scene, page: usize, pages: usize, source: Source<'_>) -> io::Result<()> {
    let (addr, place) = (at(page), Placement::Fixed);
    let space = &scene.arena.space;
    space
        .map_from(addr, bytes(pages), RO, place, source)
        .map(drop)
}

fn map_of_anon() -> Outcome {
    exhaust_all(&[
        ("MAP into a hole", |s| map(s, 700, 4, Source::Anon)),
        ("MAP beside its like", |s| map(s, 534, 4, Source::Anon)),
        ("MAP inside a region", |s| map(s, 100, 420, Source::Anon)),
        ("MAP over everything", |s| map(s, 2, 598, Source::Anon)),
        ("MAP by a hint", |s| {
            let space = &s.arena.space;
            space.map(BASE, bytes(4), RW, Placement::Hint).map(drop)
        }),
        ("MAP of a free place", |s| {
            let (space, place) = (&s.arena.space, Placement::FixedNoreplace);
            space.map(at(700), bytes(4), RW, place).map(drop)
        }),
    ])
}

fn map_of_files() -> Outcome {
    exhaust_all(&[
        ("SHARED", |s| map(s, 700, 4, shared(&s.file, 0))),
        ("PRIVATE", |s| map(s, 700, 4, private(&s.file, 0))),
        ("SHARED over all", |s| map(s, 2, 598, shared(&s.file, 0))),
        ("PRIVATE inside", |s| map(s, 100, 4, private(&s.file, 0))),
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
        soon_thawed(&file, &format!("after a MAP whose allocation {nth} failed"))?;
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
        ("UNMAP of the middle", |s| unmap(s, 100, 412)),
        ("UNMAP of an edge", |s| unmap(s, 0, 100)),
        ("UNMAP of one region", |s| unmap(s, 530, 4)),
        ("UNMAP across regions", |s| unmap(s, 510, 42)),
        ("UNMAP inside a file", |s| unmap(s, 541, 1)),
        ("UNMAP of everything", |s| unmap(s, 0, 600)),
        ("UNMAP of nothing", |s| unmap(s, 700, 100)),
    ])
}

fn protect_of_parts_and_regions() -> Outcome {
    exhaust_all(&[
        ("PROTECT of the middle", |s| s.arena.protect(100, 412, RO)),
        ("PROTECT of one region", |s| s.arena.protect(0, 530, RO)),
        ("PROTECT that merges", |s| s.arena.protect(530, 4, RW)),
        ("PROTECT across", |s| s.arena.protect(1, 532, Prot::NONE)),
        ("PROTECT of a memfd", |s| s.arena.protect(541, 2, RO)),
        ("PROTECT of a copy", |s| s.arena.protect(551, 2, RO)),
        ("PROTECT to the same", |s| s.arena.protect(1, 2, RW)),
    ])
}

fn resize(scene: &Scene, from: usize, old: usize, new: usize) -> io::Result<()> {
    let stay = Relocation::Stay;
    scene.arena.resize(from, old, new, stay).map(drop)
}

fn remap_in_place() -> Outcome {
    exhaust_all(&[
        ("REMAP that shrinks", |s| resize(s, 0, 600, 100)),
        ("REMAP that shrinks a file", |s| resize(s, 550, 4, 2)),
        ("REMAP that grows", |s| resize(s, 530, 4, 10)),
        ("REMAP that grows a file", |s| resize(s, 550, 4, 60)),
    ])
}

fn shift(scene: &Scene, from: usize, pages: usize, to: usize) -> io::Result<()> {
    let to = Relocation::Fixed(at(to));
    scene.arena.resize(from, pages, pages, to).map(drop)
}

fn remap_elsewhere() -> Outcome {
    exhaust_all(&[
        ("REMAP of all regions", |s| shift(s, 0, 600, 10_007)),
        ("REMAP of the middle", |s| shift(s, 1, 528, 10_000)),
    ])
}

fn remap_of_a_few_pages_elsewhere() -> Outcome {
    exhaust_all(&[
        ("REMAP onto regions", |s| shift(s, 500, 20, 525)),
        ("REMAP of one page", |s| shift(s, 3, 1, 10_000)),
    ])
}

fn remap_elsewhere_of_files() -> Outcome {
    exhaust_all(&[
        ("REMAP of a memfd", |s| shift(s, 541, 2, 700)),
        ("REMAP of a copy", |s| shift(s, 551, 2, 700)),
    ])
}

fn remap_elsewhere_to_other_lengths() -> Outcome {
    exhaust_all(&[
        ("REMAP that shrinks", |s| {
            let to = Relocation::Fixed(at(10_000));
            s.arena.resize(0, 530, 200, to).map(drop)
        }),
        ("REMAP that grows", |s| {
            s.arena.resize(0, 530, 2000, Relocation::MayMove).map(drop)
        }),
    ])
}

/// It need not allocate at all.
fn dontneed_discards_or_not() -> Outcome {
    let calls: [(&str, Call); 3] = [
        ("DONTNEED inside", |s| {
            s.arena.advise(100, 412, Advice::DontNeed)
        }),
        ("DONTNEED across", |s| {
            s.arena.advise(0, 534, Advice::DontNeed)
        }),
        ("DONTNEED of a file", |s| {
            s.arena.advise(540, 4, Advice::DontNeed)
        }),
    ];
    calls
        .into_iter()
        .try_for_each(|(what, call)| exhaust(what, call).map(drop))
}

/// It may have brought some pages when it fails; they are as they should be.
fn willneed_leaves_good_pages() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    // The pages of the memfd are there already.
    for (from, pages, allocates) in [(500, 20, true), (540, 4, false), (550, 4, true)] {
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
        let enough = failures > 0 || !allocates;
        ensure!(enough, "WILLNEED {from}+{pages}: none failed it");
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
    // Of one that speculates, the locked one does what it could not.
    for (policy, what) in [(Policy::RANGE, "fault"), (Policy::SPF_RANGE, "speculation")] {
        let failed = faults_that_failed(policy)?;
        ensure!(failed > 0, "no {what} failed for want of memory");
    }
    Ok(())
}

/// Of how many faults, all of which come to what they should.
fn faults_that_failed(policy: Policy) -> Result<u64, Stop> {
    let allocations = Allocations::of_this_thread()?;
    let mut failed = 0;
    for (name, page, expected) in [("ANON", 200, 0), ("SHARED", 541, 51), ("PRIVATE", 552, 52)] {
        for nth in 1..MOST {
            let scene = Scene::new()?;
            let space = &scene.arena.space;
            space.set_policy(policy)?;
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
            let stats = space.stats()?;
            failed += match policy {
                Policy::SPF_RANGE => stats.spf_no_memory,
                _ => stats.fault_no_memory,
            };
            must_add_up(space)?;
            if !load_struck && !store_struck {
                break;
            }
        }
    }
    Ok(failed)
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
        soon_thawed(&file, "after close")?;
    }
    Ok(())
}

fn window_is_made_or_not() -> Outcome {
    let allocations = Allocations::of_this_thread()?;
    let scene = Scene::new()?;
    let space = &scene.arena.space;
    // One at an address: others look for a better place first, and do without if that fails.
    let place = space.window(BASE, 600 * PAGE)?.ptr().addr();
    let options = WindowOptions::new().at(place);
    let mut failures = 0;
    for nth in 1..MOST {
        let before = Picture::take(space)?;
        let (view, struck) = allocations.fail(nth, || options.open(space, BASE, 600 * PAGE))?;
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
