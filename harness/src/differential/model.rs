// SPDX-License-Identifier: GPL-2.0-only
//! A space in userspace, page by page, as the header says it is: so that this
//! test can itself be tested, and can be shown to find what is wrong.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use super::call::{Call, FileName, Piece, Side, Source, canonical, has};
use super::files::{beyond_end, initial};
use crate::access::{Fault, Signal};
use crate::target::To;
use crate::{Advice, Placement, Prot};

/// A mistake that can be put into the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Bug {
    UnmapLeavesTheLastPage,
    NoreplaceReplaces,
    NoreplaceIsInvalid,
    HintGoesTooHigh,
    ProtectStopsAtAHole,
    ProtectLeavesTheLastPage,
    ProtectForgetsTheContent,
    ReadOnlyBecomesWritable,
    MoveLosesAPage,
    MoveCopies,
    MoveForgetsTheOffset,
    MoveForgetsTheProtection,
    MoveGoesOntoSomething,
    GrowReplacesTheNeighbour,
    GrowAnswersEfault,
    ShrinkKeepsTheTail,
    DontNeedKeeps,
    DontNeedEmptiesAFile,
    DontNeedStopsAtAHole,
    SharedIsACopy,
    PrivateIsShared,
    NothingBeyondTheEnd,
    NeverMerges,
    NoRegionIsSegv,
}

/// A page with a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    prot: Prot,
    source: Source,
    /// Number of its own content; words stored there are found by it.
    content: u64,
    /// Number of the change that made it.
    change: u64,
}

/// The model: pages with a region, and the words that were stored.
#[derive(Debug)]
pub struct Model {
    bug: Option<Bug>,
    cells: Vec<Option<Cell>>,
    words: HashMap<(u64, usize), u64>,
    files: HashMap<(u8, u32, usize), u64>,
    last_content: u64,
    changes: u64,
}

