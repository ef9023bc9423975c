// SPDX-License-Identifier: GPL-2.0-only

//! What a change makes of the regions of a space.
//!
//! Regions are kept *canonical*: no two that touch have the same attributes,
//! for these would be one. So a change of a range can split the regions at its
//! edges, and join what it makes with the regions beside it.
//!
//! A change is planned in two steps. [`runs`] says what will stand in the range,
//! from what stands there now; nobody else can change that, so it may take its
//! time, and all memory is had before the first change. [`joined`] says how far
//! a run reaches beyond the range, from the neighbours: others may split or join
//! those at any moment, so it is asked when the run is put in its place. What a
//! run does not cover stays as it is.

use super::interval::Interval;

/// Pages with the same attributes: a region, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<A> {
    /// The pages.
    pub interval: Interval,
    /// What they have in common.
    pub attributes: A,
}

/// Pages that will have the same attributes, and those next to them in the range
/// others or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<A> {
    /// The pages, and their attributes behind the change.
    pub piece: Piece<A>,
    /// Whether it differs from what is there. If not, nothing is to be done.
    pub is_new: bool,
    /// How many regions, or parts of one, it takes the place of.
    pub pieces: usize,
}

/// The runs of a range whose `pieces`, in ascending order and clipped to the
/// range, get the attributes that `change` makes of theirs; it says whether they
/// are others.
pub fn runs<A: PartialEq>(
    pieces: impl Iterator<Item = Piece<A>>,
    change: impl Fn(&mut A) -> bool,
) -> impl Iterator<Item = Run<A>> {
    let mut pieces = pieces.map(move |piece| changed(piece, &change)).peekable();
    core::iter::from_fn(move || {
        let mut run = pieces.next()?;
        while let Some(next) = pieces.next_if(|next| continues(&run.piece, &next.piece)) {
            run.piece.interval = run.piece.interval.hull(next.piece.interval);
            run.is_new = true;
            run.pieces += 1;
        }
        Some(run)
    })
}

fn changed<A>(mut piece: Piece<A>, change: &impl Fn(&mut A) -> bool) -> Run<A> {
    let is_new = change(&mut piece.attributes);
    Run {
        piece,
        is_new,
        pieces: 1,
    }
}

/// Whether `next` is part of the region that `piece` is the end of.
fn continues<A: PartialEq>(piece: &Piece<A>, next: &Piece<A>) -> bool {
    piece.interval.end() == next.interval.start() && piece.attributes == next.attributes
}

