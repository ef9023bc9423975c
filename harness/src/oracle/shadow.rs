// SPDX-License-Identifier: GPL-2.0-only
//! The shared memory in which the oracle keeps what it knows.

use std::io;
use std::sync::atomic::{
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

use super::{Content, Fresh, Stamp, State};
use crate::shared::SharedWords;

/// Words of 8 bytes in a page.
const PAGE_WORDS: u32 = 512;
/// Words kept per page and writer.
const RECORD: usize = 3;
const BEGUN: usize = 0;
const ENDED: usize = 1;
const SURE: usize = 2;
/// The salt of floors, which are not words of any page.
const FLOOR: u8 = 1;
/// In `ended`: the epoch was the same before and after the store.
const SAME_EPOCH: u64 = 1 << 62;

/// What a loader knows of one writer's stores to one page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The last store that is over; 0 if there was none.
    pub ended: u32,
    /// The epoch at its end.
    pub ended_epoch: u32,
    /// The epoch at its start is not greater than this.
    pub ended_start: u32,
    /// The last store that landed under a constant state; 0 if there was none.
    pub sure: u32,
    /// The epoch of that state.
    pub sure_epoch: u32,
    /// The last store that may have begun.
    pub begun: u32,
}

/// The states of all pages and the records of all stores. Pages are numbered
/// over all spaces of a run.
#[derive(Debug)]
pub struct Shadow {
    writers: u32,
    salt: u8,
    states: SharedWords,
    records: SharedWords,
    contents: SharedWords,
    /// For each page and writer: a store that its content has, or a later one.
    floors: SharedWords,
    /// The same for each page of the memfd, while no region shows it.
    file_floors: SharedWords,
}

impl Shadow {
    /// For `pages` pages and `writers` accessors; the seed sets the salt.
    pub fn new(pages: u32, writers: u32, seed: u64) -> io::Result<Shadow> {
        assert!(pages <= Stamp::MAX_PAGES, "{pages} pages");
        assert!(writers < Stamp::MAX_WRITERS, "{writers} writers");
        let states = SharedWords::new(pages as usize)?;
        states
            .iter()
            .for_each(|word| word.store(State::NEW.pack(), Relaxed));
        let words = pages as usize * writers as usize;
        let records = SharedWords::new(words * RECORD)?;
        Ok(Shadow {
            writers,
            salt: (seed % 15) as u8 + 1,
            states,
            records,
            contents: SharedWords::new(pages as usize)?,
            floors: SharedWords::new(words)?,
            file_floors: SharedWords::new(words)?,
        })
    }

    /// Number of accessors.
    pub fn writers(&self) -> u32 {
        self.writers
    }

    /// The salt of this run's stamps.
    pub fn salt(&self) -> u8 {
        self.salt
    }

    /// The byte within each page that `writer` writes: one word each, spread
    /// over the cache lines. The same in all pages: so what an earlier user of
    /// the page left is found where it is looked for.
    pub fn byte_of(writer: u32) -> usize {
        // 37 is odd, so no two writers below 512 meet.
        (writer.wrapping_mul(37) % PAGE_WORDS) as usize * 8
    }

    /// The writer of this byte's word, the inverse of [`byte_of`](Shadow::byte_of).
    pub fn writer_of(&self, byte: usize) -> Option<u32> {
        // 37 * 429 = 31 * 512 + 1
        let writer = (byte as u32 / 8).wrapping_mul(429) % PAGE_WORDS;
        (writer < self.writers).then_some(writer)
    }

    /// The state of a page now (A1 and A2 of the protocol). Pairs with
    /// [`publish`](Shadow::publish) and [`begin_change`](Shadow::begin_change).
    pub fn state(&self, page: u32) -> State {
        State::unpack(self.states[page as usize].load(Acquire))
    }

