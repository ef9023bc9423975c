// SPDX-License-Identifier: GPL-2.0-only
//! What must hold once all threads have ended.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::world::World;
use super::{Counter, Counters};
use crate::counts::Counts;
use crate::oracle::{Expected, Kind, Shadow, Stamp, State, judge_outcome, pattern};
use crate::target::Target;
use crate::{PAGE_SIZE, Stats, oracle::Wrong};

/// Removes everything, and checks that nothing can be accessed and that the
/// counters of each target add up. Returns their sums, if there are any.
pub(super) fn check(world: &World, targets: &[Box<dyn Target>]) -> io::Result<Option<Stats>> {
    let mut total: Option<Stats> = None;
    for (space, target) in targets.iter().enumerate() {
        let pages = world.pages(space as u32, &(0..target.pages()));
        pages.for_each(|page| world.shadow.lose(page, world.shadow.state(page)));
        target.unmap(0..target.pages())?;
        check_files(world, space as u32)?;
        check_unmapped(world, space, &**target);
        if target.features().placements {
            if let Some(region) = target.query(0)? {
                world
                    .mismatches
                    .add(&format!("space {space} is unmapped, but has {region:?}"));
            }
        }
        let Some(stats) = target.stats()? else {
            continue;
        };
        for problem in identities(&stats) {
            world
                .mismatches
                .add(&format!("counters of space {space}: {problem}: {stats:?}"));
        }
        total = Some(total.map_or(stats, |total| add(total, stats)));
    }
    if let Some(total) = total {
        // The unmap above is ours.
        let sum = |counters: &[Counter]| -> u64 {
            let counters = counters.iter();
            counters.map(|&counter| world.counters.sum(counter)).sum()
        };
        use Counter::{DontNeeds, Grows, Maps, Moves, PrivateMaps, Protects, SharedMaps, Shrinks};
        let unmaps = sum(&[Counter::Unmaps]) + targets.len() as u64;
        for (name, theirs, ours) in [
            ("maps", total.maps, sum(&[Maps, SharedMaps, PrivateMaps])),
            ("unmaps", total.unmaps, unmaps),
            ("protects", total.protects, sum(&[Protects])),
            ("remaps", total.remaps, sum(&[Shrinks, Grows, Moves])),
            (
                "advises",
                total.advises,
                sum(&[DontNeeds, Counter::WillNeeds]),
            ),
        ] {
            if theirs != ours {
                let text = format!("counters: {theirs} {name}, but {ours} calls succeeded");
                world.mismatches.add(&text);
            }
        }
    }
    Ok(total)
}

/// A memfd must have what was stored to it for sure, or something later; and
/// nobody may have written to the file of private copies.
fn check_files(world: &World, space: u32) -> io::Result<()> {
    let files = &world.files[space as usize];
    let word_of = |file: &File, page: u32, byte: usize| -> io::Result<u64> {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, u64::from(page) * PAGE_SIZE + byte as u64)?;
        Ok(u64::from_ne_bytes(word))
    };
    for page in 0..world.options.pages {
        for writer in 0..world.shadow.writers() {
            let byte = Shadow::byte_of(writer);
            let number = world.page(space, page);
            let floor = world.shadow.file_floor(number, writer);
            if let (Some(file), Some(floor)) = (&files.shared, floor) {
                let word = word_of(file, page, byte)?;
                let stamp = Stamp::unpack(word, world.shadow.salt());
                if stamp.is_none_or(|stamp| stamp.page != number || stamp.seq < floor.seq) {
                    world.mismatches.add(&format!(
                        "lost write (C5)
  page {page} of the memfd of space {space} byte {byte}:                          {word:#x}, {stamp:?}, seed {}
  expected: {floor:?} or a later one
{}",
                        world.seed,
                        world.trail.of_page(number, 12),
                    ));
                }
            }
            if let Some(file) = &files.private {
                let word = word_of(file, page, byte)?;
                if word != pattern(page, byte) {
                    world.mismatches.add(&format!(
                        "a private page was written to its file
  page {page} of the file of                          space {space} byte {byte}: {word:#x}, seed {}",
                        world.seed
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Every page of every window of this process must fault now.
fn check_unmapped(world: &World, space: usize, target: &dyn Target) {
    let state = State::NEW.changing().renewed(Kind::Unmapped);
    for (number, view) in target.views().into_iter().enumerate() {
        for page in view.first..view.first + view.pages {
            let at = view.byte(page, 0).expect("the page is in the view");
            let fault = view.area.load(at).err();
            let judged = judge_outcome(state, state, false, fault, target.unmapped_signal());
            if let Err(wrong @ (Wrong::NotFaulted(_) | Wrong::OtherSignal(..))) = judged {
                world.mismatches.add(&format!(
                    "{wrong}\n  space {space} page {page} through window {number}, after \
                     everything was unmapped, seed {}\n  judged: {wrong:?}\n{}",
                    world.seed,
                    world.trail.of_page(world.page(space as u32, page), 12),
                ));
                return;
            }
            debug_assert!(matches!(judged, Ok(Expected::Fault(_))));
        }
    }
}

/// The identities the UAPI header promises of a quiet space without regions.
fn identities(stats: &Stats) -> Vec<String> {
    let outcomes = stats.fault_ok
        + stats.fault_no_region
        + stats.fault_denied
        + stats.fault_limit
        + stats.fault_killed
        + stats.fault_no_memory
        + stats.fault_retried
        + stats.fault_again
        + stats.fault_no_page
        + stats.fault_io;
    let counts = Counts::of(stats);
    let rules = [
        ("faults = sum of outcomes", stats.faults, outcomes),
        (
            "pages = pages_added - pages_removed",
            stats.pages + stats.pages_removed,
            stats.pages_added,
        ),
        (
            "attempts = successes + aborts",
            stats.spf_attempts,
            counts.successes() + counts.aborts(),
        ),
        ("aborts = fallbacks", counts.aborts(), stats.spf_fallbacks),
        ("pages = 0 without regions", stats.pages, 0),
        ("regions = 0 after unmapping all", stats.regions, 0),
    ];
    rules
        .into_iter()
        .filter(|(_, left, right)| left != right)
        .map(|(rule, left, right)| format!("{rule} does not hold ({left} and {right})"))
        .collect()
}

/// The sums that the report shows.
fn add(a: Stats, b: Stats) -> Stats {
    let mut counts = Counts::of(&a);
    counts.add(&Counts::of(&b));
    counts.put(Stats {
        maps: a.maps + b.maps,
        unmaps: a.unmaps + b.unmaps,
        protects: a.protects + b.protects,
        remaps: a.remaps + b.remaps,
        advises: a.advises + b.advises,
        pages_moved: a.pages_moved + b.pages_moved,
        fault_write: a.fault_write + b.fault_write,
        fault_mkwrite: a.fault_mkwrite + b.fault_mkwrite,
        fault_no_region: a.fault_no_region + b.fault_no_region,
        fault_denied: a.fault_denied + b.fault_denied,
        pages_added: a.pages_added + b.pages_added,
        pages_removed: a.pages_removed + b.pages_removed,
        fault_limit: a.fault_limit + b.fault_limit,
        fault_killed: a.fault_killed + b.fault_killed,
        fault_no_memory: a.fault_no_memory + b.fault_no_memory,
        ..a
    })
}

/// For the report: how much the busiest and the idlest thread did.
pub(super) fn spread(counters: &Counters, threads: std::ops::Range<usize>) -> (u64, u64) {
    let all = threads.map(|thread| counters.get(thread, Counter::Operations));
    (all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
}
