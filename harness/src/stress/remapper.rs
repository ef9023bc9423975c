// SPDX-License-Identifier: GPL-2.0-only
//! A remapping thread: maps and unmaps in areas of its own.

use std::io;
use std::ops::Range;

use super::Counter;
use super::worker::{Place, Worker};
use crate::oracle::{Event, Kind, Op, Shadow, State};
use crate::target::Target;
use crate::{PAGE_SIZE, Placement, Source};

/// A change of pages: a call, and what it makes of them.
pub(super) struct Change {
    pub(super) space: u32,
    pub(super) pages: Range<u32>,
    pub(super) op: Op,
    pub(super) kind: Kind,
}

impl Worker<'_> {
    /// Number of this remapper.
    fn remapper(&self) -> u32 {
        self.thread as u32 - self.world.options.threads
    }

    /// One call in one of this remapper's areas.
    pub(super) fn remap(&mut self) {
        let Some((space, area)) = self.pick_area() else {
            return;
        };
        let pages = self.pick_pages(&area);
        let placements = self.target(space).features().placements;
        match self.rng.below(100) {
            0..12 if placements => self.query(space, &area),
            0..40 => self.unmap(space, pages),
            _ => self.map(space, pages, placements),
        }
        self.count(Counter::Operations);
    }

    pub(super) fn target(&self, space: u32) -> &dyn Target {
        &*self.targets[space as usize]
    }

    fn pick_area(&mut self) -> Option<(u32, Range<u32>)> {
        let owner = self.remapper();
        let mine = self.world.areas.iter().filter(|area| area.owner == owner);
        let pick = self.rng.below(mine.clone().count().max(1) as u64) as usize;
        mine.clone()
            .nth(pick)
            .map(|area| (area.space, area.pages.clone()))
    }

    /// A part of the area: mostly small, now and then as large as allowed.
    fn pick_pages(&mut self, area: &Range<u32>) -> Range<u32> {
        let most = (area.end - area.start).min(self.world.options.change_pages);
        let bound = match self.rng.below(8) {
            0 => most,
            1..4 => most.min(16),
            _ => most.min(4),
        };
        let count = self.rng.below(u64::from(bound)) as u32 + 1;
        let start = self.rng.below(u64::from(area.end - area.start - count) + 1) as u32;
        area.start + start..area.start + start + count
    }

    fn map(&mut self, space: u32, pages: Range<u32>, placements: bool) {
        let kind = match self.rng.below(16) {
            0 => Kind::NoAccess,
            1..4 => Kind::ReadOnly,
            _ => Kind::ReadWrite,
        };
        let mut states = self
            .world
            .pages(space, &pages)
            .map(|page| self.world.shadow.state(page));
        let free = states.all(|state| state.kind == Kind::Unmapped);
        let op = match self.rng.below(4) {
            0 if placements && free => Op::MapHint,
            1 if placements && free => Op::MapNoreplace,
            0 if placements && self.rng.one_in(2) => {
                return self.map_refused(space, pages, kind);
            }
            _ => Op::MapFixed,
        };
        self.change(&Change {
            space,
            pages,
            op,
            kind,
        });
    }

    fn unmap(&mut self, space: u32, pages: Range<u32>) {
        self.change(&Change {
            space,
            pages,
            op: Op::Unmap,
            kind: Kind::Unmapped,
        });
    }

    /// Makes the call, and notes it. Returns the first page of the region.
    pub(super) fn call(&mut self, change: &Change) -> io::Result<u32> {
        let first = self.world.page(change.space, change.pages.start);
        let event = Event {
            op: change.op,
            page: first,
            count: change.pages.end - change.pages.start,
            before: self.world.shadow.state(first),
            byte: 0,
        };
        self.world.trail.begin(self.thread, &mut self.cursor, event);
        let answer = self.call_target(change);
        let (after, errno) = match &answer {
            Ok(_) => (event.before.renewed(change.kind), 0),
            Err(error) => (event.before, error.raw_os_error().unwrap_or(libc::EIO)),
        };
        let trail = &self.world.trail;
        trail.end(self.thread, &self.cursor, after, Ok(errno as u64));
        answer
    }

    fn call_target(&self, change: &Change) -> io::Result<u32> {
        let target = self.target(change.space);
        let placement = match change.op {
            Op::MapHint => Placement::Hint,
            Op::MapNoreplace => Placement::FixedNoreplace,
            _ => Placement::Fixed,
        };
        match change.kind.prot() {
            Some(prot) => target.map(change.pages.clone(), prot, placement, Source::Anon),
            None => target
                .unmap(change.pages.clone())
                .map(|()| change.pages.start),
        }
    }

    /// The protocol of the oracle: announce, call, look, publish.
    fn change(&mut self, change: &Change) {
        let numbers = self.world.pages(change.space, &change.pages);
        let shadow = &self.world.shadow;
        let old: Vec<Kind> = numbers
            .clone()
            .map(|page| shadow.state(page).kind)
            .collect();
        shadow.begin_change(numbers.clone());
        let answer = self.call(change);
        match answer {
            // A free interval of our own at the hint: nobody else can take it,
            // so it is the lowest.
            Ok(first) if first == change.pages.start => {
                let unmap = change.kind == Kind::Unmapped;
                self.count(if unmap {
                    Counter::Unmaps
                } else {
                    Counter::Maps
                });
                self.look(change, numbers.clone());
                for page in numbers.clone() {
                    shadow.publish(page, shadow.state(page).renewed(change.kind));
                }
            }
            answer => {
                match &answer {
                    Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                        self.count(Counter::NoMemory);
                    }
                    _ => self.wrong_answer(change, "success", &answer),
                }
                for (page, kind) in numbers.clone().zip(old) {
                    shadow.publish(page, shadow.state(page).kept(kind));
                }
            }
        }
        let page = numbers.start + self.rng.below(u64::from(numbers.end - numbers.start)) as u32;
        self.world.set_recent(self.remapper(), page);
    }

    /// Accesses some pages right after the call, through several windows. A
    /// fresh page is touched only now and then, to leave the first touch to the
    /// accessors; an unmapped one always.
    fn look(&mut self, change: &Change, numbers: Range<u32>) {
        if change.kind != Kind::Unmapped && !self.rng.one_in(4) {
            return;
        }
        for _ in 0..2 {
            let count = u64::from(numbers.end - numbers.start);
            let page = numbers.start + self.rng.below(count) as u32;
            let own = self.world.shadow.state(page).renewed(change.kind);
            let view = self.pick_view(page);
            self.load(
                Place {
                    page,
                    byte: 0,
                    view,
                },
                Some(own),
            );
            if change.kind != Kind::ReadWrite {
                let view = self.pick_view(page);
                self.store_nothing(page, view, own);
            } else if self.rng.one_in(32) {
                self.look_at_all(page, own);
            }
        }
    }

    /// Loads every word of a page, first those that have writers.
    fn look_at_all(&mut self, page: u32, own: State) {
        let view = self.pick_view(page);
        for writer in 0..self.world.shadow.writers() {
            self.load(
                Place {
                    page,
                    byte: Shadow::byte_of(writer),
                    view,
                },
                Some(own),
            );
        }
        for byte in (0..PAGE_SIZE as usize).step_by(8) {
            self.load(Place { page, byte, view }, Some(own));
        }
    }
}
