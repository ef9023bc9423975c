// SPDX-License-Identifier: GPL-2.0-only

//! `objects`: where in memory all is that a space is made of, for who counts cache lines.
//!
//! JSON Lines, one for each object: first what all spaces share, as space 0, then that of
//! each space:
//!
//! ```text
//! {"space":3,"object":"Space","address":18446612682070294528,"bytes":1024}
//! {"space":3,"object":"Stats","address":18446612684204843008,"bytes":720,"cpu":1}
//! {"space":3,"object":"Leaf","address":18446612682086055232,"bytes":224,"page":512}
//! ```
//!
//! | object | what it is |
//! | --- | --- |
//! | `TOTAL_PAGES`, `numbers`, `live` | of the module: the pages left for all spaces, the next block of generations; with a `cpu`, what that CPU has of generations and of counts of live objects |
//! | `Space` | a space, in which the next four are |
//! | `SpaceLock::global`, `Regions`, `Directory`, `PageCount` | the semaphore; the tree of regions, its lock and counts; the XArray of leaves; the count of pages |
//! | `SpaceLock::range` | the range lock: root, domains, shards |
//! | `PageCount`, `Stats`, with a `cpu` | what that CPU counts for itself |
//! | `Leaf`, `Leaf::slots` | a leaf, with its commit lock, and its slots; `page` is its first |
//! | `Region` | a region; `page` is the first of an interval. One that stands in several comes several times |
//!
//! Addresses are the kernel's own, in bytes, and tell who reads them where it is: as all
//! files here, only root may. They are to be compared, not to be used: what was there may
//! be gone. Not shown are the nodes of trees, which belong to the kernel, and pages.
//!
//! One leaf or region is looked up at a time, under RCU, and nothing is held between two.
//! No commit lock is taken: faults wait for nobody who reads this.

use kernel::{fmt, sync::Arc};

use super::super::{
    registry,
    space::{Space, SPACE_PAGES, TOTAL_PAGES},
};
use crate::{
    kern::{debugfs::Records, extent::Extent, percpu},
    portable::interval::Interval,
};

/// The number that no space has.
const OF_ALL: u64 = 0;

/// Where a reader is, in a space.
#[derive(Clone, Copy)]
enum Step {
    /// At what there is once.
    Once(usize),
    /// At what each CPU has, from this on.
    Cpu(u32, usize),
    /// At the leaf at this index or above, or at its slots.
    Leaf(usize),
    Slots(usize),
    /// At the region of this page or above.
    Region(u64),
    End,
}

/// Where a reader is.
pub(super) struct Place {
    space: u64,
    step: Step,
}

impl Place {
    fn start_of(space: u64) -> Self {
        let step = Step::Once(0);
        Self { space, step }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::start_of(OF_ALL)
    }
}

/// What tells an object from others of its name.
enum Which {
    One,
    Cpu(u32),
    Page(u64),
}

/// What a line shows.
pub(super) struct Object {
    space: u64,
    name: &'static str,
    extent: Extent,
    which: Which,
}

/// What there is once: of a space, or of all.
fn once(space: Option<&Space>, number: usize) -> Option<(&'static str, Extent)> {
    let Some(space) = space else {
        let all = [
            ("TOTAL_PAGES", Extent::of(&TOTAL_PAGES)),
            ("numbers", percpu::numbers_extent()),
        ];
        return all.get(number).copied();
    };
    let [global, range] = space.lock.extents();
    let all = [
        ("Space", Extent::of(space)),
        ("SpaceLock::global", global),
        ("Regions", Extent::of(&space.regions)),
        ("Directory", Extent::of(&space.directory)),
        ("PageCount", Extent::of(&space.held)),
        ("SpaceLock::range", range),
    ];
    all.get(number).copied()
}

