// SPDX-License-Identifier: GPL-2.0-only
//! The random sequence: what is worth doing next, given the regions there are.

use std::ops::Range;

use super::call::{Call, FileName, Piece, Source, Step, WORDS};
use super::files::{FILE_PAGES, first_page};
use crate::rng::Rng;
use crate::target::{Operation, Operations, To};
use crate::{Advice, Placement, Prot};

/// Makes steps. The same seed and the same regions give the same steps.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
    pages: u32,
    operations: Operations,
    stored: u64,
}

impl Generator {
    /// Steps in an arena of so many pages.
    pub fn new(seed: u64, pages: u32, operations: Operations) -> Generator {
        Generator {
            rng: Rng::new(seed, 0x6469_6666),
            pages,
            operations,
            stored: 0,
        }
    }

    /// The next step, where these regions are.
    pub fn step(&mut self, regions: &[Piece]) -> Step {
        if self.rng.below(100) < 45 {
            return self.access(regions);
        }
        let may = |operation| self.operations.has(operation);
        let any_remap = [Operation::Shrink, Operation::Grow, Operation::Move]
            .into_iter()
            .any(may);
        Step::Call(match self.rng.below(100) {
            0..30 => self.map(regions),
            30..42 => Call::Unmap {
                pages: self.range(regions),
            },
            42..62 if may(Operation::Protect) => Call::Protect {
                pages: self.range(regions),
                prot: self.prot(),
            },
            62..84 if any_remap => return self.remap(regions),
            84.. => match self.rng.below(3) {
                0 if self.operations.has(Operation::WillNeed) => {
                    self.advise(regions, Advice::WillNeed)
                }
                _ if self.operations.has(Operation::DontNeed) => {
                    self.advise(regions, Advice::DontNeed)
                }
                _ => self.map(regions),
            },
            _ => self.map(regions),
        })
    }

    fn access(&mut self, regions: &[Piece]) -> Step {
        let page = match self.pick(regions) {
            Some(region) if !self.rng.one_in(5) => self.page_of(&region.pages),
            _ => self.rng.below(u64::from(self.pages)) as u32,
        };
        let byte = self.word();
        if self.rng.one_in(3) {
            return Step::Load { page, byte };
        }
        self.stored += 1;
        let value = self.stored;
        Step::Store { page, byte, value }
    }

    /// One of the words that are used.
    pub fn word(&mut self) -> usize {
        WORDS[self.rng.below(WORDS.len() as u64) as usize]
    }

    /// True once in `n` times on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.rng.one_in(n)
    }

    fn pick(&mut self, regions: &[Piece]) -> Option<Piece> {
        let index = self.rng.below(regions.len().max(1) as u64) as usize;
        regions.get(index).cloned()
    }

    fn page_of(&mut self, pages: &Range<u32>) -> u32 {
        pages.start + self.rng.below(u64::from(pages.end - pages.start)) as u32
    }

    /// A page at or next to an end of a region, or any.
    fn border(&mut self, regions: &[Piece]) -> u32 {
        let any = self.rng.below(u64::from(self.pages)) as u32;
        let Some(region) = self.pick(regions).filter(|_| !self.rng.one_in(4)) else {
            return any;
        };
        let page = match self.rng.below(4) {
            0 => region.pages.start,
            1 => region.pages.end,
            2 => region.pages.start.saturating_sub(1),
            _ => self.page_of(&region.pages),
        };
        page.min(self.pages - 1)
    }

    fn count(&mut self) -> u32 {
        let some = u64::from(self.pages / 8).max(1);
        let most = if self.rng.one_in(8) { 3 * some } else { some };
        self.rng.below(most) as u32 + 1
    }

    /// Pages that are a region, a part of one, or reach over several.
    fn range(&mut self, regions: &[Piece]) -> Range<u32> {
        let region = self.pick(regions);
        match (self.rng.below(4), region) {
            (0, Some(region)) => region.pages,
            (1, Some(region)) => {
                let start = self.page_of(&region.pages);
                start..self.page_of(&(start..region.pages.end)) + 1
            }
            _ => self.free_range(regions),
        }
    }

    /// Pages from some border on.
    fn free_range(&mut self, regions: &[Piece]) -> Range<u32> {
        let start = self.border(regions);
        start..(start + self.count()).min(self.pages)
    }

    fn prot(&mut self) -> Prot {
        match self.rng.below(12) {
            0..2 => Prot::NONE,
            2..5 => Prot::READ,
            5 => Prot::WRITE,
            _ => Prot::READ_WRITE,
        }
    }

    fn source(&mut self) -> Source {
        let mut names = vec![];
        if self.operations.has(Operation::Shared) {
            names.extend([FileName::Shared, FileName::Shared, FileName::ReadOnly]);
        }
        if self.operations.has(Operation::Private) {
            names.extend([FileName::Private, FileName::Private]);
        }
        match names.get(self.rng.below(2 * names.len().max(1) as u64) as usize) {
            Some(&name) => {
                // Now and then a little beyond the end.
                let page = self.rng.below(u64::from(FILE_PAGES) + 2) as u32;
                Source::File(name, first_page(name) + page)
            }
            None => Source::Anon,
        }
    }

    fn map(&mut self, regions: &[Piece]) -> Call {
        let pages = self.free_range(regions);
        let placement = match self.rng.below(3) {
            0 => Placement::Hint,
            1 => Placement::Fixed,
            _ => Placement::FixedNoreplace,
        };
        let mut source = self.source();
        // Where it might join its neighbour below.
        let below = regions
            .iter()
            .find(|region| region.pages.end == pages.start);
        let mut prot = self.prot();
        if let Some(below) = below.filter(|_| self.rng.one_in(2)) {
            source = below.source.plus(below.pages.end - below.pages.start);
            prot = below.prot;
        }
        Call::Map {
            pages,
            prot,
            placement,
            source,
        }
    }

    fn advise(&mut self, regions: &[Piece], advice: Advice) -> Call {
        Call::Advise {
            pages: self.range(regions),
            advice,
        }
    }

    fn remap(&mut self, regions: &[Piece]) -> Step {
        let mut old = self.range(regions);
        // Growing in place takes a region's end.
        if let Some(region) = self.pick(regions).filter(|_| self.rng.one_in(2)) {
            old = self.page_of(&region.pages)..region.pages.end;
        }
        let length = old.end - old.start;
        let may = |operation| self.operations.has(operation);
        let (grow, shrink) = (may(Operation::Grow), may(Operation::Shrink));
        let moves = may(Operation::Move);
        let mut count = match self.rng.below(4) {
            0 if shrink => self.rng.below(u64::from(length)) as u32 + 1,
            1 | 2 if grow => length + self.count(),
            _ => length,
        };
        let to = match self.rng.below(5) {
            0 | 1 if moves => {
                count = count.min(self.pages);
                let near = self.border(regions).min(self.pages - count);
                let any = self.rng.below(u64::from(self.pages - count) + 1) as u32;
                To::Fixed(if self.rng.one_in(2) { near } else { any })
            }
            2 | 3 if moves => To::MayMove,
            _ => To::Stay,
        };
        if !matches!(to, To::Fixed(_)) {
            // What grows in place stays in the arena.
            count = count.min(self.pages - old.start);
        }
        Step::Call(Call::Remap { old, count, to })
    }
}