    /// R1: announces a change of these pages: whether content with a past of its
    /// own comes to each. By their owner only.
    pub fn begin_change(&self, pages: impl IntoIterator<Item = (u32, bool)>) {
        for (page, arrives) in pages {
            let state = self.state(page);
            let next = if arrives {
                state.arriving()
            } else {
                state.changing()
            };
            self.states[page as usize].store(next.pack(), Release);
        }
        // Pairs with the fence in `end_store`: the call comes after the stores.
        fence(SeqCst);
    }

    /// R2: the change is over. By the owner only.
    pub fn publish(&self, page: u32, state: State) {
        debug_assert_eq!(
            self.state(page).epoch,
            state.epoch,
            "no change was announced"
        );
        // Release: who sees this state comes after the call that made it.
        self.states[page as usize].store(state.pack(), Release);
    }

    /// The content of a page, known for sure in a constant state.
    pub fn content(&self, page: u32) -> Content {
        Content::unpack(self.contents[page as usize].load(Acquire))
    }

    /// A store of `writer` that the content of the page has, or a later one.
    pub fn floor(&self, page: u32, writer: u32) -> Option<Stamp> {
        Stamp::unpack(self.floors[self.word(page, writer)].load(Acquire), FLOOR)
    }

    /// The same of a page of the memfd, while no region shows it.
    pub fn file_floor(&self, page: u32, writer: u32) -> Option<Stamp> {
        Stamp::unpack(
            self.file_floors[self.word(page, writer)].load(Acquire),
            FLOOR,
        )
    }

    fn word(&self, page: u32, writer: u32) -> usize {
        page as usize * self.writers as usize + writer as usize
    }

    /// What the content of the page must have of each writer, when it leaves in
    /// a change that was announced in the state `before`. By the owner only.
    fn floors_of(&self, page: u32, before: State) -> Vec<u64> {
        let floor = |writer| {
            let known = self.known_before(page, writer);
            let stamp = Stamp {
                page,
                writer: writer as u8,
                seq: known.sure,
            };
            match known.sure != 0 && known.sure_epoch >= before.origin {
                true => stamp.pack(FLOOR),
                // Relaxed: the owner's own word.
                false => self.floors[self.word(page, writer)].load(Relaxed),
            }
        };
        (0..self.writers).map(floor).collect()
    }

    fn set_content(&self, page: u32, content: Content, floors: &[u64]) {
        // Release, here and below: the state that is published next orders it.
        self.contents[page as usize].store(content.pack(), Release);
        for (writer, floor) in (0..).zip(floors) {
            self.floors[self.word(page, writer)].store(*floor, Release);
        }
    }

    /// Before R2: the page has lost its content. A memfd keeps its own.
    pub fn lose(&self, page: u32, before: State) {
        if self.content(page).fresh == Fresh::Shared {
            for (writer, floor) in (0..).zip(self.floors_of(page, before)) {
                self.file_floors[self.word(page, writer)].store(floor, Release);
            }
        }
        let none = vec![0; self.writers as usize];
        self.set_content(page, Content::new(Fresh::Zero, page), &none);
    }

    /// Before R2: the page, which had lost its own, has new content.
    pub fn gain(&self, page: u32, fresh: Fresh) {
        let floors: Vec<u64> = match fresh {
            Fresh::Shared => (0..self.writers)
                .map(|writer| self.file_floors[self.word(page, writer)].load(Relaxed))
                .collect(),
            Fresh::Zero | Fresh::File(_) => vec![0; self.writers as usize],
        };
        self.set_content(page, Content::new(fresh, page), &floors);
    }

    /// Before R2: the content of `from`, which was in the state `before`, has
    /// moved to the page `to`, which had lost its own.
    pub fn carry(&self, from: u32, before: State, to: u32) {
        let floors = self.floors_of(from, before);
        self.set_content(to, self.content(from).moved(from), &floors);
        let none = vec![0; self.writers as usize];
        self.set_content(from, Content::new(Fresh::Zero, from), &none);
    }

    fn record(&self, page: u32, writer: u32) -> &[std::sync::atomic::AtomicU64] {
        let at = (page as usize * self.writers as usize + writer as usize) * RECORD;
        &self.records[at..at + RECORD]
    }

