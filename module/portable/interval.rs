// SPDX-License-Identifier: GPL-2.0-only

//! Half-open intervals of pages.

/// log2 of the page size in bytes.
pub const PAGE_SHIFT: u32 = 12;
/// The page size in bytes.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;

/// A non-empty half-open interval `[start, end)` of page indices.
///
/// # Invariants
///
/// `start < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    start: u64,
    end: u64,
}

impl Interval {
    /// Every page there can be.
    pub const ALL: Self = Self {
        start: 0,
        end: u64::MAX,
    };

    /// The interval `[start, end)` in pages, or `None` if it would be empty.
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end {
            // INVARIANT: Just checked.
            Some(Self { start, end })
        } else {
            None
        }
    }

    /// The pages of `[addr, addr + length)`, both in bytes.
    ///
    /// `None` unless both are page aligned, `length` is not zero and the end
    /// is at most `limit` bytes.
    pub const fn from_bytes(addr: u64, length: u64, limit: u64) -> Option<Self> {
        if (addr | length) & (PAGE_SIZE - 1) != 0 {
            return None;
        }
        match addr.checked_add(length) {
            Some(end) if end <= limit => Self::new(addr >> PAGE_SHIFT, end >> PAGE_SHIFT),
            _ => None,
        }
    }

    /// The first page.
    pub const fn start(self) -> u64 {
        self.start
    }

    /// The page behind the last.
    pub const fn end(self) -> u64 {
        self.end
    }

    /// The last page.
    pub const fn last(self) -> u64 {
        self.end - 1
    }

    /// Length in pages, at least 1.
    pub const fn pages(self) -> u64 {
        self.end - self.start
    }

    /// Whether `page` lies in the interval.
    pub const fn contains(self, page: u64) -> bool {
        self.start <= page && page < self.end
    }

    /// Whether every page of `other` lies in `self`.
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The pages in both, if any.
    pub const fn intersect(self, other: Self) -> Option<Self> {
        let start = if self.start > other.start {
            self.start
        } else {
            other.start
        };
        let end = if self.end < other.end {
            self.end
        } else {
            other.end
        };
        Self::new(start, end)
    }

    /// From the lower start to the higher end of both.
    pub const fn hull(self, other: Self) -> Self {
        let start = if self.start < other.start {
            self.start
        } else {
            other.start
        };
        let end = if self.end > other.end {
            self.end
        } else {
            other.end
        };
        // INVARIANT: From a start to an end that is not below its own.
        Self { start, end }
    }

    /// The part of `self` below `page`, if any.
    pub const fn below(self, page: u64) -> Option<Self> {
        let end = if self.end < page { self.end } else { page };
        Self::new(self.start, end)
    }

    /// The part of `self` from `page` on, if any.
    pub const fn above(self, page: u64) -> Option<Self> {
        let start = if self.start > page { self.start } else { page };
        Self::new(start, self.end)
    }

    /// What `self` has beside `other`, a prefix or a suffix of it.
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.before(other) {
            Some(below) => Some(below),
            None => self.after(other),
        }
    }

    /// The part of `self` below `other`'s start, if any.
    pub const fn before(self, other: Self) -> Option<Self> {
        self.below(other.start)
    }

    /// The part of `self` from `other`'s end on, if any.
    pub const fn after(self, other: Self) -> Option<Self> {
        self.above(other.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1 << 46;

    fn interval(start: u64, end: u64) -> Interval {
        Interval::new(start, end).unwrap()
    }

    #[test]
    fn from_bytes_refuses_what_is_unaligned_empty_or_too_far() {
        assert_eq!(
            Interval::from_bytes(0x1000, 0x2000, LIMIT),
            Interval::new(1, 3)
        );
        assert_eq!(
            Interval::from_bytes(LIMIT - 0x1000, 0x1000, LIMIT),
            Interval::new((LIMIT >> 12) - 1, LIMIT >> 12)
        );
        for (addr, length) in [
            (1, 0x1000),
            (0, 1),
            (0x1000, 0),
            (LIMIT, 0x1000),
            (LIMIT - 0x1000, 0x2000),
            (!0xfff, 0x1000),
            (0x1000, !0xfff),
        ] {
            assert_eq!(Interval::from_bytes(addr, length, LIMIT), None);
        }
    }

    #[test]
    fn before_inside_and_after_partition_an_interval() {
        for (a, b) in [
            ((2, 8), (4, 6)),
            ((2, 8), (0, 4)),
            ((2, 8), (4, 9)),
            ((2, 8), (0, 9)),
            ((2, 8), (8, 9)),
            ((2, 8), (0, 2)),
        ] {
            let (a, b) = (interval(a.0, a.1), interval(b.0, b.1));
            for page in 0..12 {
                let in_part =
                    |part: Option<Interval>| u32::from(part.is_some_and(|i| i.contains(page)));
                let parts = in_part(a.before(b)) + in_part(a.intersect(b)) + in_part(a.after(b));
                assert_eq!(parts, u32::from(a.contains(page)), "{a:?} {b:?} {page}");
                assert_eq!(
                    in_part(a.intersect(b)) == 1,
                    a.contains(page) && b.contains(page)
                );
            }
        }
    }
}
