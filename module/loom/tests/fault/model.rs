// SPDX-License-Identifier: GPL-2.0-only

//! How a model is explored.

use std::sync::{
    atomic::{AtomicU32, Ordering},
    Arc,
};

use loom::model::Builder;

use super::{
    region::{Access, Region, RW},
    shared::Shared,
    world::{Content, Start, World},
};

/// How often a thread of a bounded model is stopped where it could go on, at
/// most.
const PREEMPTIONS: usize = 3;
const MORE_PREEMPTIONS: usize = 5;

/// No region.
pub(crate) const HOLE: Start = Start {
    region: None,
    content: Content::Empty,
};

/// Without a page. If all pages are, there is no leaf.
pub(crate) const EMPTY: Start = having(RW, Content::Empty);

/// With a page, but no entry for it.
pub(crate) const FULL: Start = having(RW, Content::Page);

/// With a read-only entry.
pub(crate) const READ: Start = having(RW, Content::Entry(Access::Read));

/// With a writable entry.
pub(crate) const WRITTEN: Start = having(RW, Content::Entry(Access::Write));

pub(crate) const fn having(region: Region, content: Content) -> Start {
    Start {
        region: Some(region),
        content,
    }
}

/// A space that begins like this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model<const PAGES: usize> {
    starts: [Start; PAGES],
    windows: usize,
    has_lives: bool,
    room: Option<usize>,
    preemptions: Option<usize>,
}

impl<const PAGES: usize> Model<PAGES> {
    pub(crate) fn of(starts: [Start; PAGES]) -> Self {
        Self {
            starts,
            windows: 1,
            has_lives: false,
            room: None,
            preemptions: None,
        }
    }

    /// With another window.
    pub(crate) fn with_two_windows(self) -> Self {
        Self { windows: 2, ..self }
    }

    /// Regions are objects that end.
    pub(crate) fn with_lives(self) -> Self {
        Self {
            has_lives: true,
            ..self
        }
    }

    /// With room for so many pages more.
    pub(crate) fn with_room(self, pages: usize) -> Self {
        Self {
            room: Some(pages),
            ..self
        }
    }

    /// With at most [`PREEMPTIONS`], or [`MORE_PREEMPTIONS`] if `FAULTLINE_LONG` is
    /// set. For three threads, which take many minutes without bound, and for many
    /// models at once.
    pub(crate) fn bounded(self) -> Self {
        let preemptions = match std::env::var_os("FAULTLINE_LONG") {
            None => PREEMPTIONS,
            Some(_) => MORE_PREEMPTIONS,
        };
        Self {
            preemptions: Some(preemptions),
            ..self
        }
    }

    /// Explores what `body` and the threads that it joins do.
    pub(crate) fn explore(self, body: impl Fn(&Shared) + Send + Sync + 'static) {
        let body = Arc::new(body);
        // Faults beside a page that is there guess, or look first.
        for hints in [true, false] {
            self.explore_with(hints, body.clone());
        }
    }

    fn explore_with(self, hints: bool, body: Arc<impl Fn(&Shared) + Send + Sync + 'static>) {
        let mut builder = Builder::new();
        builder.preemption_bound = self.preemptions;
        let executions = Arc::new(AtomicU32::new(0));
        let counter = executions.clone();
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            let Self {
                starts,
                windows,
                has_lives,
                room,
                ..
            } = &self;
            let world = Shared::new(World::new(starts, *windows, *has_lives, *room, hints));
            body(&world);
            world.check_at_rest();
        });
        println!("{} executions", executions.load(Ordering::Relaxed));
    }
}
