// SPDX-License-Identifier: GPL-2.0-only
//! The stamp a writer leaves in its word of a page.

/// Who stored it, where, and which store of theirs to this page it was. Which
/// generation it belongs to follows from what the shadow knows of that store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Index of the page, over all spaces of the run; below [`Stamp::MAX_PAGES`].
    pub page: u32,
    /// Number of the accessor; below [`Stamp::MAX_WRITERS`].
    pub writer: u8,
    /// Counts the stores of this writer to this page from 1.
    pub seq: u32,
}

const WRITER_BITS: u32 = 8;
const PAGE_BITS: u32 = 20;

impl Stamp {
    /// Pages are numbered below this.
    pub const MAX_PAGES: u32 = 1 << PAGE_BITS;
    /// Writers are numbered below this.
    pub const MAX_WRITERS: u32 = 1 << WRITER_BITS;

    /// The word to store. `salt` (1 to 15) differs from run to run, so that the
    /// stamps of an earlier run are foreign.
    pub fn pack(self, salt: u8) -> u64 {
        debug_assert!((1..16).contains(&salt) && self.page < Stamp::MAX_PAGES);
        let place = (u64::from(salt) << PAGE_BITS) | u64::from(self.page);
        (((place << WRITER_BITS) | u64::from(self.writer)) << 32) | u64::from(self.seq)
    }

    /// The stamp in a word, or `None` if no writer of this run made it.
    pub fn unpack(word: u64, salt: u8) -> Option<Stamp> {
        let page = (word >> (32 + WRITER_BITS)) as u32 & (Stamp::MAX_PAGES - 1);
        let stamp = Stamp {
            page,
            writer: (word >> 32) as u8,
            seq: word as u32,
        };
        (stamp.seq != 0 && stamp.pack(salt) == word).then_some(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_survives_packing() {
        let stamp = Stamp {
            page: Stamp::MAX_PAGES - 1,
            writer: 255,
            seq: u32::MAX,
        };
        assert_eq!(Stamp::unpack(stamp.pack(15), 15), Some(stamp));
        assert_eq!(Stamp::unpack(stamp.pack(15), 14), None, "of another run");
        assert_eq!(Stamp::unpack(0, 1), None);
        assert_eq!(Stamp::unpack(u64::MAX, 1), None);
    }
}
