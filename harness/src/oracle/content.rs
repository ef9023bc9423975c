// SPDX-License-Identifier: GPL-2.0-only
//! Where the content of a page comes from.

use super::Stamp;

/// What the words are that nobody has stored to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// Zero.
    Zero,
    /// Zero, and they belong to a memfd that outlives the region.
    Shared,
    /// Those of this page of the file that private copies are made of.
    File(u32),
}

impl Fresh {
    /// The word at this byte of the page.
    pub fn word(self, byte: usize) -> u64 {
        match self {
            Fresh::Zero | Fresh::Shared => 0,
            Fresh::File(page) => pattern(page, byte),
        }
    }
}

const PATTERN: u64 = 0x0f1e << 48;

/// The word at a byte of a page of the file of private copies: never a stamp,
/// whose highest bits are not zero.
pub fn pattern(page: u32, byte: usize) -> u64 {
    PATTERN | (u64::from(page) << 12) | byte as u64
}

/// True if the word is of that file, from this byte of any page.
pub(super) fn is_pattern(word: u64, byte: usize) -> bool {
    let page = (word >> 12) as u32 & (Stamp::MAX_PAGES - 1);
    word == pattern(page, byte)
}

/// Pages that are remembered.
const HOMES: usize = 2;
const PAGE_BITS: u32 = 20;
const PAGE_MASK: u64 = (1 << PAGE_BITS) - 1;

/// What is known of a content besides its age: stores reached it through the
/// page that it has now, or through one that it had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// What it was at first.
    pub fresh: Fresh,
    /// The pages it was moved from, the last one first.
    homes: [Option<u32>; HOMES],
    /// There were others before these.
    more: bool,
}

impl Content {
    /// One that comes with a new region. A memfd's page has always been here.
    pub fn new(fresh: Fresh, page: u32) -> Content {
        let home = (fresh == Fresh::Shared).then_some(page);
        Content {
            fresh,
            homes: [home, None],
            more: false,
        }
    }

    /// The same, moved here from page `from`.
    #[must_use]
    pub fn moved(self, from: u32) -> Content {
        Content {
            homes: [Some(from), self.homes[0]],
            more: self.more || self.homes[1].is_some(),
            ..self
        }
    }

    /// The same after all stores to it were discarded.
    #[must_use]
    pub fn discarded(self, page: u32) -> Content {
        Content::new(self.fresh, page)
    }

    /// True if stores through `page` may have reached it before it came here.
    pub fn may_come_from(&self, page: u32) -> bool {
        self.more || self.homes.contains(&Some(page))
    }

    /// True if it was at `a` for sure after it was at `b`.
    pub(super) fn was_at_later(&self, a: u32, b: u32) -> Option<bool> {
        let place = |page| self.homes.iter().position(|&home| home == Some(page));
        Some(place(a)? < place(b)?)
    }

    pub(super) fn pack(self) -> u64 {
        let (kind, page) = match self.fresh {
            Fresh::Zero => (0, 0),
            Fresh::Shared => (1, 0),
            Fresh::File(page) => (2, u64::from(page)),
        };
        let count = self.homes.iter().flatten().count() as u64 + u64::from(self.more);
        let homes = self.homes.iter().rev().fold(0, |all, home| {
            (all << PAGE_BITS) | u64::from(home.unwrap_or(0))
        });
        (((homes << PAGE_BITS) | page) << 4) | (count << 2) | kind
    }

    pub(super) fn unpack(word: u64) -> Content {
        let field = |n: u32| ((word >> (4 + n * PAGE_BITS)) & PAGE_MASK) as u32;
        let count = (word >> 2) & 3;
        Content {
            fresh: match word & 3 {
                0 => Fresh::Zero,
                1 => Fresh::Shared,
                _ => Fresh::File(field(0)),
            },
            homes: [(count > 0).then(|| field(1)), (count > 1).then(|| field(2))],
            more: count > 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_survives_packing() {
        for fresh in [Fresh::Zero, Fresh::Shared, Fresh::File(77)] {
            let mut content = Content::new(fresh, 5);
            for from in [1, 0, Stamp::MAX_PAGES - 1, 9] {
                assert_eq!(Content::unpack(content.pack()), content);
                content = content.moved(from);
            }
            assert!(content.may_come_from(1234), "too old to be known");
        }
    }

    #[test]
    fn a_moved_content_knows_where_it_was() {
        let content = Content::new(Fresh::Zero, 3).moved(3).moved(8);
        assert!(content.may_come_from(8) && content.may_come_from(3));
        assert!(!content.may_come_from(4));
        assert_eq!(content.was_at_later(8, 3), Some(true));
        assert_eq!(content.was_at_later(3, 8), Some(false));
        assert_eq!(content.discarded(1), Content::new(Fresh::Zero, 1));
    }

    #[test]
    fn a_pattern_is_no_stamp() {
        let word = pattern(Stamp::MAX_PAGES - 1, 4088);
        assert!(is_pattern(word, 4088) && !is_pattern(word, 0) && !is_pattern(0, 0));
        assert!((1..16).all(|salt| Stamp::unpack(word, salt).is_none()));
    }
}