/// What `cpu` has: of a space, or of all.
fn of_cpu(space: Option<&Space>, cpu: u32, number: usize) -> Option<(&'static str, Extent)> {
    match (space, number) {
        (None, _) => {
            let [numbers, live] = percpu::extents_of(cpu)?;
            let all = [("numbers", numbers), ("live", live)];
            all.get(number).copied()
        }
        (Some(space), 0) => Some(("PageCount", space.held.extent_of(cpu)?)),
        (Some(space), 1) => Some(("Stats", space.stats.extent_of(cpu)?)),
        _ => None,
    }
}

/// What is at `step`, of a space or of all, and the step behind it; or else only the latter.
fn at(space: Option<&Space>, step: Step) -> (Step, Option<(&'static str, Extent, Which)>) {
    match (space, step) {
        (_, Step::Once(number)) => match once(space, number) {
            Some((name, extent)) => (Step::Once(number + 1), Some((name, extent, Which::One))),
            None => (Step::Cpu(0, 0), None),
        },
        (_, Step::Cpu(from, number)) => match percpu::possible_from(from) {
            Some(cpu) => match of_cpu(space, cpu, number) {
                Some((name, extent)) => {
                    let shown = (name, extent, Which::Cpu(cpu));
                    (Step::Cpu(cpu, number + 1), Some(shown))
                }
                None => (Step::Cpu(cpu + 1, 0), None),
            },
            None => (Step::Leaf(0), None),
        },
        (Some(space), Step::Leaf(index)) => match space.directory.shown_from(index) {
            Some(found) => {
                let shown = ("Leaf", found.leaf, Which::Page(found.page));
                (Step::Slots(found.index), Some(shown))
            }
            None => (Step::Region(0), None),
        },
        (Some(space), Step::Slots(index)) => {
            // Another leaf may stand there by now, or none.
            let found = space.directory.shown_from(index);
            let found = found.filter(|found| found.index == index);
            let shown = found.map(|found| ("Leaf::slots", found.slots, Which::Page(found.page)));
            (Step::Leaf(index + 1), shown)
        }
        (Some(space), Step::Region(page)) => {
            let rest = Interval::new(page, SPACE_PAGES);
            match rest.and_then(|rest| space.regions.extent_from(rest)) {
                Some((interval, extent)) => {
                    let shown = ("Region", extent, Which::Page(interval.start()));
                    (Step::Region(interval.end()), Some(shown))
                }
                None => (Step::End, None),
            }
        }
        (_, Step::End) | (None, _) => (Step::End, None),
    }
}

/// `objects`.
pub(super) struct Objects;

impl Records for Objects {
    type Data = ();
    type Place = Place;
    type Record = Object;

    fn next((): &(), place: &Place) -> Option<(Place, Object)> {
        let Place {
            mut space,
            mut step,
        } = *place;
        loop {
            let found: Option<Arc<Space>> = match space {
                OF_ALL => None,
                _ => Some(registry::at_or_above(space)?),
            };
            if let Some(found) = found.as_ref().filter(|found| found.id != space) {
                // The one that was read has ended.
                (space, step) = (found.id, Step::Once(0));
            }
            while !matches!(step, Step::End) {
                let (behind, shown) = at(found.as_deref(), step);
                step = behind;
                if let Some((name, extent, which)) = shown {
                    let object = Object {
                        space,
                        name,
                        extent,
                        which,
                    };
                    return Some((Place { space, step }, object));
                }
            }
            Place { space, step } = Place::start_of(space + 1);
        }
    }

    fn show((): &(), object: &Object, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Object { space, name, .. } = object;
        let Extent { address, bytes } = object.extent;
        write!(
            f,
            "{{\"space\":{space},\"object\":\"{name}\",\"address\":{address},\"bytes\":{bytes}"
        )?;
        match object.which {
            Which::One => writeln!(f, "}}"),
            Which::Cpu(cpu) => writeln!(f, ",\"cpu\":{cpu}}}"),
            Which::Page(page) => writeln!(f, ",\"page\":{page}}}"),
        }
    }
}
