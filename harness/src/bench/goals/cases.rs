// SPDX-License-Identifier: GPL-2.0-only
//! What is measured. Here: changes of regions, beside the same with the kernel's
//! own memory.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

use super::measure::rate;
use super::{Figure, churn, ebizzy, open_loop, touch};
use crate::bench::memory::On;
use crate::selftest::sys::memory::{Mapping, READ_WRITE, wait_for_grace_period};
use crate::{Advice, PAGE_SIZE, Placement, Policy, Prot, Space};

/// One row of figures.
pub(super) struct Case {
    /// The work, the same for all cases that are compared.
    pub(super) work: &'static str,
    /// What it is done with.
    pub(super) on: String,
    /// Measures for about so long.
    pub(super) run: Box<dyn Fn(Duration) -> io::Result<Vec<Figure>>>,
}

impl Case {
    pub(super) fn new(
        work: &'static str,
        on: impl Into<String>,
        run: impl Fn(Duration) -> io::Result<Vec<Figure>> + 'static,
    ) -> Case {
        Case {
            work,
            on: on.into(),
            run: Box::new(run),
        }
    }
}

pub(crate) const KIB: u64 = 1 << 10;
pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;
/// What a leaf of the page directory is for, in bytes.
const LEAF: u64 = 2 * MIB;
/// Where each thread works, in bytes from the one before.
const APART: u64 = GIB;

/// How long what a grace period has let go may take to be freed.
const SETTLE: Duration = Duration::from_millis(200);

/// All cases; those of the same work are neighbours. Those of faults are on
/// each of these.
pub(super) fn all(subjects: &[On]) -> Vec<Case> {
    let mut cases = of_changes();
    cases.extend(touch::cases(subjects));
    // A part of a memfd keeps its pages when it is unmapped.
    let is_memfd = |on: &&On| **on == On::Memfd;
    let subjects: Vec<On> = subjects
        .iter()
        .filter(|on| !is_memfd(on))
        .copied()
        .collect();
    cases.extend(churn::cases(&subjects));
    cases.extend(open_loop::cases(&subjects));
    cases.extend(ebizzy::cases(&subjects));
    cases
}

fn of_changes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (work, threads) in [
        ("map+unmap 128 MiB", 1),
        ("map+unmap 128 MiB, 2 threads", 2),
    ] {
        cases.push(case(work, "linux", "1/s", move |time| {
            linux_churn(threads, time)
        }));
        for (on, policy) in [("global", Policy::GLOBAL), ("range", Policy::RANGE)] {
            cases.push(case(work, on, "1/s", move |time| {
                churn(policy, 1, threads, time)
            }));
        }
        if threads > 1 {
            // What is left when nothing of a space is shared.
            cases.push(case(work, "range, a space each", "1/s", move |time| {
                churn(Policy::RANGE, threads, threads, time)
            }));
        }
    }
    for (on, regions) in [("100 regions", 100), ("100,000 regions", 100_000)] {
        cases.push(case("map+unmap a page", on, "1/s", move |time| {
            let space = crowded(regions)?;
            rate(1, time, |_| change_one(&space, regions))
        }));
        cases.push(case(
            "map+unmap a page, no address",
            on,
            "1/s",
            move |time| {
                let space = crowded(regions)?;
                rate(1, time, |_| {
                    let at = space.map(0, PAGE_SIZE, Prot::READ, Placement::Hint)?;
                    space.unmap(at, PAGE_SIZE)
                })
            },
        ));
        cases.push(case("look up a page", on, "1/s", move |time| {
            let space = crowded(regions)?;
            rate(1, time, |_| space.query(middle(regions)).map(drop))
        }));
    }
    cases.sort_by_key(|case| case.work);
    cases.push(case("unmap 1 GiB populated", "linux", "s", |_| {
        linux_unmap()
    }));
    cases.push(case("unmap 1 GiB populated", "range", "s", |_| unmap()));
    cases.push(case("memory of a region", "100,000 regions", "B", |_| {
        memory_of_regions()
    }));
    cases.push(case("memory of full leaves", "1 GiB", "%", |_| {
        Ok(memory_of_leaves(PAGE_SIZE)? / GIB as f64 * 100.0)
    }));
    cases.push(case("memory of a leaf", "a page in each", "B", |_| {
        Ok(memory_of_leaves(LEAF)? / (GIB / LEAF) as f64)
    }));
    cases
}

fn case(
    work: &'static str,
    on: &'static str,
    unit: &'static str,
    run: impl Fn(Duration) -> io::Result<f64> + 'static,
) -> Case {
    Case::new(work, on, move |time| Ok(vec![(unit, run(time)?)]))
}

