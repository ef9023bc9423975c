// SPDX-License-Identifier: GPL-2.0-only

//! Where an interval is kept: in one shard, one domain, or the root.
//!
//! Page indices are cut into granules of 2 MiB and of 1 GiB. An interval inside
//! a small granule belongs to the shard that the granule hashes to, one inside
//! a large granule to a domain, and all others to the root. Each domain owns
//! some shards, and the small granules of a large one hash to the shards of
//! its domain: so whatever overlaps an interval is kept in its own place, in
//! one above it, or in one below it.

use core::num::NonZeroU16;

use super::super::interval::Interval;

/// log2 of the pages of a small granule: 2 MiB.
const SMALL_SHIFT: u32 = 9;
/// log2 of the pages of a large granule: 1 GiB.
const LARGE_SHIFT: u32 = 18;

/// Multiplying by it spreads neighbouring and evenly spaced numbers alike
/// (Fibonacci hashing, Knuth, volume 3, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many domains a lock has, and how many shards each of them; powers of two.
///
/// More domains help requests of up to 1 GiB in different GiB, more shards
/// those of up to 2 MiB. A request takes one spin lock for up to 2 MiB, those of
/// all shards of a domain for up to 1 GiB, and those of all shards beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// log2 of the domains.
    domains: u8,
    /// log2 of the shards of each.
    shards: u8,
}

impl Shape {
    /// So many, each rounded up to a power of two. At most 256 and 128: there are numbers
    /// for the places of more, but who takes all spin locks has to be done with it soon.
    pub const fn new(domains: usize, shards: usize) -> Self {
        assert!(0 < domains && domains <= 256 && 0 < shards && shards <= 128);
        Self {
            domains: domains.next_power_of_two().ilog2() as u8,
            shards: shards.next_power_of_two().ilog2() as u8,
        }
    }

    #[inline]
    pub(super) const fn domains(self) -> u16 {
        1 << self.domains
    }

    /// In all domains.
    #[inline]
    pub(super) const fn all_shards(self) -> u16 {
        1 << (self.domains + self.shards)
    }

    /// How many places there are.
    pub const fn places(self) -> usize {
        1 + self.domains() as usize + self.all_shards() as usize
    }

    /// The domain that has a shard.
    #[inline]
    pub(super) const fn domain_of(self, shard: u16) -> u16 {
        shard >> self.shards
    }

    /// The shards of a domain.
    #[inline]
    pub(super) const fn shards_of(self, domain: u16) -> Shards {
        Shards {
            first: domain << self.shards,
            end: (domain + 1) << self.shards,
        }
    }
}

/// A place in a lock: a number, so that a request reads in one piece what it wrote
/// just before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(NonZeroU16);

/// What a place is. Shards are counted over all domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shard(u16),
    Domain(u16),
    Root,
}

/// The shards `[first, end)`, counted over all domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shards {
    pub(super) first: u16,
    pub(super) end: u16,
}

impl Place {
    /// The root. Its number comes before those of the domains, and these before
    /// those of the shards.
    pub(super) const ROOT: Self = Self(NonZeroU16::MIN);

    #[inline]
    const fn behind_root(number: u16) -> Self {
        // It does not saturate: see the assertion in `Shape::new`.
        Self(Self::ROOT.0.saturating_add(number))
    }

    /// That of a domain.
    #[inline]
    pub(super) const fn of_domain(domain: u16) -> Self {
        Self::behind_root(1 + domain)
    }

    /// That of a shard, counted over all domains.
    #[inline]
    pub(super) const fn of_shard(shard: u16, shape: Shape) -> Self {
        Self::behind_root(1 + shape.domains() + shard)
    }

    /// Where `interval` is kept.
    #[inline]
    pub(super) fn of(interval: Interval, shape: Shape) -> Self {
        let differing = interval.start() ^ interval.last();
        if differing >> LARGE_SHIFT != 0 {
            return Self::ROOT;
        }
        let domain = bucket(interval.start() >> LARGE_SHIFT, shape.domains);
        if differing >> SMALL_SHIFT != 0 {
            return Self::of_domain(domain);
        }
        let shard = bucket(interval.start() >> SMALL_SHIFT, shape.shards);
        Self::of_shard(shape.shards_of(domain).first + shard, shape)
    }

    /// How many places come before it.
    #[inline]
    pub(super) const fn index(self) -> u16 {
        self.0.get() - Self::ROOT.0.get()
    }

    /// What it is.
    #[inline]
    pub(super) const fn kind(self, shape: Shape) -> Kind {
        match self.index() {
            0 => Kind::Root,
            domain if domain <= shape.domains() => Kind::Domain(domain - 1),
            shard => Kind::Shard(shard - 1 - shape.domains()),
        }
    }

    /// The shards whose locks guard this place.
    #[inline]
    pub(super) const fn shards(self, shape: Shape) -> Shards {
        match self.kind(shape) {
            Kind::Shard(shard) => Shards {
                first: shard,
                end: shard + 1,
            },
            Kind::Domain(domain) => shape.shards_of(domain),
            Kind::Root => Shards {
                first: 0,
                end: shape.all_shards(),
            },
        }
    }
}

