// SPDX-License-Identifier: GPL-2.0-only
//! What is done to both sides: calls and accesses, in pages of the arena.

use std::fmt;
use std::io;
use std::ops::Range;

use crate::access::Fault;
use crate::target::To;
use crate::{Advice, PAGE_SIZE, Placement, Prot};

/// A file that each side has one of, all with the same content at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    /// A memfd, mapped SHARED.
    Shared,
    /// A memfd that is open for reading only, mapped SHARED.
    ReadOnly,
    /// A file whose last page is not full, mapped PRIVATE.
    Private,
}

impl FileName {
    /// Every file.
    pub const ALL: [FileName; 3] = [FileName::Shared, FileName::ReadOnly, FileName::Private];
}

/// Where the pages of a region come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Zero-filled memory.
    Anon,
    /// A file, from this page of it on.
    File(FileName, u32),
}

impl Source {
    /// What a region that begins `pages` later has.
    #[must_use]
    pub fn plus(self, pages: u32) -> Source {
        match self {
            Source::Anon => Source::Anon,
            Source::File(name, page) => Source::File(name, page + pages),
        }
    }
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the calls of these names")]
pub enum Call {
    Map {
        pages: Range<u32>,
        prot: Prot,
        placement: Placement,
        source: Source,
    },
    Unmap {
        pages: Range<u32>,
    },
    Protect {
        pages: Range<u32>,
        prot: Prot,
    },
    Remap {
        old: Range<u32>,
        count: u32,
        to: To,
    },
    Advise {
        pages: Range<u32>,
        advice: Advice,
    },
}

impl Call {
    /// The name, for a table of counts.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Map { placement, .. } => match placement {
                Placement::Hint => "map",
                Placement::Fixed => "map fixed",
                Placement::FixedNoreplace => "map noreplace",
            },
            Call::Unmap { .. } => "unmap",
            Call::Protect { .. } => "protect",
            Call::Remap {
                to: To::Fixed(_), ..
            } => "remap fixed",
            Call::Remap {
                to: To::MayMove, ..
            } => "remap maymove",
            Call::Remap { to: To::Stay, .. } => "remap in place",
            Call::Advise { advice, .. } => match advice {
                Advice::WillNeed => "willneed",
                Advice::DontNeed => "dontneed",
            },
        }
    }
}

/// "r-", as in `/proc/self/maps`.
pub fn letters(prot: Prot) -> String {
    let letter = |bit: Prot, letter| if has(prot, bit) { letter } else { '-' };
    [letter(Prot::READ, 'r'), letter(Prot::WRITE, 'w')]
        .iter()
        .collect()
}

/// Whether `prot` has all bits of `bit`.
pub fn has(prot: Prot, bit: Prot) -> bool {
    prot.bits() & bit.bits() == bit.bits()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Anon => f.write_str("anon"),
            Source::File(name, page) => write!(f, "{name:?} file+{page}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Map {
                pages,
                prot,
                placement,
                source,
            } => write!(f, "MAP {placement:?} {pages:?} {} {source}", letters(*prot)),
            Call::Unmap { pages } => write!(f, "UNMAP {pages:?}"),
            Call::Protect { pages, prot } => write!(f, "PROTECT {pages:?} {}", letters(*prot)),
            Call::Remap { old, count, to } => write!(f, "REMAP {old:?} to {count} pages, {to:?}"),
            Call::Advise { pages, advice } => write!(f, "ADVISE {pages:?} {advice:?}"),
        }
    }
}

/// What a call answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Success, with the first page of the region where that is the answer.
    Page(u32),
    /// Failure.
    Errno(i32),
    /// Linux would have been free to go elsewhere, but not there.
    Elsewhere,
}

impl From<io::Result<u32>> for Answer {
    fn from(result: io::Result<u32>) -> Answer {
        match result {
            Ok(page) => Answer::Page(page),
            Err(error) => Answer::Errno(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Page(page) => write!(f, "ok, page {page}"),
            Answer::Errno(errno) => write!(f, "{}", io::Error::from_raw_os_error(*errno)),
            Answer::Elsewhere => f.write_str("another place"),
        }
    }
}

/// Words of a page that are used: both ends, and one between them.
pub const WORDS: [usize; 3] = [0, 2040, PAGE_SIZE as usize - 8];

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call.
    Call(Call),
    /// A load from byte `byte` of a page.
    Load {
        /// The page.
        page: u32,
        /// The byte, of a word.
        byte: usize,
    },
    /// A store.
    Store {
        /// The page.
        page: u32,
        /// The byte, of a word.
        byte: usize,
        /// What is stored.
        value: u64,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Call(call) => call.fmt(f),
            Step::Load { page, byte } => write!(f, "load page {page} byte {byte}"),
            Step::Store { page, byte, value } => {
                write!(f, "store page {page} byte {byte}: {value:#x}")
            }
        }
    }
}

