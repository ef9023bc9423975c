// SPDX-License-Identifier: GPL-2.0-only

//! A space of a few pages, and what must be true of it.

use std::ops::Range;

use faultline_portable_loom::sync::{Acquire, AtomicWord, Release};

use super::{
    directory::Directory,
    known::Known,
    leaf::LEAF_PAGES,
    lock::{Held, Lock},
    pages::{PageId, Pages},
    region::{Access, Object, Region},
    room::Room,
    table::{Entry, Table},
};

pub(crate) struct World {
    /// The region of each page, as a word. Stored as by `rcu_assign_pointer()`, and
    /// loaded as by `rcu_dereference()`.
    regions: Vec<AtomicWord>,
    /// The range lock of each page.
    pub(super) ranges: Vec<Lock>,
    pub(crate) directory: Directory,
    /// The page table of each window.
    pub(super) tables: Vec<Table>,
    pub(crate) pages: Pages,
    known: Vec<Known>,
    /// What was in the slots first.
    firsts: Vec<Option<PageId>>,
    lives: Option<Lives>,
    /// If there is a limit.
    room: Option<Room>,
}

/// The regions as objects, in the models of their end.
struct Lives {
    /// Held by readers. A change waits for them here before it frees a region.
    rcu: Lock,
    /// The first region of each page.
    objects: Vec<Object>,
}

/// How a page begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) region: Option<Region>,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    Empty,
    /// There is a page, which has been written.
    Page,
    /// And an entry for it.
    Entry(Access),
}

/// A region that has the page, and what was seen of its object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) region: Region,
    count: u32,
}

/// The leaf of a page, and the slot in it.
pub(crate) fn position(page: usize) -> (usize, usize) {
    (page / LEAF_PAGES, page % LEAF_PAGES)
}

impl World {
    pub(crate) fn new(
        starts: &[Start],
        windows: usize,
        has_lives: bool,
        room: Option<usize>,
        hints: bool,
    ) -> Self {
        let mut world = Self {
            regions: Vec::new(),
            ranges: Vec::new(),
            directory: Directory::new(starts.len()),
            tables: (0..windows).map(|_| Table::new(starts.len())).collect(),
            pages: Pages::default(),
            known: Vec::new(),
            firsts: Vec::new(),
            lives: has_lives.then(|| Lives {
                rcu: Lock::default(),
                objects: starts.iter().map(|_| Object::new()).collect(),
            }),
            room: room.map(Room::new),
        };
        for (page, start) in starts.iter().enumerate() {
            world.begin(page, *start, hints);
        }
        world
    }

    fn begin(&mut self, page: usize, start: Start, hints: bool) {
        let word = AtomicWord::new(Region::to_word(start.region));
        self.regions.push(word);
        self.ranges.push(Lock::default());
        self.known.push(Known::default());
        self.known[page].store(start.region);
        let first = match (start.region, start.content) {
            (None, _) | (_, Content::Empty) => None,
            (Some(region), _) => {
                let first = self.pages.make(region.source);
                self.pages.belongs_to(first, region);
                self.pages.write(first);
                let (index, slot) = position(page);
                let leaf = self.directory.make_leaf(index);
                let mut leaf = leaf.lock();
                leaf.fill(slot, first);
                leaf.expect(hints.then_some(region.source));
                Some(first)
            }
        };
        self.firsts.push(first);
        if let (Some(first), Content::Entry(access)) = (first, start.content) {
            for table in &self.tables {
                table.install(page, first, access);
            }
        }
    }

    /// What a reader finds.
    #[track_caller]
    pub(crate) fn region(&self, page: usize) -> Option<Seen> {
        let rcu = self.lives.as_ref().map(|lives| lives.rcu.hold());
        let region = Region::of_word(self.regions[page].load(Acquire))?;
        let count = self.count(page);
        drop(rcu);
        Some(Seen { region, count })
    }

    #[track_caller]
    fn count(&self, page: usize) -> u32 {
        let lives = self.lives.as_ref();
        lives.map_or(0, |lives| lives.objects[page].count())
    }

    /// Whether the object that was seen counts no change. It may be gone. None unless
    /// regions are objects.
    #[track_caller]
    pub(crate) fn has_count(&self, page: usize, seen: Seen) -> Option<bool> {
        self.lives.as_ref()?;
        Some(self.count(page) == seen.count)
    }

    /// Puts another region there. A change has the pages.
    pub(crate) fn store(&self, pages: impl IntoIterator<Item = usize>, region: Option<Region>) {
        for page in pages {
            if let Some(lives) = &self.lives {
                lives.objects[page].count_change();
            }
            self.known[page].store(region);
            self.regions[page].store(Region::to_word(region), Release);
        }
    }

