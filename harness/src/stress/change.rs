// SPDX-License-Identifier: GPL-2.0-only
//! A call of a remapper, and what it makes of the pages: the oracle's protocol.

use std::io;
use std::ops::Range;

use super::Counter;
use super::worker::{Place, Worker};
use crate::PAGE_SIZE;
use crate::oracle::{Event, Fresh, Kind, Op, Shadow, State};
use crate::target::Target;

/// What is called, for logs and reports.
pub(super) struct Change {
    pub(super) space: u32,
    pub(super) pages: Range<u32>,
    pub(super) op: Op,
    pub(super) kind: Kind,
}

/// The call itself. It returns the first page of the region.
pub(super) type Make<'c> = &'c dyn Fn(&dyn Target) -> io::Result<u32>;

/// What becomes of a page when the call succeeds.
#[derive(Clone, Copy)]
pub(super) enum After {
    /// It has this protection, and the same content.
    Kept(Kind),
    /// It has no region.
    Lost,
    /// Its content has moved to another page, which says so.
    Left,
    /// It is part of a new region.
    New(Kind, Fresh),
    /// All stores to it are discarded.
    Discarded(Kind),
    /// It has the content of that page.
    From(u32, Kind),
}

impl After {
    /// Whether content with a past of its own comes to `page`.
    fn arrives(self, page: u32) -> bool {
        match self {
            After::From(..) | After::New(_, Fresh::Shared) => true,
            After::New(_, Fresh::File(file_page)) => file_page != page,
            _ => false,
        }
    }
}

/// A change: the call, and what it has to do. Pages are those of the space.
pub(super) struct Plan<'c> {
    pub(super) change: Change,
    pub(super) make: Make<'c>,
    pub(super) after: Vec<(u32, After)>,
    /// The first page of the region, as the call returns it.
    pub(super) first: u32,
    pub(super) counter: Counter,
}

impl Worker<'_> {
    /// Makes the call, and notes it. Returns the first page of the region.
    pub(super) fn call(&mut self, change: &Change, make: Make<'_>) -> io::Result<u32> {
        let first = self.world.page(change.space, change.pages.start);
        let event = Event {
            op: change.op,
            page: first,
            count: change.pages.end - change.pages.start,
            before: self.world.shadow.state(first),
            byte: 0,
        };
        self.world.trail.begin(self.thread, &mut self.cursor, event);
        let answer = make(self.target(change.space));
        let (after, errno) = match &answer {
            Ok(_) => (event.before.renewed(change.kind), 0),
            Err(error) => (event.before, error.raw_os_error().unwrap_or(libc::EIO)),
        };
        let trail = &self.world.trail;
        trail.end(self.thread, &self.cursor, after, Ok(errno as u64));
        answer
    }

    /// Notes another side of a call that has been made.
    pub(super) fn note(&mut self, change: &Change) {
        // It changes nothing more.
        let _ = self.call(change, &|_| Ok(change.pages.start));
    }

    /// The protocol of the oracle: announce, call, look, publish.
    pub(super) fn carry_out(&mut self, plan: &Plan<'_>) {
        let (world, space) = (self.world, plan.change.space);
        let shadow = &world.shadow;
        let pages = plan.after.iter().copied();
        let pages = pages.map(|(page, after)| (page, world.page(space, page), after));
        let old: Vec<State> = pages
            .clone()
            .map(|(_, number, _)| shadow.state(number))
            .collect();
        shadow.begin_change(
            pages
                .clone()
                .map(|(page, number, after)| (number, after.arrives(page))),
        );
        let answer = self.call(&plan.change, plan.make);
        if matches!(&answer, Ok(first) if *first == plan.first) {
            self.count(plan.counter);
            let new = self.take_effect(plan, &old);
            self.look(&new);
            new.iter()
                .for_each(|&(page, state)| shadow.publish(page, state));
        } else {
            match &answer {
                Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                    self.count(Counter::NoMemory);
                }
                _ => self.wrong_answer(&plan.change, "success", &answer),
            }
            for ((_, number, _), old) in pages.zip(&old) {
                shadow.publish(number, shadow.state(number).kept(old.kind));
            }
        }
        let pick = self.rng.below(plan.after.len() as u64) as usize;
        world.set_recent(self.remapper(), world.page(space, plan.after[pick].0));
    }

    /// Notes what became of the contents; returns the new states, which are not
    /// published yet.
    fn take_effect(&self, plan: &Plan<'_>, old: &[State]) -> Vec<(u32, State)> {
        let (world, space) = (self.world, plan.change.space);
        let shadow = &world.shadow;
        let pages = plan.after.iter().zip(old);
        let pages = pages.map(|(&(page, after), &old)| (world.page(space, page), after, old));
        let old_of = |page| {
            let mut pages = pages.clone();
            pages.find(|&(number, ..)| number == page)
        };
        for (number, after, old) in pages.clone() {
            match after {
                After::Kept(_) | After::Left => {}
                After::Lost => shadow.lose(number, old),
                After::New(_, fresh) => {
                    shadow.lose(number, old);
                    shadow.gain(number, fresh);
                }
                After::Discarded(_) => {
                    // At once: a loader may look at any time.
                    shadow.gain(number, shadow.content(number).fresh);
                }
                After::From(from, _) => {
                    let from = world.page(space, from);
                    let (_, _, before) = old_of(from).expect("the page that it leaves");
                    shadow.lose(number, old);
                    shadow.carry(from, before, number);
                }
            }
        }
        let state = |(number, after, _)| {
            let state: State = shadow.state(number);
            let state = match after {
                After::Kept(kind) => state.kept(kind),
                After::Lost | After::Left => state.renewed(Kind::Unmapped),
                After::New(kind, _) | After::Discarded(kind) | After::From(_, kind) => {
                    state.renewed(kind)
                }
            };
            (number, state)
        };
        pages.map(state).collect()
    }

    /// Accesses some pages right after the call, through several windows. A
    /// page with a region is touched only now and then, to leave the first touch
    /// to the accessors; one without always.
    fn look(&mut self, new: &[(u32, State)]) {
        for _ in 0..2 {
            let (page, own) = new[self.rng.below(new.len() as u64) as usize];
            if own.kind != Kind::Unmapped && !self.rng.one_in(4) {
                continue;
            }
            let view = self.pick_view(page);
            let byte = match self.world.shadow.writers() {
                0 => 0,
                writers => Shadow::byte_of(self.rng.below(u64::from(writers)) as u32),
            };
            self.load(Place { page, byte, view }, Some(own));
            if own.kind != Kind::ReadWrite {
                let view = self.pick_view(page);
                self.store_nothing(page, view, own);
            } else if self.rng.one_in(32) {
                self.look_at_all(page, own);
            }
        }
    }

    /// Accesses some pages that a call had to leave as they were.
    pub(super) fn look_again(&mut self, change: &Change) {
        let pages = self.world.pages(change.space, &change.pages);
        let state = |page| (page, self.world.shadow.state(page));
        let states: Vec<_> = pages.map(state).collect();
        self.look(&states);
    }

    /// Loads every word of a page, first those that have writers.
    fn look_at_all(&mut self, page: u32, own: State) {
        let view = self.pick_view(page);
        for writer in 0..self.world.shadow.writers() {
            let byte = Shadow::byte_of(writer);
            self.load(Place { page, byte, view }, Some(own));
        }
        for byte in (0..PAGE_SIZE as usize).step_by(8) {
            self.load(Place { page, byte, view }, Some(own));
        }
    }
}
