// SPDX-License-Identifier: GPL-2.0-only
//! Regions over a file that is not in the page cache: faults wait for a disk.

use std::thread;
use std::time::{Duration, Instant};

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, raises, reads};
use crate::selftest::files::private;
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, Live, PAGE, at, bytes};
use crate::selftest::sys::disk::Disk;
use crate::selftest::sys::process::{Child, End};
use crate::{Advice, Policy, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "disk":
    faults_wait_for_the_disk,
    populate_waits_for_the_disk,
    the_disk_delays_nobody_else,
    failed_reads_are_sigbus,
    populate_reports_failed_reads,
    sigkill_ends_a_fault_that_waits_for_the_disk,
];

const RW: Prot = Prot::READ_WRITE;
const PAGES: usize = 8;
/// The page whose reads fail.
const BAD: usize = 5;
/// Long enough to be seen, short enough for a test.
const LATENCY: Duration = Duration::from_millis(100);

fn disk(latency: Duration) -> Result<Disk, Stop> {
    Disk::new(latency, PAGES as u32, 50).map_err(|error| match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENOENT) => Stop::skip(format!("null_blk or EROFS: {error}")),
        _ => Stop::fail(format!("a disk: {error}")),
    })
}

fn faults_wait_for_the_disk() -> Outcome {
    let disk = disk(LATENCY)?;
    let arena = Arena::backed(PAGES, RW, private(&disk.file()?, 0))?;
    let start = Instant::now();
    reads(arena.window.load(0), 50, "first page")?;
    ensure!(
        start.elapsed() >= LATENCY,
        "it took {:?} only",
        start.elapsed()
    );
    Arena::holds(&arena.window, 0, PAGES, 50, "pages of the file")?;
    ensure_eq!(arena.space.stats()?.pages, PAGES as u64, "pages");
    Ok(())
}

fn populate_waits_for_the_disk() -> Outcome {
    let disk = disk(LATENCY)?;
    let arena = Arena::backed(PAGES, RW, private(&disk.file()?, 0))?;
    let start = Instant::now();
    arena.advise(0, PAGES, Advice::WillNeed)?;
    ensure!(
        start.elapsed() >= LATENCY,
        "it took {:?} only",
        start.elapsed()
    );
    ensure_eq!(arena.space.stats()?.pages, PAGES as u64, "pages");
    Arena::holds(&arena.window, 0, PAGES, 50, "pages of the file")
}

/// Other pages can be touched and remapped while one page waits, unless all
/// share one lock.
fn the_disk_delays_nobody_else() -> Outcome {
    const SLOW: Duration = Duration::from_secs(2);
    let disk = disk(SLOW)?;
    let file = disk.file()?;
    let arena = Arena::empty(2 * PAGES)?;
    arena.space.set_policy(Policy::RANGE)?;
    arena.place(PAGES, PAGES, RW, private(&file, 0))?;
    let start = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| arena.window.load(PAGES * PAGE));
        let mut changes = 0;
        while !waiting.is_finished() {
            arena.remap(0, PAGES, RW)?;
            arena.stamp(0, PAGES, 7)?;
            arena.unmap(0, PAGES)?;
            if start.elapsed() < SLOW {
                changes += 1;
            }
        }
        let seen = waiting.join().expect("no panic");
        reads(seen, 50, "the page from the disk")?;
        ensure!(start.elapsed() >= SLOW, "it took {:?}", start.elapsed());
        ensure!(changes > 20, "{changes} changes in {SLOW:?}");
        Ok(())
    })
}

/// Whoever touches the page is told, each time, until the disk has it again.
fn failed_reads_are_sigbus() -> Outcome {
    let disk = disk(Duration::from_millis(1))?;
    let bad = BAD as u32..BAD as u32 + 1;
    disk.spoil(bad.clone())?;
    let arena = Arena::backed(PAGES, RW, private(&disk.file()?, 0))?;
    for round in 0..3 {
        let what = format!("round {round}");
        raises(arena.window.load(BAD * PAGE), Signal::Bus, &what)?;
        raises(arena.window.store(BAD * PAGE, 1), Signal::Bus, &what)?;
        Arena::holds(&arena.window, 0, BAD, 50, &what)?;
        ensure_eq!(arena.space.stats()?.pages, BAD as u64, "{what}: pages");
    }
    reads(
        arena.window.load((BAD + 1) * PAGE),
        50 + BAD as u64 + 1,
        "behind the bad page",
    )?;
    disk.mend(bad)?;
    Arena::holds(&arena.window, 0, PAGES, 50, "once mended")
}

fn populate_reports_failed_reads() -> Outcome {
    let disk = disk(Duration::from_millis(1))?;
    let bad = BAD as u32..BAD as u32 + 1;
    disk.spoil(bad.clone())?;
    let arena = Arena::backed(PAGES, RW, private(&disk.file()?, 0))?;
    let populate = || arena.advise(0, PAGES, Advice::WillNeed);
    fails(populate(), libc::EIO, "WILLNEED over a bad page")?;
    disk.mend(bad)?;
    populate()?;
    ensure_eq!(arena.space.stats()?.pages, PAGES as u64, "pages");
    Arena::holds(&arena.window, 0, PAGES, 50, "once mended")
}

/// It leaves nothing locked: the page can be unmapped at once, though the disk
/// is still at work.
fn sigkill_ends_a_fault_that_waits_for_the_disk() -> Outcome {
    const SLOW: Duration = Duration::from_secs(3);
    let before = Live::required()?;
    let disk = disk(SLOW)?;
    let arena = Arena::backed(PAGES, RW, private(&disk.file()?, 0))?;
    let mut child = Child::fork(|| {
        reads(arena.window.load(0), 50, "first page")?;
        Ok(())
    })?;
    let start = Instant::now();
    thread::sleep(Duration::from_millis(500));
    ensure!(
        !child.ends_within(Duration::ZERO)?,
        "the disk did not delay the child"
    );
    child.signal(libc::SIGKILL)?;
    ensure_eq!(
        child.end(AMPLE)?,
        End::Killed(libc::SIGKILL),
        "end of the child"
    );
    arena.space.unmap(at(0), bytes(PAGES))?;
    ensure!(
        start.elapsed() < SLOW,
        "it took {:?}, as the disk did",
        start.elapsed()
    );
    drop(arena);
    drop(disk);
    before.must_return("live objects")
}
