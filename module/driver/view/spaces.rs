// SPDX-License-Identifier: GPL-2.0-only

//! `spaces` and `spaces.jsonl`: the spaces, one by one.

use kernel::{fmt, sync::Arc};

use super::super::{
    registry,
    space::Space,
    stats::{Counter, Sums},
};
use crate::{
    kern::debugfs::Records,
    portable::escape::{Json, Line},
};

/// A space as it is shown. Its counters are read once, so that what is shown does not
/// depend on how often that takes room to be made for it.
pub(super) struct Seen {
    space: Arc<Space>,
    sums: Sums,
}

/// The space that has `place` as its number, or the next above, and the place behind it.
fn next(place: u64) -> Option<(u64, Seen)> {
    let space = registry::at_or_above(place)?;
    let sums = space.stats.sums();
    Some((space.id + 1, Seen { space, sums }))
}

/// `spaces`: names and numbers, the command last, as it may have blanks in it.
pub(super) struct Lines;

impl Records for Lines {
    type Data = ();
    type Place = u64;
    type Record = Seen;

    fn next((): &(), place: &u64) -> Option<(u64, Seen)> {
        next(*place)
    }

    fn show((): &(), Seen { space, sums }: &Seen, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, pid) = (space.id, space.opener.pid);
        let policy = space.lock.policy().name();
        write!(f, "space {id} pid {pid} policy {policy}")?;
        for (name, number) in [
            ("pages", space.held.get()),
            ("regions", space.regions.len() as u64),
            ("windows", space.inode.shared_areas().into()),
            ("faults", sums.get(Counter::Faults)),
            ("aborts", sums.aborts()),
            ("waits", sums.get(Counter::FaultWaits)),
        ] {
            write!(f, " {name} {number}")?;
        }
        writeln!(f, " command {}", Line(space.opener.command()))
    }
}

/// `spaces.jsonl`: the same, and all that STATS tells, by the names that it has there.
pub(super) struct JsonLines;

impl Records for JsonLines {
    type Data = ();
    type Place = u64;
    type Record = Seen;

    fn next((): &(), place: &u64) -> Option<(u64, Seen)> {
        next(*place)
    }

    fn show((): &(), Seen { space, sums }: &Seen, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, pid) = (space.id, space.opener.pid);
        let command = Json(space.opener.command());
        let policy = space.lock.policy().name();
        write!(
            f,
            "{{\"id\":{id},\"pid\":{pid},\"command\":{command},\"policy\":\"{policy}\""
        )?;
        let others = [
            ("windows", space.inode.shared_areas().into()),
            ("regions", space.regions.len() as u64),
            ("max_regions", space.regions.limit()),
            ("pages", space.held.get()),
            ("max_pages", space.held.limit()),
        ];
        for (name, number) in Iterator::chain(others.into_iter(), sums.named()) {
            write!(f, ",\"{name}\":{number}")?;
        }
        writeln!(f, "}}")
    }
}
