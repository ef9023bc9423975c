// SPDX-License-Identifier: GPL-2.0-only

//! Each change and each access beside each other, and each pair of changes.

use faultline_portable_loom::fault::Cause;

use super::{
    model::{Model, EMPTY, FULL, READ, WRITTEN},
    region::{Access, Region, OTHER, OTHER_FILE, RO, RW},
    world::World,
};

/// What is done to page 0.
#[derive(Clone, Copy, Debug)]
enum Change {
    Unmap,
    Map(Region),
    Discard,
    Protect(Region),
}

impl Change {
    const ALL: [Self; 6] = [
        Self::Unmap,
        Self::Map(OTHER),
        Self::Map(OTHER_FILE),
        Self::Discard,
        Self::Protect(RO),
        Self::Protect(RW),
    ];

    fn make(self, space: &World) {
        let region = space.region(0).map(|seen| seen.region);
        match (self, region) {
            (Self::Map(new), Some(_)) => space.replace(0..1, new),
            (Self::Map(new), None) => space.insert(0..1, new),
            // There is nothing to be changed: an error.
            (_, None) => {}
            (Self::Unmap, _) => space.unmap(0..1),
            (Self::Discard, _) => space.discard(0..1),
            (Self::Protect(new), Some(old)) => {
                let writable = new.writable;
                space.protect(0..1, Region { writable, ..old });
            }
        }
    }

    /// Whether a fault beside this may fail because of it.
    fn may_forbid(self, cause: Cause) -> bool {
        match self {
            Self::Unmap => cause == Cause::NoRegion,
            Self::Protect(RO) => cause == Cause::Denied,
            Self::Map(_) | Self::Discard | Self::Protect(_) => false,
        }
    }
}

const ACCESSES: [Access; 2] = [Access::Read, Access::Write];

#[test]
fn each_change_beside_each_access() {
    for change in Change::ALL {
        for (first, second) in [EMPTY, FULL, READ, WRITTEN]
            .into_iter()
            .flat_map(|first| [(first, EMPTY), (first, FULL)])
        {
            for access in ACCESSES {
                Model::of([first, second]).explore(move |space| {
                    let other = space.spawn(move |space| change.make(space));
                    let got = space.access_surely(0, access);
                    other.join();
                    let is_fine = got.map_or_else(|cause| change.may_forbid(cause), |()| true);
                    assert!(is_fine, "{change:?}, {access:?}: {got:?}");
                });
            }
        }
    }
}

#[test]
fn each_pair_of_changes_beside_each_access() {
    for [first, second] in Change::ALL
        .into_iter()
        .flat_map(|first| Change::ALL.map(|second| [first, second]))
    {
        for start in [EMPTY, FULL] {
            for access in ACCESSES {
                Model::of([start]).bounded().explore(move |space| {
                    let other = space.spawn(move |space| {
                        first.make(space);
                        second.make(space);
                    });
                    let _ = space.access(0, access);
                    let _ = space.access(0, Access::Write);
                    other.join();
                });
            }
        }
    }
}