fn errno<T>(errno: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

impl Model {
    /// An arena of so many pages, with a mistake or without.
    pub fn new(pages: u32, bug: Option<Bug>) -> Model {
        Model {
            bug,
            // What lies behind the arena is free, too.
            cells: vec![None; 2 * pages as usize],
            words: HashMap::new(),
            files: HashMap::new(),
            last_content: 0,
            changes: 0,
        }
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn cell(&self, page: u32) -> Option<Cell> {
        self.cells.get(page as usize).copied().flatten()
    }

    fn part(&mut self, pages: Range<u32>) -> &mut [Option<Cell>] {
        &mut self.cells[pages.start as usize..pages.end as usize]
    }

    fn is_free(&self, pages: Range<u32>) -> bool {
        pages.into_iter().all(|page| self.cell(page).is_none())
    }

    fn has_hole(&self, pages: &Range<u32>) -> bool {
        pages.clone().any(|page| self.cell(page).is_none())
    }

    fn lowest_gap(&self, from: u32, count: u32) -> u32 {
        (from..)
            .find(|&at| self.is_free(at..at + count))
            .expect("it is free behind the arena")
    }

    fn fresh(&mut self, prot: Prot, source: Source) -> Cell {
        self.last_content += 1;
        Cell {
            prot,
            source,
            content: self.last_content,
            change: self.changes,
        }
    }

    fn fill(&mut self, pages: Range<u32>, prot: Prot, source: Source) {
        for page in pages.clone() {
            let cell = self.fresh(prot, source.plus(page - pages.start));
            self.cells[page as usize] = Some(cell);
        }
    }

    fn map(
        &mut self,
        pages: Range<u32>,
        prot: Prot,
        placement: Placement,
        source: Source,
    ) -> io::Result<u32> {
        let read_only = matches!(source, Source::File(FileName::ReadOnly, _));
        if read_only && has(prot, Prot::WRITE) && !self.is(Bug::ReadOnlyBecomesWritable) {
            return errno(libc::EACCES);
        }
        let count = pages.end - pages.start;
        let first = match placement {
            Placement::Fixed => pages.start,
            Placement::FixedNoreplace if self.is_free(pages.clone()) => pages.start,
            Placement::FixedNoreplace if self.is(Bug::NoreplaceReplaces) => pages.start,
            Placement::FixedNoreplace if self.is(Bug::NoreplaceIsInvalid) => {
                return errno(libc::EINVAL);
            }
            Placement::FixedNoreplace => return errno(libc::EEXIST),
            Placement::Hint => {
                let lowest = self.lowest_gap(pages.start, count);
                let higher = u32::from(self.is(Bug::HintGoesTooHigh) && lowest != pages.start);
                self.lowest_gap(lowest + higher, count)
            }
        };
        self.fill(first..first + count, prot, source);
        Ok(first)
    }

    fn unmap(&mut self, pages: Range<u32>) {
        let end = pages.end - u32::from(self.is(Bug::UnmapLeavesTheLastPage));
        self.part(pages.start..end).fill(None);
    }

    fn protect(&mut self, mut pages: Range<u32>, prot: Prot) -> io::Result<u32> {
        let first = pages.start;
        let hole = pages.clone().find(|&page| self.cell(page).is_none());
        if let Some(hole) = hole {
            if self.is(Bug::ProtectStopsAtAHole) {
                self.set_prot(first..hole, prot);
            }
            return errno(libc::ENOMEM);
        }
        let read_only = |cell: Cell| matches!(cell.source, Source::File(FileName::ReadOnly, _));
        let mut cells = pages.clone().filter_map(|page| self.cell(page));
        let refused = has(prot, Prot::WRITE) && cells.any(read_only);
        if refused && !self.is(Bug::ReadOnlyBecomesWritable) {
            return errno(libc::EACCES);
        }
        if self.is(Bug::ProtectForgetsTheContent) {
            let cell = self.cell(first).map(|cell| self.fresh(prot, cell.source));
            self.cells[first as usize] = cell;
        }
        if self.is(Bug::ProtectLeavesTheLastPage) {
            pages.end -= 1;
        }
        self.set_prot(pages, prot);
        Ok(first)
    }

    fn set_prot(&mut self, pages: Range<u32>, prot: Prot) {
        let change = self.changes;
        for cell in self.part(pages).iter_mut().flatten() {
            *cell = Cell {
                prot,
                change,
                ..*cell
            };
        }
    }

    /// The end of the region that has `page`, and what its pages go on with.
    fn region_end(&self, page: u32) -> Option<(u32, Cell)> {
        let pieces = canonical(&self.pieces());
        let region = pieces
            .into_iter()
            .find(|piece| piece.pages.contains(&page))?;
        Some((region.pages.end, self.cell(region.pages.end - 1)?))
    }

    fn remap(&mut self, old: Range<u32>, count: u32, to: To) -> io::Result<u32> {
        let length = old.end - old.start;
        if let To::Fixed(new) = to {
            if new < old.end && old.start < new + count {
                return errno(libc::EINVAL);
            }
        }
        let Some((end, last)) = self.region_end(old.start) else {
            return errno(libc::EFAULT);
        };
        let fixed = matches!(to, To::Fixed(_));
        if !fixed && count <= length {
            if !self.is(Bug::ShrinkKeepsTheTail) {
                self.part(old.start + count..old.end).fill(None);
            }
            return Ok(old.start);
        }
        if count != length && end < old.start + length.min(count) {
            return errno(libc::EFAULT);
        }
        if let To::Fixed(new) = to {
            self.move_pages(old, count, new);
            return Ok(new);
        }
        let tail = old.end..old.start + count;
        let room = self.is_free(tail.clone()) || self.is(Bug::GrowReplacesTheNeighbour);
        if end == old.end && room {
            self.fill(tail, last.prot, last.source.plus(1));
            return Ok(old.start);
        }
        if to == To::Stay {
            let wrong = self.is(Bug::GrowAnswersEfault);
            return errno(if wrong { libc::EFAULT } else { libc::ENOMEM });
        }
        let new = match self.is(Bug::MoveGoesOntoSomething) {
            true if old.start >= count => 0,
            _ => self.lowest_gap(0, count),
        };
        self.move_pages(old, count, new);
        Ok(new)
    }

    fn move_pages(&mut self, old: Range<u32>, count: u32, new: u32) {
        let taken: Vec<Option<Cell>> = self.part(old.clone()).to_vec();
        if !self.is(Bug::MoveCopies) {
            self.part(old.clone()).fill(None);
        }
        let change = self.changes;
        let moved = taken.into_iter().take(count as usize).zip(new..);
        for (mut cell, to) in moved.filter_map(|(cell, to)| Some((cell?, to))) {
            cell.change = change;
            if self.is(Bug::MoveLosesAPage) && to == new + count / 2 {
                cell.content = self.fresh(cell.prot, cell.source).content;
            }
            if self.is(Bug::MoveForgetsTheProtection) {
                cell.prot = Prot::READ_WRITE;
            }
            if let (true, Source::File(name, page)) =
                (self.is(Bug::MoveForgetsTheOffset), cell.source)
            {
                cell.source = Source::File(name, page.saturating_sub(1));
            }
            self.cells[to as usize] = Some(cell);
        }
        let length = old.end - old.start;
        if count > length {
            if let Some(last) = self.cell(new + length - 1) {
                let grown = new + length..new + count;
                self.fill(grown, last.prot, last.source.plus(1));
            }
        }
    }

    fn advise(&mut self, pages: Range<u32>, advice: Advice) -> io::Result<u32> {
        if self.has_hole(&pages) {
            if self.is(Bug::DontNeedStopsAtAHole) && advice == Advice::DontNeed {
                self.discard(pages);
            }
            return errno(libc::ENOMEM);
        }
        match advice {
            Advice::DontNeed if self.is(Bug::DontNeedKeeps) => {}
            Advice::DontNeed => self.discard(pages.clone()),
            Advice::WillNeed => {
                let beyond = |cell: Cell| match cell.source {
                    Source::Anon => false,
                    Source::File(name, page) => beyond_end(name, page),
                };
                if pages.clone().filter_map(|page| self.cell(page)).any(beyond) {
                    return errno(libc::EFAULT);
                }
            }
        }
        Ok(pages.start)
    }

    fn discard(&mut self, pages: Range<u32>) {
        for page in pages {
            let Some(cell) = self.cell(page) else {
                continue;
            };
            let empty = self.is(Bug::DontNeedEmptiesAFile) && cell.source != Source::Anon;
            let mut new = self.fresh(cell.prot, cell.source);
            if empty {
                new.source = Source::Anon;
            }
            new.change = cell.change;
            self.cells[page as usize] = Some(new);
        }
    }

    /// Whether an access is refused.
    fn fault(&self, page: u32, store: bool) -> Result<Cell, Fault> {
        let fault = |signal, code| Err(Fault { signal, code });
        let Some(cell) = self.cell(page) else {
            return match self.is(Bug::NoRegionIsSegv) {
                true => fault(Signal::Segv, 1),
                false => fault(Signal::Bus, 2),
            };
        };
        // On x86 what can be written can be read.
        let readable = cell.prot != Prot::NONE;
        if !readable || store && !has(cell.prot, Prot::WRITE) {
            return fault(Signal::Segv, 1);
        }
        match cell.source {
            Source::File(name, page)
                if beyond_end(name, page) && !self.is(Bug::NothingBeyondTheEnd) =>
            {
                fault(Signal::Bus, 2)
            }
            _ => Ok(cell),
        }
    }

    /// The word of a file behind a region, if stores to it go to the file.
    fn shared_word(&self, cell: Cell, byte: usize) -> Option<(u8, u32, usize)> {
        match cell.source {
            Source::File(FileName::Private, _) if !self.is(Bug::PrivateIsShared) => None,
            Source::File(name, page) if !self.is(Bug::SharedIsACopy) => {
                Some((name as u8, page, byte))
            }
            _ => None,
        }
    }

    fn pieces(&self) -> Vec<Piece> {
        let cells = (0..).zip(&self.cells[..self.cells.len() / 2]);
        cells
            .filter_map(|(page, cell)| {
                cell.map(|cell| Piece {
                    pages: page..page + 1,
                    prot: cell.prot,
                    source: cell.source,
                })
            })
            .collect()
    }
}

impl Side for Model {
    fn call(&mut self, call: &Call) -> io::Result<u32> {
        self.changes += 1;
        match call.clone() {
            Call::Map {
                pages,
                prot,
                placement,
                source,
            } => self.map(pages, prot, placement, source),
            Call::Unmap { pages } => {
                self.unmap(pages.clone());
                Ok(pages.start)
            }
            Call::Protect { pages, prot } => self.protect(pages, prot),
            Call::Remap { old, count, to } => self.remap(old, count, to),
            Call::Advise { pages, advice } => self.advise(pages, advice),
        }
    }

    fn load(&mut self, page: u32, byte: usize) -> Result<u64, Fault> {
        let cell = self.fault(page, false)?;
        if let Some(word) = self.shared_word(cell, byte) {
            let initial = initial_of(cell.source, byte);
            return Ok(self.files.get(&word).copied().unwrap_or(initial));
        }
        let stored = self.words.get(&(cell.content, byte)).copied();
        Ok(stored.unwrap_or_else(|| initial_of(cell.source, byte)))
    }

    fn store(&mut self, page: u32, byte: usize, value: u64) -> Result<(), Fault> {
        let cell = self.fault(page, true)?;
        match self.shared_word(cell, byte) {
            Some(word) => self.files.insert(word, value),
            None => self.words.insert((cell.content, byte), value),
        };
        Ok(())
    }

    fn regions(&mut self) -> io::Result<Vec<Piece>> {
        let pieces = self.pieces();
        if !self.is(Bug::NeverMerges) {
            return Ok(canonical(&pieces));
        }
        let mut apart: Vec<Piece> = Vec::new();
        for piece in pieces {
            let change = |page| self.cell(page).map(|cell| cell.change);
            match apart.last_mut() {
                Some(last)
                    if last.continues(&piece)
                        && change(last.pages.start) == change(piece.pages.start) =>
                {
                    last.pages.end += 1;
                }
                _ => apart.push(piece),
            }
        }
        Ok(apart)
    }

    fn file_word(&self, file: FileName, page: u32, byte: usize) -> io::Result<Option<u64>> {
        if beyond_end(file, page) {
            return Ok(None);
        }
        let word = self.files.get(&(file as u8, page, byte)).copied();
        let whole = byte == 0 || !beyond_word(file, page, byte);
        Ok(whole.then(|| word.unwrap_or_else(|| initial(file, page, byte))))
    }
}

/// True if the file ends within the page, before that word.
fn beyond_word(file: FileName, page: u32, byte: usize) -> bool {
    file == FileName::Private && beyond_end(file, page + 1) && byte >= 2048
}

fn initial_of(source: Source, byte: usize) -> u64 {
    match source {
        Source::Anon => 0,
        Source::File(name, page) => initial(name, page, byte),
    }
}
