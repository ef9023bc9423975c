// SPDX-License-Identifier: GPL-2.0-only
//! PROTECT, REMAP and ADVISE of a remapper.

use std::ops::Range;

use super::Counter;
use super::change::{After, Change, Plan};
use super::worker::Worker;
use crate::oracle::{Fresh, Kind, Op};
use crate::target::{Target, To};
use crate::{Advice, Prot};

impl Worker<'_> {
    fn has_hole(&self, space: u32, pages: &Range<u32>) -> bool {
        pages.clone().any(|page| !self.is_mapped(space, page))
    }

    fn fresh_of(&self, space: u32, page: u32) -> Fresh {
        self.world
            .shadow
            .content(self.world.page(space, page))
            .fresh
    }

    pub(super) fn protect(&mut self, space: u32, pages: Range<u32>) {
        let kind = self.pick_kind();
        let prot = kind.prot().unwrap_or(Prot::NONE);
        let make = |target: &dyn Target| {
            let done = target.protect(pages.clone(), prot);
            done.map(|()| pages.start)
        };
        let change = Change {
            space,
            pages: pages.clone(),
            op: Op::Protect,
            kind,
        };
        if self.has_hole(space, &pages) {
            return self.refused(&change, libc::ENOMEM, &make);
        }
        self.carry_out(&Plan {
            change,
            make: &make,
            after: pages
                .clone()
                .map(|page| (page, After::Kept(kind)))
                .collect(),
            first: pages.start,
            counter: Counter::Protects,
        });
    }

    pub(super) fn dont_need(&mut self, space: u32, pages: Range<u32>) {
        let make = |target: &dyn Target| {
            let done = target.advise(pages.clone(), Advice::DontNeed);
            done.map(|()| pages.start)
        };
        let change = Change {
            space,
            pages: pages.clone(),
            op: Op::DontNeed,
            kind: self.kind_of(space, pages.start),
        };
        if self.has_hole(space, &pages) {
            return self.refused(&change, libc::ENOMEM, &make);
        }
        // A memfd keeps its pages.
        let after = |page| {
            let kind = self.kind_of(space, page);
            match self.fresh_of(space, page) {
                Fresh::Shared => (page, After::Kept(kind)),
                Fresh::Zero | Fresh::File(_) => (page, After::Discarded(kind)),
            }
        };
        let after = pages.clone().map(after).collect();
        self.carry_out(&Plan {
            change,
            make: &make,
            after,
            first: pages.start,
            counter: Counter::DontNeeds,
        });
    }

    /// It is not announced: no access may see any of it.
    pub(super) fn will_need(&mut self, space: u32, pages: Range<u32>) {
        let make = |target: &dyn Target| {
            let done = target.advise(pages.clone(), Advice::WillNeed);
            done.map(|()| pages.start)
        };
        let change = Change {
            space,
            pages: pages.clone(),
            op: Op::WillNeed,
            kind: self.kind_of(space, pages.start),
        };
        if self.has_hole(space, &pages) {
            return self.refused(&change, libc::ENOMEM, &make);
        }
        match self.call(&change, &make) {
            Ok(_) => {
                self.count(Counter::WillNeeds);
                self.look_again(&change);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                self.count(Counter::NoMemory);
            }
            answer => self.wrong_answer(&change, "success", &answer),
        }
    }

    /// REMAP to fewer pages. Only the first one needs a region.
    pub(super) fn shrink(&mut self, space: u32, pages: Range<u32>) {
        let length = pages.end - pages.start;
        let count = self.rng.below(u64::from(length)) as u32 + 1;
        let make = |target: &dyn Target| target.remap(pages.clone(), count, To::Stay);
        let change = Change {
            space,
            pages: pages.clone(),
            op: Op::Shrink,
            kind: Kind::Unmapped,
        };
        if !self.is_mapped(space, pages.start) {
            return self.refused(&change, libc::EFAULT, &make);
        }
        let tail = pages.start + count..pages.end;
        if tail.is_empty() {
            return;
        }
        self.carry_out(&Plan {
            change,
            make: &make,
            after: tail.map(|page| (page, After::Lost)).collect(),
            first: pages.start,
            counter: Counter::Shrinks,
        });
    }

    /// A page and the end to grow to: mostly one with a region and room behind it,
    /// and then no more than there is.
    fn pick_growth(
        &mut self,
        space: u32,
        area: &Range<u32>,
        pages: &Range<u32>,
    ) -> Option<(u32, u32)> {
        let any = self.rng.one_in(4);
        let mapped = |page| self.is_mapped(space, page);
        let has_room = |page: &u32| !any && mapped(*page) && !mapped(page + 1);
        let found = (pages.start..area.end - 1).find(has_room);
        let old = found.unwrap_or(pages.start);
        let end = (old + 1 + pages.end - pages.start).min(area.end);
        let room = (old + 1..end).find(|&page| found.is_some() && mapped(page));
        let end = room.unwrap_or(end);
        (end > old + 1).then_some((old, end))
    }

    /// REMAP of one page to as many as `pages` has more, in place.
    pub(super) fn grow(&mut self, space: u32, area: &Range<u32>, pages: Range<u32>) {
        let Some((old, end)) = self.pick_growth(space, area, &pages) else {
            return;
        };
        let kind = self.kind_of(space, old);
        let make = |target: &dyn Target| target.remap(old..old + 1, end - old, To::Stay);
        let change = Change {
            space,
            pages: old..end,
            op: Op::Grow,
            kind,
        };
        if kind == Kind::Unmapped {
            return self.refused(&change, libc::EFAULT, &make);
        }
        let grown = old + 1..end;
        if grown.clone().any(|page| self.is_mapped(space, page)) {
            return self.refused(&change, libc::ENOMEM, &make);
        }
        let Some(after) = self.grown(space, old, kind, grown) else {
            return;
        };
        self.carry_out(&Plan {
            change,
            make: &make,
            after,
            first: old,
            counter: Counter::Grows,
        });
    }

    /// What pages are that a region gets behind page `last`; `None` if they would
    /// lie beyond the end of its file.
    fn grown(
        &self,
        space: u32,
        last: u32,
        kind: Kind,
        pages: Range<u32>,
    ) -> Option<Vec<(u32, After)>> {
        let fresh = self.fresh_of(space, last);
        let after = |(distance, page)| {
            let fresh = match fresh {
                Fresh::File(file_page) => Fresh::File(file_page + distance),
                fresh => fresh,
            };
            let inside = !matches!(fresh, Fresh::File(n) if n >= self.world.options.pages);
            inside.then_some((page, After::New(kind, fresh)))
        };
        (1..).zip(pages).map(after).collect()
    }

    /// REMAP to another place: of a whole range, with its holes, or of one page
    /// that grows on the way.
    pub(super) fn move_pages(&mut self, space: u32, mut old: Range<u32>) {
        let mut count = old.end - old.start;
        if self.rng.one_in(4) {
            old.end = old.start + 1;
            count = self.rng.below(u64::from(count)) as u32 + 1;
        }
        let Some(new) = self.pick_place(space, count) else {
            return;
        };
        let to = To::Fixed(new.start);
        let make = |target: &dyn Target| target.remap(old.clone(), count, to);
        let change = Change {
            space,
            pages: old.clone(),
            op: Op::MoveFrom,
            kind: Kind::Unmapped,
        };
        if new.start < old.end && old.start < new.end {
            return self.refused(&change, libc::EINVAL, &make);
        }
        if !self.is_mapped(space, old.start) {
            return self.refused(&change, libc::EFAULT, &make);
        }
        let shared = |page| self.fresh_of(space, page) == Fresh::Shared;
        if old.clone().any(shared) {
            // Two pages might come to show one page of the memfd.
            return;
        }
        let Some(after) = self.moved(space, &old, &new) else {
            return;
        };
        let arrival = Change {
            space,
            pages: new.clone(),
            op: Op::MoveTo,
            kind: self.kind_of(space, old.start),
        };
        self.carry_out(&Plan {
            change,
            make: &make,
            after,
            first: new.start,
            counter: Counter::Moves,
        });
        self.note(&arrival);
    }

    /// What becomes of both ranges. What lies in the new one where the old one
    /// has a hole stays.
    fn moved(&self, space: u32, old: &Range<u32>, new: &Range<u32>) -> Option<Vec<(u32, After)>> {
        let mut after = Vec::new();
        for (from, to) in old.clone().zip(new.clone()) {
            let kind = self.kind_of(space, from);
            if kind != Kind::Unmapped {
                after.push((to, After::From(from, kind)));
                after.push((from, After::Left));
            }
        }
        let length = old.end - old.start;
        if new.end - new.start > length {
            let (last, kind) = (old.end - 1, self.kind_of(space, old.end - 1));
            let grown = new.start + length..new.end;
            after.extend(self.grown(space, last, kind, grown)?);
        }
        Some(after)
    }
}
