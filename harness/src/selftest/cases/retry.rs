// SPDX-License-Identifier: GPL-2.0-only
//! Faults that have to read a file: under `global` and `region` they hold nothing
//! meanwhile and are made again, as those of the core; otherwise never.

use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use super::query::must_add_up;
use super::signal::Victim;
use crate::access::{Fault, Signal};
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::files::{Scratch, private, stamp};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, vmstat, window};
use crate::selftest::sys::file::Mount;
use crate::selftest::sys::gup::{pipe, read_into};
use crate::selftest::sys::kmodule;
use crate::selftest::sys::memory::Mapping;
use crate::{Policy, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "retry":
    page_that_is_not_cached,
    page_that_is_cached,
    is_asked_for_once,
    access_from_the_kernel,
    beyond_the_end_is_sigbus_at_once,
    page_that_is_there_needs_no_file,
];

pub(super) const WITH_HOOKS: &[Test] = tests![Needs::Variant("test_hooks"), "retry":
    change_passes_a_fault_that_reads,
    change_waits_for_a_fault_that_reads_under_range,
    window_may_go_behind_a_fault_that_reads,
];

const RW: Prot = Prot::READ_WRITE;

/// Whether faults that read are made again.
fn retries(policy: Policy) -> bool {
    policy == Policy::GLOBAL || policy == Policy::REGION
}

/// A file of a file system whose holes have to be read into the page cache, unlike
/// those of a tmpfs.
struct Ramfs {
    scratch: Scratch,
    _mount: Mount,
}

impl Ramfs {
    fn new(pages: usize) -> Result<Ramfs, Stop> {
        let mount = Mount::new("ramfs", "none", "")
            .map_err(|error| Stop::skip(format!("mount of a ramfs: {error}")))?;
        let scratch = Scratch::new(mount.path())?;
        scratch.file.set_len(bytes(pages))?;
        Ok(Ramfs {
            scratch,
            _mount: mount,
        })
    }

    fn arena(&self, pages: usize, policy: Policy) -> Result<Arena, Stop> {
        let arena = Arena::backed(pages, RW, private(&self.scratch.file, 0))?;
        arena.space.set_policy(policy)?;
        Ok(arena)
    }
}

/// A region of `pages` pages, of which none is in the page cache.
fn uncached(pages: usize, policy: Policy) -> Result<(Ramfs, Arena), Stop> {
    let file = Ramfs::new(pages)?;
    let arena = file.arena(pages, policy)?;
    Ok((file, arena))
}

/// Calls `test` with each policy and how often the fault on a page that is not in the
/// page cache is made again.
fn each_policy(test: impl Fn(Policy, u64) -> Outcome) -> Outcome {
    for policy in Space::open()?.policies()? {
        test(policy, u64::from(retries(policy)))?;
    }
    Ok(())
}

/// So many faults there were, and so many of them are made again.
fn must_be(arena: &Arena, policy: Policy, faults: u64, retried: u64) -> Outcome {
    let stats = arena.space.stats()?;
    ensure_eq!(
        (stats.faults, stats.fault_retried),
        (faults, retried),
        "faults and retries under {policy:?}"
    );
    must_add_up(&arena.space)
}

fn page_that_is_not_cached() -> Outcome {
    each_policy(|policy, again| {
        let (_file, arena) = uncached(8, policy)?;
        let before = vmstat("vma_lock_retry");
        // One by a load, one by a store.
        reads(arena.window.load(0), 0, "hole")?;
        let after = vmstat("vma_lock_retry");
        must_be(&arena, policy, 1 + again, again)?;
        ensure!(
            after
                .zip(before)
                .is_none_or(|(after, before)| after - before >= again),
            "vma_lock_retry from {before:?} to {after:?}"
        );
        arena.window.store(7 * PAGE, 1)?;
        // Readahead may have brought it.
        let retried = arena.space.stats()?.fault_retried;
        must_be(&arena, policy, 2 + retried, retried)?;
        reads(arena.window.load(7 * PAGE), 1, "stored")
    })
}

fn page_that_is_cached() -> Outcome {
    each_policy(|policy, _| {
        let file = Ramfs::new(8)?;
        stamp(&file.scratch.file, 0, 8, 50)?;
        let arena = file.arena(8, policy)?;
        Arena::holds(&arena.window, 0, 8, 50, "pages of the file")?;
        must_be(&arena, policy, 8, 0)
    })
}

