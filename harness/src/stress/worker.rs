// SPDX-License-Identifier: GPL-2.0-only
//! What accessors and remappers have in common: an access, judged.

use std::fmt;

use super::Counter;
use super::world::World;
use crate::access::Fault;
use crate::oracle::{
    Cursor, Event, Evidence, Expected, Look, Op, Shadow, State, Writer, Wrong, judge_outcome,
    judge_value,
};
use crate::rng::Rng;
use crate::target::{Target, View};

/// One thread of a run.
pub(super) struct Worker<'a> {
    pub(super) world: &'a World,
    pub(super) targets: &'a [Box<dyn Target>],
    pub(super) thread: usize,
    pub(super) rng: Rng,
    pub(super) cursor: Cursor,
    views: Vec<Vec<View<'a>>>,
}

/// Where an access goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Page over all spaces.
    pub(super) page: u32,
    /// Byte in the page, of a word.
    pub(super) byte: usize,
    /// Number of the window.
    pub(super) view: usize,
}

/// An access that is over.
struct Done {
    place: Place,
    store: bool,
    before: State,
    after: State,
    result: Result<u64, Fault>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(world: &'a World, targets: &'a [Box<dyn Target>], thread: usize) -> Self {
        Worker {
            world,
            targets,
            thread,
            rng: Rng::new(world.seed, thread as u64),
            cursor: Cursor::default(),
            views: targets.iter().map(|target| target.views()).collect(),
        }
    }

    pub(super) fn count(&self, counter: Counter) {
        self.world.counters.count(self.thread, counter);
    }

    /// A window that shows the page.
    pub(super) fn pick_view(&mut self, page: u32) -> usize {
        let (space, page) = self.world.place(page);
        let views = &self.views[space as usize];
        let view = self.rng.below(views.len() as u64) as usize;
        if views[view].byte(page, 0).is_some() {
            view
        } else {
            0
        }
    }

    fn view_of(&self, place: Place) -> (View<'a>, usize) {
        let (space, page) = self.world.place(place.page);
        let view = self.views[space as usize][place.view];
        (
            view,
            view.byte(page, place.byte)
                .expect("the window shows the page"),
        )
    }

    /// Loads a word and judges it. With `own`, the page belongs to this thread
    /// and is in that state, published or not.
    pub(super) fn load(&mut self, place: Place, own: Option<State>) {
        let shadow = &self.world.shadow;
        let (view, at) = self.view_of(place);
        let before = own.unwrap_or_else(|| shadow.state(place.page));
        let writer = shadow.writer_of(place.byte);
        let known = writer.map(|writer| (writer, shadow.known_before(place.page, writer)));
        let content = shadow.content(place.page);
        let floor = writer.and_then(|writer| shadow.floor(place.page, writer));
        self.begin(Op::Load, place, before);
        let result = view.area.load(at);
        let known =
            known.map(|(writer, known)| (writer, shadow.known_after(place.page, writer, known)));
        let after = own.unwrap_or_else(|| shadow.state(place.page));
        let done = Done {
            place,
            store: false,
            before,
            after,
            result,
        };
        self.end(&done);
        if let Ok(seen) = result {
            let begun = |page, writer| shadow.begun(page, writer);
            let writer = known.map(|(number, known)| Writer {
                number,
                known,
                floor,
                begun: &begun,
            });
            let look = Look {
                page: (place.page, self.world.place(place.page).1),
                byte: place.byte,
                states: (before, after),
                content,
                writer,
            };
            if let Err(wrong) = judge_value(&look, seen, shadow.salt()) {
                self.mismatch(&wrong, &done);
            }
        }
    }

    /// Stores this accessor's next stamp to its word of the page and judges
    /// whether that had to fault.
    pub(super) fn store(&mut self, page: u32) {
        let writer = self.thread as u32;
        let place = Place {
            page,
            byte: Shadow::byte_of(writer),
            view: self.pick_view(page),
        };
        let shadow = &self.world.shadow;
        let (view, at) = self.view_of(place);
        let Some(stamp) = shadow.begin_store(page, writer) else {
            return;
        };
        let value = stamp.pack(shadow.salt());
        let before = shadow.state(page);
        self.begin(Op::Store, place, before);
        let result = view.area.store(at, value).map(|()| value);
        let after = shadow.end_store(stamp, before, result.is_ok());
        self.end(&Done {
            place,
            store: true,
            before,
            after,
            result,
        });
    }

