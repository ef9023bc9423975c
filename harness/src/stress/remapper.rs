// SPDX-License-Identifier: GPL-2.0-only
//! A remapping thread: changes pages in areas of its own.

use std::ops::Range;
use std::os::fd::AsFd;

use super::Counter;
use super::change::{After, Change, Plan};
use super::worker::Worker;
use crate::oracle::{Fresh, Kind, Op};
use crate::target::{Operation, Target};
use crate::{PAGE_SIZE, Placement, Prot, Source};

impl Worker<'_> {
    /// Number of this remapper.
    pub(super) fn remapper(&self) -> u32 {
        self.thread as u32 - self.world.options.threads
    }

    /// One call in one of this remapper's areas.
    pub(super) fn remap(&mut self) {
        let Some((space, area)) = self.pick_area() else {
            return;
        };
        let pages = self.pick_pages(&area);
        let placements = self.target(space).features().placements;
        let may = |operation| self.world.operations.has(operation);
        match self.rng.below(100) {
            0..8 if placements => self.query(space, &area),
            8..14 if may(Operation::Protect) => self.protect(space, pages),
            14..18 if may(Operation::Shrink) => self.shrink(space, pages),
            18..22 if may(Operation::Grow) => self.grow(space, &area, pages),
            22..34 if may(Operation::Move) => self.move_pages(space, pages),
            34..40 if may(Operation::DontNeed) => self.dont_need(space, pages),
            40..44 if may(Operation::WillNeed) => self.will_need(space, pages),
            8..62 => self.unmap(space, pages),
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

    /// Another part of this remapper's areas in a space: `count` pages.
    pub(super) fn pick_place(&mut self, space: u32, count: u32) -> Option<Range<u32>> {
        let owner = self.remapper();
        let fits = |area: &&super::layout::Area| {
            area.owner == owner && area.space == space && area.pages.end - area.pages.start >= count
        };
        let mine = self.world.areas.iter().filter(fits);
        let pick = self.rng.below(mine.clone().count().max(1) as u64) as usize;
        let area = mine.clone().nth(pick)?.pages.clone();
        let start = self.rng.below(u64::from(area.end - area.start - count) + 1) as u32;
        let start = area.start + start;
        Some(start..start + count)
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

    /// What an access may do to a page of this remapper's own.
    pub(super) fn kind_of(&self, space: u32, page: u32) -> Kind {
        let page = self.world.page(space, page);
        self.world.shadow.state(page).kind
    }

    /// True if there is a region.
    pub(super) fn is_mapped(&self, space: u32, page: u32) -> bool {
        self.kind_of(space, page) != Kind::Unmapped
    }

    pub(super) fn pick_kind(&mut self) -> Kind {
        match self.rng.below(16) {
            0 => Kind::NoAccess,
            1..4 => Kind::ReadOnly,
            _ => Kind::ReadWrite,
        }
    }

    /// What the pages of a new region are at first, and what to count.
    fn pick_fresh(&mut self) -> (fn(u32) -> Fresh, Counter) {
        let may = |operation| self.world.operations.has(operation);
        match self.rng.below(6) {
            0 if may(Operation::Shared) => (|_| Fresh::Shared, Counter::SharedMaps),
            1 if may(Operation::Private) => (Fresh::File, Counter::PrivateMaps),
            _ => (|_| Fresh::Zero, Counter::Maps),
        }
    }

    fn map(&mut self, space: u32, pages: Range<u32>, placements: bool) {
        let kind = self.pick_kind();
        let free = pages.clone().all(|page| !self.is_mapped(space, page));
        let (op, placement) = match self.rng.below(4) {
            0 if placements && free => (Op::MapHint, Placement::Hint),
            1 if placements && free => (Op::MapNoreplace, Placement::FixedNoreplace),
            0 if placements && self.rng.one_in(2) => (Op::MapNoreplace, Placement::FixedNoreplace),
            _ => (Op::MapFixed, Placement::Fixed),
        };
        let (fresh, counter) = self.pick_fresh();
        let files = &self.world.files[space as usize];
        let offset = u64::from(pages.start) * PAGE_SIZE;
        let source = match (counter, &files.shared, &files.private) {
            (Counter::SharedMaps, Some(file), _) => Source::Shared(file.as_fd(), offset),
            (Counter::PrivateMaps, _, Some(file)) => Source::Private(file.as_fd(), offset),
            _ => Source::Anon,
        };
        let prot = kind.prot().unwrap_or(Prot::NONE);
        let make = |target: &dyn Target| target.map(pages.clone(), prot, placement, source);
        let change = Change {
            space,
            pages: pages.clone(),
            op,
            kind,
        };
        if placement == Placement::FixedNoreplace && !free {
            return self.refused(&change, libc::EEXIST, &make);
        }
        // With a hint: a free interval of our own, which nobody else can take, so
        // it is the lowest.
        self.carry_out(&Plan {
            change,
            make: &make,
            after: pages
                .clone()
                .map(|page| (page, After::New(kind, fresh(page))))
                .collect(),
            first: pages.start,
            counter,
        });
    }

    fn unmap(&mut self, space: u32, pages: Range<u32>) {
        self.carry_out(&Plan {
            change: Change {
                space,
                pages: pages.clone(),
                op: Op::Unmap,
                kind: Kind::Unmapped,
            },
            make: &|target| target.unmap(pages.clone()).map(|()| pages.start),
            after: pages.clone().map(|page| (page, After::Lost)).collect(),
            first: pages.start,
            counter: Counter::Unmaps,
        });
    }
}