    /// Announces the next store of `writer` to `page` and returns its stamp,
    /// or `None` if the numbers are used up. By the writer only.
    pub fn begin_store(&self, page: u32, writer: u32) -> Option<Stamp> {
        let record = self.record(page, writer);
        // Relaxed: the writer reads its own word.
        let seq = (record[BEGUN].load(Relaxed) as u32).checked_add(1)?;
        // Release, and x86 keeps stores in order: who sees the stamp in the
        // page sees this.
        record[BEGUN].store(u64::from(seq), Release);
        Some(Stamp {
            page,
            writer: writer as u8,
            seq,
        })
    }

    /// Ends the store that [`begin_store`](Shadow::begin_store) announced
    /// before the state was `before`, and returns the state after it.
    pub fn end_store(&self, stamp: Stamp, before: State, succeeded: bool) -> State {
        // Pairs with the fence in `begin_change`, see the module documentation.
        fence(SeqCst);
        let after = self.state(stamp.page);
        let record = self.record(stamp.page, u32::from(stamp.writer));
        let entry = (u64::from(after.epoch) << 32) | u64::from(stamp.seq);
        if succeeded && before == after && after.kind == super::Kind::ReadWrite {
            // Release, here and below: who sees the record comes after A2.
            record[SURE].store(entry, Release);
        }
        let same = if before.epoch == after.epoch {
            SAME_EPOCH
        } else {
            0
        };
        record[ENDED].store(entry | same, Release);
        after
    }

    /// What is known before a load, after A1. `begun` is for
    /// [`known_after`](Shadow::known_after) to fill in.
    pub fn known_before(&self, page: u32, writer: u32) -> Known {
        let record = self.record(page, writer);
        let sure = record[SURE].load(Acquire);
        let ended = record[ENDED].load(Acquire);
        let ended_epoch = ((ended & !SAME_EPOCH) >> 32) as u32;
        let crossed = u32::from(ended & SAME_EPOCH == 0);
        Known {
            ended: ended as u32,
            ended_epoch,
            ended_start: ended_epoch.saturating_sub(crossed),
            sure: sure as u32,
            sure_epoch: (sure >> 32) as u32,
            begun: 0,
        }
    }

    /// The last store of `writer` through the page that may have begun.
    pub fn begun(&self, page: u32, writer: u32) -> u32 {
        if page as usize >= self.states.len() {
            return 0;
        }
        self.record(page, writer)[BEGUN].load(Acquire) as u32
    }

    /// Completes what is known after the load, before A2.
    pub fn known_after(&self, page: u32, writer: u32, known: Known) -> Known {
        let begun = self.begun(page, writer);
        Known { begun, ..known }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn each_writer_has_a_word_of_its_own() {
        let shadow = Shadow::new(4, 200, 0).expect("memory");
        for writer in 0..200 {
            assert_eq!(shadow.writer_of(Shadow::byte_of(writer)), Some(writer));
        }
        let owned = (0..512).filter(|word| shadow.writer_of(word * 8).is_some());
        assert_eq!(owned.count(), 200);
    }

    #[test]
    fn a_store_across_a_change_is_over_but_not_sure() {
        let shadow = Shadow::new(1, 1, 0).expect("memory");
        shadow.begin_change([(0, false)]);
        shadow.publish(0, shadow.state(0).renewed(Kind::ReadWrite));
        let before = shadow.state(0);
        let first = shadow.begin_store(0, 0).expect("a number");
        assert_eq!(shadow.end_store(first, before, true), before);
        let second = shadow.begin_store(0, 0).expect("a number");
        shadow.begin_change([(0, false)]);
        let after = shadow.end_store(second, before, true);
        assert_eq!(after, before.changing());
        let known = shadow.known_after(0, 0, shadow.known_before(0, 0));
        assert_eq!((known.sure, known.sure_epoch), (1, 2));
        assert_eq!(
            (known.ended, known.ended_epoch, known.ended_start),
            (2, 3, 2)
        );
        assert_eq!(known.begun, 2);
    }
}
