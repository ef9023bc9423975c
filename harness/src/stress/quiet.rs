// SPDX-License-Identifier: GPL-2.0-only
//! What must hold once all threads have ended.

use std::io;

use super::world::World;
use super::{Counter, Counters};
use crate::oracle::{Expected, Kind, State, judge_outcome};
use crate::target::Target;
use crate::{Stats, oracle::Wrong};

/// Removes everything, and checks that nothing can be accessed and that the
/// counters of each target add up. Returns their sums, if there are any.
pub(super) fn check(world: &World, targets: &[Box<dyn Target>]) -> io::Result<Option<Stats>> {
    let mut total: Option<Stats> = None;
    for (space, target) in targets.iter().enumerate() {
        target.unmap(0..target.pages())?;
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
        let unmaps = world.counters.sum(Counter::Unmaps) + targets.len() as u64;
        for (name, theirs, ours) in [
            ("maps", total.maps, world.counters.sum(Counter::Maps)),
            ("unmaps", total.unmaps, unmaps),
        ] {
            if theirs != ours {
                let text = format!("counters: {theirs} {name}, but {ours} calls succeeded");
                world.mismatches.add(&text);
            }
        }
    }
    Ok(total)
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
        + stats.fault_again;
    let rules = [
        ("faults = sum of outcomes", stats.faults, outcomes),
        (
            "pages = pages_added - pages_removed",
            stats.pages + stats.pages_removed,
            stats.pages_added,
        ),
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
    Stats {
        maps: a.maps + b.maps,
        unmaps: a.unmaps + b.unmaps,
        faults: a.faults + b.faults,
        fault_ok: a.fault_ok + b.fault_ok,
        fault_write: a.fault_write + b.fault_write,
        fault_mkwrite: a.fault_mkwrite + b.fault_mkwrite,
        fault_no_region: a.fault_no_region + b.fault_no_region,
        fault_denied: a.fault_denied + b.fault_denied,
        pages_added: a.pages_added + b.pages_added,
        pages_removed: a.pages_removed + b.pages_removed,
        fault_limit: a.fault_limit + b.fault_limit,
        fault_killed: a.fault_killed + b.fault_killed,
        fault_no_memory: a.fault_no_memory + b.fault_no_memory,
        fault_retried: a.fault_retried + b.fault_retried,
        fault_again: a.fault_again + b.fault_again,
        ..a
    }
}

/// For the report: how much the busiest and the idlest thread did.
pub(super) fn spread(counters: &Counters, threads: std::ops::Range<usize>) -> (u64, u64) {
    let all = threads.map(|thread| counters.get(thread, Counter::Operations));
    (all.clone().min().unwrap_or(0), all.max().unwrap_or(0))
}
