// SPDX-License-Identifier: GPL-2.0-only
//! Calls of a remapper that change nothing: only their answers are judged.

use std::fmt::Debug;
use std::io;
use std::ops::Range;

use super::Counter;
use super::change::{Change, Make};
use super::worker::Worker;
use crate::oracle::{Kind, Op};

impl Worker<'_> {
    /// A call that must fail with this error. No page changes, which the
    /// unchanged states let everybody check.
    pub(super) fn refused(&mut self, change: &Change, errno: i32, make: Make<'_>) {
        match self.call(change, make) {
            Err(error) if error.raw_os_error() == Some(errno) => {
                self.count(Counter::Refused);
                self.look_again(change);
            }
            other => {
                let expected = io::Error::from_raw_os_error(errno).to_string();
                self.wrong_answer(change, &expected, &other);
            }
        }
    }

    /// Asks for the region at a page of the area and compares it with what this
    /// remapper knows, as far as the area goes: its neighbours are others'.
    pub(super) fn query(&mut self, space: u32, area: &Range<u32>) {
        let page = area.start + self.rng.below(u64::from(area.end - area.start)) as u32;
        let kind = |page| self.world.shadow.state(self.world.page(space, page)).kind;
        let change = Change {
            space,
            pages: page..page + 1,
            op: Op::Query,
            kind: kind(page),
        };
        let answer = self.target(space).query(page);
        let right = match &answer {
            Err(_) => false,
            Ok(None) => (page..area.end).all(|page| kind(page) == Kind::Unmapped),
            Ok(Some(region)) if region.range.contains(&page) => {
                let part = region.range.start.max(area.start)..region.range.end.min(area.end);
                part.clone()
                    .all(|page| kind(page).prot() == Some(region.prot))
            }
            Ok(Some(region)) => {
                let free = page..region.range.start.min(area.end);
                !free.is_empty() && free.clone().all(|page| kind(page) == Kind::Unmapped)
            }
        };
        self.count(Counter::Queries);
        if !right {
            let expected: Vec<Kind> = area.clone().map(kind).collect();
            self.wrong_answer(&change, &format!("as in {area:?}: {expected:?}"), &answer);
        }
    }

    #[cold]
    pub(super) fn wrong_answer(
        &self,
        change: &Change,
        expected: &str,
        answer: &io::Result<impl Debug>,
    ) {
        let page = self.world.page(change.space, change.pages.start);
        self.world.mismatches.add(&format!(
            "wrong answer of a call\n  {}: {:?} of space {} pages {:?} ({:?}), seed {}\n  \
             expected: {expected}\n  seen:     {answer:?}\n  \
             last operations on page {} (age in 1000 ticks):\n{}",
            self.world.name_of(self.thread),
            change.op,
            change.space,
            change.pages,
            change.kind,
            self.world.seed,
            change.pages.start,
            self.world.trail.of_page(page, 12),
        ));
    }
}
