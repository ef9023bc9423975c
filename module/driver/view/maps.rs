// SPDX-License-Identifier: GPL-2.0-only

//! `maps`: the regions of each space.
//!
//! A line for the space, and one for each region, in ascending order:
//!
//! ```text
//! space 3 pid 120 policy spf-range command faultline
//! 00000ffff000-000010003000 rw anon 0000000000000000 17
//! ```
//!
//! The numbers of a region are its first byte and its end, the byte of its file that is
//! at its beginning, and its generation, all but the last in hexadecimal.
//!
//! Regions may change while they are read. Each is looked up by itself, at or above the
//! end of the one before, as QUERY does, but without waiting for changes under any
//! policy: what it shows stood there at that moment. (Beside a change of several
//! regions that may be when it had been made to some of them.) One that has grown
//! downwards meanwhile, over what was shown already, is shown from there on. So lines
//! never overlap, and a region that stays as it is comes exactly once.

use kernel::{fmt, sync::Arc};

use super::super::{ops::Found, registry, space::Space};
use crate::{
    kern::debugfs::Records,
    portable::{escape::Line, interval::PAGE_SHIFT, protection::Protection},
};

/// Where a reader is.
#[derive(Default)]
pub(super) struct Place {
    /// The number of a space.
    id: u64,
    /// At this page of it, or before it.
    page: Option<u64>,
}

/// What a line shows.
pub(super) enum Seen {
    Space(Arc<Space>),
    Region(Found),
}

/// `maps`.
pub(super) struct Maps;

impl Records for Maps {
    type Data = ();
    type Place = Place;
    type Record = Seen;

    fn next((): &(), &Place { mut id, page }: &Place) -> Option<(Place, Seen)> {
        if let Some(page) = page {
            // It may have ended, and then there are no more regions of it.
            let space = registry::at_or_above(id).filter(|space| space.id == id);
            if let Some(found) = space.and_then(|space| space.region_from(page)) {
                let page = Some(found.interval.end());
                return Some((Place { id, page }, Seen::Region(found)));
            }
            id += 1;
        }
        let space = registry::at_or_above(id)?;
        let (id, page) = (space.id, Some(0));
        Some((Place { id, page }, Seen::Space(space)))
    }

    fn show((): &(), seen: &Seen, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match seen {
            Seen::Space(space) => {
                let (id, pid) = (space.id, space.opener.pid);
                let (policy, command) = (space.lock.policy().name(), space.opener.command());
                writeln!(
                    f,
                    "space {id} pid {pid} policy {policy} command {}",
                    Line(command)
                )
            }
            Seen::Region(found) => {
                let (start, end) = (found.interval.start(), found.interval.end());
                writeln!(
                    f,
                    "{:012x}-{:012x} {} {} {:016x} {}",
                    start << PAGE_SHIFT,
                    end << PAGE_SHIFT,
                    letters(found.protection),
                    found.backing.name(),
                    found.file_page << PAGE_SHIFT,
                    found.generation
                )
            }
        }
    }
}

/// As in `/proc/PID/maps`: what was asked for.
fn letters(protection: Protection) -> &'static str {
    let has = |bit| protection.bits() & bit != 0;
    match (has(Protection::READ), has(Protection::WRITE)) {
        (true, true) => "rw",
        (true, false) => "r-",
        (false, true) => "-w",
        (false, false) => "--",
    }
}