/// A part of the arena that is alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The pages.
    pub pages: Range<u32>,
    /// What an access may do.
    pub prot: Prot,
    /// Where its first page comes from.
    pub source: Source,
}

impl Piece {
    /// True if `next` carries this one on.
    pub fn continues(&self, next: &Piece) -> bool {
        let count = self.pages.end - self.pages.start;
        self.pages.end == next.pages.start
            && self.prot == next.prot
            && self.source.plus(count) == next.source
    }

    /// The part of it in `range`, if there is one.
    pub fn within(&self, range: &Range<u32>) -> Option<Piece> {
        let pages = self.pages.start.max(range.start)..self.pages.end.min(range.end);
        (!pages.is_empty()).then(|| Piece {
            source: self.source.plus(pages.start - self.pages.start),
            prot: self.prot,
            pages,
        })
    }

    /// True if it has all of `range`.
    pub fn covers(&self, range: &Range<u32>) -> bool {
        self.pages.start <= range.start && range.end <= self.pages.end
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Piece {
            pages,
            prot,
            source,
        } = self;
        write!(f, "{pages:?} {} {source}", letters(*prot))
    }
}

/// The same with as few pieces as possible.
pub fn canonical(pieces: &[Piece]) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if last.continues(piece) => last.pages.end = piece.pages.end,
            _ => merged.push(piece.clone()),
        }
    }
    merged
}

/// The first page of `range` that has no region.
pub fn first_hole(pieces: &[Piece], range: &Range<u32>) -> Option<u32> {
    range
        .clone()
        .find(|page| !pieces.iter().any(|piece| piece.pages.contains(page)))
}

/// The lowest `count` pages from `from` on without a region; behind the last
/// region everything is free.
pub fn lowest_gap(pieces: &[Piece], from: u32, count: u32) -> u32 {
    let mut gap = from;
    for piece in pieces {
        if piece.pages.start < gap + count && gap < piece.pages.end {
            gap = piece.pages.end;
        }
    }
    gap
}

/// What can be done with one side.
pub trait Side {
    /// Makes a call and returns the first page of the region.
    fn call(&mut self, call: &Call) -> io::Result<u32>;

    /// Loads a word.
    fn load(&mut self, page: u32, byte: usize) -> Result<u64, Fault>;

    /// Stores a word.
    fn store(&mut self, page: u32, byte: usize, value: u64) -> Result<(), Fault>;

    /// The regions in the arena, in order, as they are kept.
    fn regions(&mut self) -> io::Result<Vec<Piece>>;

    /// A word of a file, as read(2) gives it; `None` beyond the end.
    fn file_word(&self, file: FileName, page: u32, byte: usize) -> io::Result<Option<u64>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(pages: Range<u32>, source: Source) -> Piece {
        Piece {
            pages,
            prot: Prot::READ,
            source,
        }
    }

    #[test]
    fn pieces_merge_where_they_continue() {
        let file = |page| Source::File(FileName::Private, page);
        let pieces = [
            piece(0..2, Source::Anon),
            piece(2..3, Source::Anon),
            piece(3..5, file(7)),
            piece(5..6, file(9)),
            piece(6..7, file(9)),
        ];
        let merged = canonical(&pieces);
        let pages: Vec<_> = merged.iter().map(|piece| piece.pages.clone()).collect();
        assert_eq!(pages, [0..3, 3..6, 6..7]);
        assert_eq!(merged[1].within(&(4..9)), Some(piece(4..6, file(8))));
        assert_eq!(first_hole(&merged, &(5..9)), Some(7));
        assert_eq!(first_hole(&merged, &(0..7)), None);
    }

    #[test]
    fn the_lowest_gap_is_at_or_above() {
        let pieces = [piece(2..4, Source::Anon), piece(6..8, Source::Anon)];
        assert_eq!(lowest_gap(&pieces, 0, 2), 0);
        assert_eq!(lowest_gap(&pieces, 1, 2), 4);
        assert_eq!(lowest_gap(&pieces, 0, 3), 8);
        assert_eq!(lowest_gap(&pieces, 7, 1), 8);
    }
}