/// Which of the buckets, 2 to the `shift`, a granule belongs to.
#[inline]
const fn bucket(granule: u64, shift: u8) -> u16 {
    // The high bits of the product are the well-spread ones.
    ((granule.wrapping_mul(SPREAD) >> 32 << shift) >> 32) as u16
}

/// `interval` cut where that keeps its pieces out of a place too large for
/// them: one that is no longer than a granule spans two at most.
#[inline]
pub(super) fn cut(interval: Interval) -> (Interval, Option<Interval>) {
    if (interval.start() ^ interval.last()) >> SMALL_SHIFT == 0 {
        return (interval, None);
    }
    let small = boundary::<SMALL_SHIFT>(interval);
    match small.or_else(|| boundary::<LARGE_SHIFT>(interval)) {
        Some((left, right)) => (left, Some(right)),
        None => (interval, None),
    }
}

/// The parts on both sides of the only granule boundary inside `interval`, if
/// there is exactly one.
fn boundary<const SHIFT: u32>(interval: Interval) -> Option<(Interval, Interval)> {
    let first = interval.start() >> SHIFT;
    if (interval.last() >> SHIFT) - first != 1 {
        return None;
    }
    let middle = (first + 1) << SHIFT;
    Interval::new(interval.start(), middle).zip(Interval::new(middle, interval.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB2: u64 = 1 << SMALL_SHIFT;
    const GIB: u64 = 1 << LARGE_SHIFT;

    fn interval(start: u64, end: u64) -> Interval {
        Interval::new(start, end).unwrap()
    }

    const SHAPE: Shape = Shape::new(16, 8);

    fn place(start: u64, end: u64) -> Place {
        Place::of(interval(start, end), SHAPE)
    }

    #[test]
    fn an_interval_belongs_to_the_smallest_place_that_holds_it() {
        let kind = |start, end| place(start, end).kind(SHAPE);
        assert!(matches!(kind(0, 1), Kind::Shard(_)));
        assert!(matches!(kind(MIB2, 2 * MIB2), Kind::Shard(_)));
        assert!(matches!(kind(MIB2 - 1, MIB2 + 1), Kind::Domain(_)));
        assert!(matches!(kind(GIB, 2 * GIB), Kind::Domain(_)));
        assert_eq!(kind(GIB - 1, GIB + 1), Kind::Root);
        assert_eq!(kind(0, 1 << 34), Kind::Root);
    }

    #[test]
    fn what_holds_a_page_of_an_interval_shares_a_shard_with_it() {
        for (start, end) in [
            (0, 1),
            (3 * MIB2, 5 * MIB2),
            (GIB, 2 * GIB),
            (0, 8 * GIB),
            (7 * GIB + 5, 7 * GIB + MIB2),
        ] {
            let whole = place(start, end).shards(SHAPE);
            for page in [start, (start + end) / 2, end - 1] {
                let one = place(page, page + 1).shards(SHAPE);
                assert!(whole.first <= one.first && one.end <= whole.end);
            }
        }
    }

    #[test]
    fn places_of_any_shape_are_numbered_one_by_one() {
        for (domains, shards) in (0..=8).flat_map(|d| (0..=7).map(move |s| (1 << d, 1 << s))) {
            let shape = Shape::new(domains, shards);
            assert_eq!(shape.places(), 1 + domains + domains * shards);
            let root = (Place::ROOT, Kind::Root);
            let of_domains = (0..shape.domains()).map(|d| (Place::of_domain(d), Kind::Domain(d)));
            let shard = |s| (Place::of_shard(s, shape), Kind::Shard(s));
            let of_shards = (0..shape.all_shards()).map(shard);
            let all = [root].into_iter().chain(of_domains).chain(of_shards);
            for (number, (place, kind)) in all.enumerate() {
                assert_eq!(
                    (usize::from(place.index()), place.kind(shape)),
                    (number, kind)
                );
            }
            for shard in 0..shape.all_shards() {
                let Shards { first, end } = shape.shards_of(shape.domain_of(shard));
                assert!((first..end).contains(&shard) && usize::from(end - first) == shards);
            }
        }
    }

    #[test]
    fn a_cut_is_at_the_only_boundary() {
        assert_eq!(
            cut(interval(MIB2 - 3, MIB2 + 2)),
            (interval(MIB2 - 3, MIB2), Some(interval(MIB2, MIB2 + 2)))
        );
        assert_eq!(
            cut(interval(GIB - 3 * MIB2, GIB + MIB2)),
            (
                interval(GIB - 3 * MIB2, GIB),
                Some(interval(GIB, GIB + MIB2))
            )
        );
        assert_eq!(cut(interval(0, 3 * MIB2)), (interval(0, 3 * MIB2), None));
        assert_eq!(cut(interval(0, 4 * GIB)), (interval(0, 4 * GIB), None));
        assert_eq!(cut(interval(5, 6)), (interval(5, 6), None));
    }

    #[test]
    fn evenly_spaced_granules_use_all_buckets() {
        for stride in [1, 2, 8, 64, 512, 1 << 12] {
            let mut used = [0; 16];
            for n in 0..64 {
                used[usize::from(bucket(n * stride, 4))] += 1;
            }
            assert!(
                used.iter().all(|&n| (1..=12).contains(&n)),
                "{stride}: {used:?}"
            );
        }
    }
}