/// For each access at most: it ends with an entry.
fn is_asked_for_once() -> Outcome {
    each_policy(|policy, again| {
        let (_file, arena) = uncached(64, policy)?;
        for page in 0..64 {
            let before = arena.space.stats()?;
            reads(arena.window.load(page * PAGE), 0, "hole")?;
            let after = arena.space.stats()?;
            let retried = after.fault_retried - before.fault_retried;
            ensure!(retried <= again, "{retried} retries of page {page}");
            ensure_eq!(after.faults - before.faults, 1 + retried, "faults");
            ensure_eq!(after.fault_ok - before.fault_ok, 1, "entries");
        }
        must_add_up(&arena.space)
    })
}

fn access_from_the_kernel() -> Outcome {
    use std::io::Write;
    each_policy(|policy, again| {
        let (_file, arena) = uncached(1, policy)?;
        let (read, mut write) = pipe()?;
        write.write_all(&[1; 64])?;
        read_into(&read, &arena.window, 0, 64)?;
        reads(arena.window.load(0), 0x0101_0101_0101_0101, "what was read")?;
        let stats = arena.space.stats()?;
        ensure_eq!(stats.fault_retried, again, "under {policy:?}: {stats:?}");
        must_add_up(&arena.space)
    })
}

fn beyond_the_end_is_sigbus_at_once() -> Outcome {
    each_policy(|policy, _| {
        let (file, arena) = uncached(2, policy)?;
        file.scratch.file.set_len(bytes(1))?;
        raises(arena.window.load(PAGE), Signal::Bus, "beyond the end")?;
        must_be(&arena, policy, 1, 0)
    })
}

fn page_that_is_there_needs_no_file() -> Outcome {
    each_policy(|policy, again| {
        let (file, arena) = uncached(1, policy)?;
        arena.window.store(0, 7)?;
        must_be(&arena, policy, 1 + again, again)?;
        // Out of the page cache.
        file.scratch.file.set_len(0)?;
        let second = window(&arena.space, BASE, 1)?;
        reads(second.load(0), 7, "copy")?;
        must_be(&arena, policy, 2 + again, again)
    })
}

/// How long a read of a file takes, and how much of that is left at least, when
/// something else begins.
const READ: Duration = Duration::from_millis(2500);
const LEFT: Duration = Duration::from_millis(1500);

/// Calls `call` while a fault reads, for an access through `view` to page 0. What
/// comes of that access.
fn beside_read(
    view: &Mapping,
    expected: Victim,
    call: impl FnOnce() -> Outcome,
) -> Result<Result<u64, Fault>, Stop> {
    kmodule::set_parameter("delay_read_ms", &READ.as_millis().to_string())?;
    let seen = thread::scope(|scope| {
        let fault = scope.spawn(|| view.load(0));
        thread::sleep(Duration::from_millis(300));
        ensure!(!fault.is_finished(), "the read was not delayed");
        let start = Instant::now();
        let outcome = call();
        let took = start.elapsed();
        let seen = fault
            .join()
            .map_err(|_| Stop::fail("the faulting thread panicked"))?;
        outcome?;
        match expected {
            Victim::Waits => ensure!(took >= LEFT, "the call took only {took:?}"),
            Victim::Passes => ensure!(took < LEFT, "the call took {took:?}"),
        }
        Ok(seen)
    });
    kmodule::set_parameter("delay_read_ms", "0")?;
    seen
}

fn change_passes_a_fault_that_reads() -> Outcome {
    for policy in [Policy::GLOBAL, Policy::REGION] {
        let (_file, arena) = uncached(4, policy)?;
        let seen = beside_read(&arena.window, Victim::Passes, || arena.unmap(0, 4))?;
        raises(seen, Signal::Bus, "unmapped meanwhile")?;
        must_be(&arena, policy, 2, 1)?;
    }
    Ok(())
}

fn change_waits_for_a_fault_that_reads_under_range() -> Outcome {
    let (_file, arena) = uncached(4, Policy::RANGE)?;
    let seen = beside_read(&arena.window, Victim::Waits, || arena.unmap(0, 4))?;
    // The UNMAP may be done before the load is made again, and finds its entry.
    let faults = if seen.is_ok() { 1 } else { 2 };
    match seen {
        Ok(_) => reads(seen, 0, "before the UNMAP")?,
        Err(_) => raises(seen, Signal::Bus, "behind the UNMAP")?,
    }
    must_be(&arena, Policy::RANGE, faults, 0)
}

/// And the last file of the space with it.
fn window_may_go_behind_a_fault_that_reads() -> Outcome {
    for policy in [Policy::GLOBAL, Policy::REGION] {
        let (_file, Arena { space, window }) = uncached(4, policy)?;
        let seen = beside_read(&window, Victim::Passes, || {
            drop(space);
            Ok(window.take_away()?)
        })?;
        mem::forget(window);
        raises(seen, Signal::Segv, "window gone meanwhile")?;
    }
    Ok(())
}