    /// Frees the regions that were there first, when no reader can have them.
    pub(crate) fn free(&self, pages: Range<usize>) {
        if let Some(lives) = &self.lives {
            drop(lives.rcu.hold());
            lives.objects[pages].iter().for_each(Object::free);
        }
    }

    /// Has these pages for a change. Once it has returned, no CPU can do what the
    /// regions forbid then.
    pub(crate) fn change(
        &self,
        pages: impl IntoIterator<Item = usize> + Clone,
        body: impl FnOnce(),
    ) {
        self.change_holding(pages, |ranges| {
            body();
            ranges
        });
    }

    /// The same, but faults may lock the pages behind `regions`.
    pub(crate) fn change_and_let_in(
        &self,
        pages: Range<usize>,
        regions: impl FnOnce(),
        rest: impl FnOnce(),
    ) {
        self.change_holding(pages, |ranges| {
            regions();
            drop(ranges);
            rest();
            Vec::new()
        });
    }

    fn change_holding<'a>(
        &'a self,
        pages: impl IntoIterator<Item = usize> + Clone,
        body: impl FnOnce(Vec<Held<'a>>) -> Vec<Held<'a>>,
    ) {
        let pages = || pages.clone().into_iter();
        let ranges = pages().map(|page| self.ranges[page].hold()).collect();
        pages().for_each(|page| self.known[page].begin());
        let ranges = body(ranges);
        for page in pages() {
            self.known[page].end();
            self.look(page);
        }
        drop(ranges);
    }

    /// Takes the entries of the pages out of all windows, one after the other.
    pub(crate) fn zap(&self, pages: Range<usize>) {
        self.tables
            .iter()
            .for_each(|table| table.zap(pages.clone()));
    }

    /// A page that was in a slot ends.
    #[track_caller]
    pub(crate) fn free_page(&self, page: PageId) {
        let is_mapped = self.tables.iter().any(|table| table.has(page));
        assert!(!is_mapped, "a page is freed while an entry has it");
        self.pages.discard(page);
    }

    /// Whether a page more would be too many.
    pub(crate) fn is_full(&self) -> bool {
        self.room.as_ref().is_some_and(Room::is_full)
    }

    /// Counts a page more, if it is not too many. Returns whether that was so.
    pub(crate) fn try_add_one(&self) -> bool {
        self.room.as_ref().is_none_or(Room::try_add_one)
    }

    /// The page that was there first has been discarded.
    #[track_caller]
    pub(crate) fn must_have_lost_first(&self, page: usize) {
        let first = self.firsts[page].expect("a page");
        assert!(self.pages.is_discarded(first), "a page is not discarded");
    }

    /// The page that was there first is at `page` now.
    #[track_caller]
    pub(crate) fn must_have_kept_first(&self, from: usize, page: usize) {
        assert_eq!(self.in_slot(page), self.firsts[from], "not the page");
    }

    fn in_slot(&self, page: usize) -> Option<PageId> {
        let (index, slot) = position(page);
        self.directory.leaf(index)?.lock().get(slot)
    }

    /// Its entries may be there.
    #[track_caller]
    fn look(&self, page: usize) {
        for table in &self.tables {
            table.walk(page, |entry| self.check(page, entry));
        }
    }

    /// The entry may be there.
    #[track_caller]
    pub(crate) fn check(&self, page: usize, entry: Option<Entry>) {
        let Some(entry) = entry else { return };
        let is_discarded = self.pages.is_discarded(entry.page);
        assert!(!is_discarded, "an entry for a page that is discarded");
        let known = &self.known[page];
        if !known.is_changing() {
            let region = known.region().expect("an entry where there is no region");
            let allowed = region.writable || !entry.writable;
            assert!(allowed, "a writable entry where that is forbidden");
            self.pages.check_in(entry.page, region);
        }
    }

    /// What must be true when all threads have ended.
    pub(crate) fn check_at_rest(&self) {
        self.directory.check_at_rest();
        let slots: Vec<_> = (0..self.regions.len())
            .map(|page| self.in_slot(page))
            .collect();
        self.pages.check_at_rest(&slots);
        for (page, in_slot) in slots.iter().enumerate() {
            self.look(page);
            for table in &self.tables {
                let entry = table.walk(page, |entry| entry);
                let agrees = entry.is_none_or(|entry| Some(entry.page) == *in_slot);
                assert!(agrees, "an entry for a page that is not in the slot");
            }
            if let Some(id) = *in_slot {
                let region = self.known[page].region();
                let region = region.expect("a page where there is no region");
                assert!(!region.pending, "a region is pending for ever");
                self.pages.check_in(id, region);
            }
        }
    }
}