/// The pages of the region that `piece` is part of, once it is in its place.
///
/// `below` is the region of the page before it, `above` that of the page behind
/// it, if there are any. Either may reach into `piece`, or be the same region.
pub fn joined<A: PartialEq>(
    piece: &Piece<A>,
    below: Option<&Piece<A>>,
    above: Option<&Piece<A>>,
) -> Interval {
    let same = |other: &&Piece<A>| other.attributes == piece.attributes;
    [below, above]
        .into_iter()
        .flatten()
        .filter(same)
        .fold(piece.interval, |whole, other| whole.hull(other.interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    extern crate std;
    use std::vec::Vec;

    const PAGES: u64 = 48;

    type Attributes = u8;

    /// What a change does to the pages of a range.
    #[derive(Clone, Copy, Debug)]
    enum Request {
        Map(Attributes),
        Unmap,
        /// As PROTECT: keeps some of each page's attributes, and sets others.
        Protect(Attributes),
    }

    /// The regions, in ascending order: what the kernel's tree holds.
    #[derive(Clone, Debug, Default)]
    struct Regions(Vec<Piece<Attributes>>);

    impl Regions {
        fn at(&self, page: u64) -> Option<Piece<Attributes>> {
            let mut regions = self.0.iter().copied();
            regions.find(|region| region.interval.contains(page))
        }

        fn in_range(&self, range: Interval) -> Vec<Piece<Attributes>> {
            let clipped = self.0.iter().filter_map(|region| {
                let interval = region.interval.intersect(range)?;
                Some(Piece {
                    interval,
                    ..*region
                })
            });
            clipped.collect()
        }

        /// Overwrites an interval, as a store to the tree does.
        fn store(&mut self, interval: Interval, attributes: Option<Attributes>) {
            let mut all = Vec::new();
            for region in &self.0 {
                let left = [
                    region.interval.before(interval),
                    region.interval.after(interval),
                ];
                all.extend(left.into_iter().flatten().map(|interval| Piece {
                    interval,
                    ..*region
                }));
            }
            all.extend(attributes.map(|attributes| Piece {
                interval,
                attributes,
            }));
            all.sort_by_key(|region| region.interval.start());
            self.0 = all;
        }

        /// As a store to the tree that overwrites at most so many regions of those in
        /// the run. Returns the page up to which it is done.
        fn store_batch(
            &mut self,
            run: Interval,
            whole: Interval,
            attributes: Option<Attributes>,
            batch: usize,
        ) -> u64 {
            let regions = self.0.iter().map(|region| region.interval);
            let overwritten = regions.filter(|interval| interval.intersect(run).is_some());
            let end = overwritten
                .skip(batch)
                .map(|interval| interval.start())
                .next()
                .unwrap_or(whole.end());
            self.store(whole.below(end).unwrap(), attributes);
            end
        }

        /// As `Space::store_all`.
        fn store_all(&mut self, run: Interval, attributes: Option<Attributes>, batch: usize) {
            let mut rest = Some(run);
            while let Some(todo) = rest {
                let whole = attributes.map_or(todo, |attributes| {
                    let below = todo.start().checked_sub(1).and_then(|page| self.at(page));
                    let above = self.at(todo.end());
                    let piece = Piece {
                        interval: todo,
                        attributes,
                    };
                    joined(&piece, below.as_ref(), above.as_ref())
                });
                rest = run.above(self.store_batch(todo, whole, attributes, batch));
            }
        }

        fn apply(&mut self, range: Interval, request: Request, batch: usize) {
            let whole = |attributes| Run {
                piece: Piece {
                    interval: range,
                    attributes,
                },
                is_new: true,
                pieces: 1,
            };
            let planned: Vec<_> = match request {
                Request::Unmap => return self.store_all(range, None, batch),
                Request::Map(attributes) => [whole(attributes)].into(),
                Request::Protect(set) => {
                    let pieces = self.in_range(range);
                    let change = |old: &mut Attributes| {
                        let before = core::mem::replace(old, protect(*old, set));
                        before != *old
                    };
                    runs(pieces.into_iter(), change).collect()
                }
            };
            for run in planned.iter().filter(|run| run.is_new) {
                self.store_all(run.piece.interval, Some(run.piece.attributes), batch);
            }
        }
    }

    fn protect(old: Attributes, set: Attributes) -> Attributes {
        (old & 2) | (set & 1)
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            (0..4u8).prop_map(Request::Map),
            Just(Request::Unmap),
            (0..2u8).prop_map(Request::Protect),
        ]
    }

    fn range() -> impl Strategy<Value = Interval> {
        (0..PAGES, 1..PAGES)
            .prop_map(|(start, pages)| Interval::new(start, (start + pages).min(PAGES)).unwrap())
    }

    /// The naive oracle: the attributes of each page.
    fn apply_to_pages(pages: &mut [Option<Attributes>], range: Interval, request: Request) {
        for page in &mut pages[range.start() as usize..range.end() as usize] {
            *page = match request {
                Request::Map(attributes) => Some(attributes),
                Request::Unmap => None,
                Request::Protect(set) => page.map(|old| protect(old, set)),
            };
        }
    }

    /// The regions that pages with these attributes have, no two of them the same
    /// that touch.
    fn canonical(pages: &[Option<Attributes>]) -> Vec<Piece<Attributes>> {
        let mut all: Vec<Piece<Attributes>> = Vec::new();
        for (page, attributes) in pages.iter().enumerate() {
            let Some(attributes) = *attributes else {
                continue;
            };
            let page = page as u64;
            match all.last_mut() {
                Some(last) if last.interval.end() == page && last.attributes == attributes => {
                    last.interval = Interval::new(last.interval.start(), page + 1).unwrap();
                }
                _ => all.push(Piece {
                    interval: Interval::new(page, page + 1).unwrap(),
                    attributes,
                }),
            }
        }
        all
    }

    /// The same as the property below, for long.
    #[test]
    fn a_million_changes_leave_the_regions_canonical() {
        let mut state = 1u64;
        let mut random = |below: u64| {
            // Knuth's MMIX generator; its high bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut regions = Regions::default();
        let mut pages = [None; PAGES as usize];
        for _ in 0..1_000_000 {
            let start = random(PAGES);
            let range = Interval::new(start, start + 1 + random(PAGES - start)).unwrap();
            let request = match random(4) {
                0 => Request::Unmap,
                1 => Request::Protect(random(2) as u8),
                _ => Request::Map(random(4) as u8),
            };
            regions.apply(range, request, 1 + random(8) as usize);
            apply_to_pages(&mut pages, range, request);
            assert_eq!(regions.0, canonical(&pages), "after {range:?} {request:?}");
        }
    }

    proptest! {
        #[test]
        fn regions_are_those_of_the_pages_and_canonical(
            changes in proptest::collection::vec((range(), request()), 0..64),
            batch in 1..8usize,
        ) {
            let mut regions = Regions::default();
            let mut pages = [None; PAGES as usize];
            for (range, request) in changes {
                regions.apply(range, request, batch);
                apply_to_pages(&mut pages, range, request);
                prop_assert_eq!(&regions.0, &canonical(&pages), "after {:?} {:?}", range, request);
            }
        }

        #[test]
        fn what_does_not_change_is_not_new(
            changes in proptest::collection::vec((range(), request()), 16),
            range in range(),
        ) {
            let mut regions = Regions::default();
            for (range, request) in changes {
                regions.apply(range, request, usize::MAX);
            }
            let same = runs(regions.in_range(range).into_iter(), |_| false);
            for run in same {
                prop_assert!(!run.is_new, "{:?}", run);
            }
        }
    }
}