    /// Stores zero to a word that nobody writes, in a page of this thread's own
    /// that is in the state `own`: harmless if it succeeds, and judged.
    pub(super) fn store_nothing(&mut self, page: u32, view: usize, own: State) {
        let byte = Shadow::byte_of(self.world.shadow.writers());
        let place = Place { page, byte, view };
        let (view, at) = self.view_of(place);
        self.begin(Op::Store, place, own);
        let result = view.area.store(at, 0).map(|()| 0);
        self.end(&Done {
            place,
            store: true,
            before: own,
            after: own,
            result,
        });
    }

    fn begin(&mut self, op: Op, place: Place, before: State) {
        let event = Event {
            op,
            page: place.page,
            count: 1,
            before,
            byte: place.byte,
        };
        self.world.trail.begin(self.thread, &mut self.cursor, event);
    }

    /// Notes, counts and judges the outcome of an access.
    fn end(&mut self, done: &Done) {
        self.world
            .trail
            .end(self.thread, &self.cursor, done.after, done.result);
        self.count(if done.store {
            Counter::Stores
        } else {
            Counter::Loads
        });
        self.count(Counter::Operations);
        let (space, _) = self.world.place(done.place.page);
        let unmapped = self.targets[space as usize].unmapped_signal();
        let fault = done.result.err();
        match judge_outcome(done.before, done.after, done.store, fault, unmapped) {
            Ok(Expected::Open) => {
                self.count(Counter::Undecided);
                if fault.is_some() {
                    self.count(Counter::IllegalOpen);
                }
            }
            Ok(Expected::Success) => self.count(Counter::Checked),
            Ok(Expected::Fault(_)) => {
                self.count(Counter::Checked);
                self.count(Counter::IllegalExpected);
                self.count(Counter::IllegalSeen);
            }
            Err(wrong) => {
                self.count(Counter::Checked);
                if !matches!(wrong, Wrong::Faulted(_)) {
                    self.count(Counter::IllegalExpected);
                }
                self.mismatch(&wrong, done);
            }
        }
    }

    #[cold]
    fn mismatch(&self, wrong: &Wrong, done: &Done) {
        let (space, page) = self.world.place(done.place.page);
        let writer = self.world.shadow.writer_of(done.place.byte);
        let place = format!(
            "{}: {} of space {space} page {page} (number {}) byte {} (writer {}) through window {}",
            self.world.name_of(self.thread),
            if done.store { "store" } else { "load" },
            done.place.page,
            done.place.byte,
            writer.map_or("nobody".to_owned(), |writer| writer.to_string()),
            done.place.view,
        );
        let evidence = Evidence {
            place: &place,
            page: done.place.page,
            before: done.before,
            after: done.after,
            expected: &Expectation(wrong),
            seen: &Seen(done.result, self.world.shadow.salt()),
        };
        self.world
            .mismatches
            .add_access(wrong, &evidence, &self.world.trail);
    }
}

/// What should have been, in words.
struct Expectation<'a>(&'a Wrong);

impl fmt::Display for Expectation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Wrong::Faulted(_) => f.write_str("no fault"),
            Wrong::NotFaulted(signal) | Wrong::OtherSignal(signal, _) => signal.fmt(f),
            Wrong::NotZero => f.write_str("zero, or the word of the file"),
            Wrong::Foreign | Wrong::Misplaced(_) => {
                f.write_str("what it was at first, or a stamp of this writer")
            }
            Wrong::NotYetStored(_, known) => write!(f, "store {} at most", known.begun),
            Wrong::Stale(..) => f.write_str("zero, or a store since the page was mapped"),
            Wrong::LostWrite(_, known) => write!(f, "store {} or a later one", known.sure),
        }
    }
}

/// What was seen, in words.
struct Seen(Result<u64, Fault>, u8);

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Ok(word) => match crate::oracle::Stamp::unpack(word, self.1) {
                Some(s) => write!(
                    f,
                    "{word:#x}: page number {}, writer {}, store {}",
                    s.page, s.writer, s.seq
                ),
                None => write!(f, "{word:#x}"),
            },
            Err(fault) => fault.fmt(f),
        }
    }
}