fn churn(policy: Policy, spaces: usize, threads: usize, time: Duration) -> io::Result<f64> {
    let spaces = (0..spaces)
        .map(|_| {
            let space = Space::open()?;
            space.set_policy(policy)?;
            Ok(space)
        })
        .collect::<io::Result<Vec<_>>>()?;
    rate(threads, time, |number| {
        let space = &spaces[number % spaces.len()];
        let at = number as u64 * APART;
        space.map(at, 128 * MIB, Prot::READ_WRITE, Placement::Fixed)?;
        space.unmap(at, 128 * MIB)
    })
}

fn linux_churn(threads: usize, time: Duration) -> io::Result<f64> {
    rate(threads, time, |_| {
        Mapping::anonymous((128 * MIB) as usize).map(drop)
    })
}

/// A space with so many regions of a page, with a page between any two.
fn crowded(regions: u64) -> io::Result<Space> {
    let space = Space::open()?;
    space.set_policy(Policy::RANGE)?;
    for region in 0..regions {
        let at = region * 2 * PAGE_SIZE;
        space.map(at, PAGE_SIZE, Prot::READ, Placement::Fixed)?;
    }
    Ok(space)
}

fn middle(regions: u64) -> u64 {
    (regions / 2) * 2 * PAGE_SIZE
}

/// Maps a page between two regions that it does not join, and unmaps it.
fn change_one(space: &Space, regions: u64) -> io::Result<()> {
    let at = middle(regions) + PAGE_SIZE;
    space.map(at, PAGE_SIZE, Prot::READ_WRITE, Placement::Fixed)?;
    space.unmap(at, PAGE_SIZE)
}

/// A space that may have a GiB of pages.
fn roomy() -> io::Result<Space> {
    let space = Space::open()?;
    space.set_policy(Policy::RANGE)?;
    if space.stats()?.max_pages < GIB / PAGE_SIZE {
        return Err(io::Error::other(
            "a space may hold less than the GiB that this takes: give the VM more memory (cargo \
             xtask run --mem 4G), or load the module with max_pages=262144",
        ));
    }
    Ok(space)
}

/// Seconds that UNMAP takes.
fn unmap() -> io::Result<f64> {
    let space = roomy()?;
    space.map(0, GIB, Prot::READ_WRITE, Placement::Fixed)?;
    let window = space.window(0, GIB as usize)?;
    touch(window.ptr());
    let began = Instant::now();
    space.unmap(0, GIB)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Bytes of kernel memory for each of many regions.
fn memory_of_regions() -> io::Result<f64> {
    const REGIONS: u64 = 100_000;
    let before = objects()?;
    let space = crowded(REGIONS)?;
    let regions = objects()? - before;
    drop(space);
    Ok(regions / REGIONS as f64)
}

/// Bytes of kernel memory for a GiB with a page every `step` bytes, beside the
/// pages. (No window: page tables are not ours.)
fn memory_of_leaves(step: u64) -> io::Result<f64> {
    let space = roomy()?;
    space.map(0, GIB, Prot::READ_WRITE, Placement::Fixed)?;
    let before = objects()?;
    for at in (0..GIB).step_by(step as usize) {
        space.advise(at, PAGE_SIZE, Advice::WillNeed)?;
    }
    Ok(objects()? - before)
}

/// Bytes that the kernel's objects take, once what is freed later is freed, and
/// what is free is given back.
fn objects() -> io::Result<f64> {
    wait_for_grace_period();
    thread::sleep(SETTLE);
    for cache in fs::read_dir("/sys/kernel/slab")? {
        // Not every cache can be shrunk.
        let _ = fs::write(cache?.path().join("shrink"), "1");
    }
    let text = fs::read_to_string("/proc/meminfo")?;
    let words = text
        .lines()
        .find(|line| line.starts_with("Slab:"))
        .and_then(|line| line.split_whitespace().nth(1));
    let kib: f64 = words
        .and_then(|word| word.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(kib * 1024.0)
}

/// Seconds that munmap(2) and the final close(2) of a memfd take.
fn linux_unmap() -> io::Result<f64> {
    let memfd = crate::sys::memfd(GIB)?;
    let memory = Mapping::of(memfd.as_fd(), 0, GIB as usize, READ_WRITE, libc::MAP_SHARED)?;
    touch(memory.ptr());
    let began = Instant::now();
    drop(memory);
    drop(memfd);
    Ok(began.elapsed().as_secs_f64())
}

/// Stores to each page of a GiB at `start`.
fn touch(start: *mut u8) {
    for page in 0..GIB / PAGE_SIZE {
        // SAFETY: The caller's mapping is that long.
        let at = unsafe { start.add((page * PAGE_SIZE) as usize) };
        // SAFETY: It is writable, and nobody else uses it.
        unsafe { ptr::write_volatile(at, 1) };
    }
}
