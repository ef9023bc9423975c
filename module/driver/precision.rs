// SPDX-License-Identifier: GPL-2.0-only

//! Coarser designs of speculation, to compare: what would abort if a fault went by a
//! count of the space, of the region or of the leaf, and not by the page itself.
//!
//! Only the build with `--cfg faultline_test_hooks` has them. There a fault goes the
//! same way and validates the same. Where the parameter `precision` is another than
//! `page`, it guesses nothing, and is aborted at the end if the coarser design would have
//! aborted it too: a false abort, as no change has done anything to the page that mattered.
//!
//! | precision | aborts if, since the fault has first looked |
//! | --- | --- |
//! | `page` | what it looks up again is not the same |
//! | `leaf` | a change of the leaf's 2 MiB was under way when it looked, or has begun |
//! | `region` | its region is another object, or a store has overwritten a part of it |
//! | `space` | any change of the space was under way when it looked, or has begun |

#[cfg(faultline_test_hooks)]
pub(crate) use hooks::{Count, LeafCounts, Seen};
#[cfg(not(faultline_test_hooks))]
pub(crate) use nothing::{Count, LeafCounts, Seen};

#[cfg(not(faultline_test_hooks))]
mod nothing {
    use kernel::prelude::*;

    use crate::driver::{region::Region, space::Space};

    pub(crate) struct Count;

    impl Count {
        pub(crate) const fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn change(&self) {}

        #[inline(always)]
        pub(crate) fn raise(&self) {}
    }

    pub(crate) struct LeafCounts;

    impl LeafCounts {
        pub(crate) fn new() -> impl PinInit<Self> {
            Ok::<Self, core::convert::Infallible>(Self)
        }

        #[inline(always)]
        pub(crate) fn change(&self, _index: usize) {}
    }

    pub(crate) struct Seen;

    impl Seen {
        pub(crate) const fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub(crate) fn look(&mut self, _space: &Space, _index: usize) {}

        #[inline(always)]
        pub(crate) fn look_first(&mut self, _region: &Region) {}

        #[inline(always)]
        pub(crate) fn look_again(&mut self, _region: &Region) {}

        #[inline(always)]
        pub(crate) fn needs_region(&self) -> bool {
            false
        }

        #[inline(always)]
        pub(crate) fn is_enough(&self, _space: &Space, _index: usize) -> bool {
            true
        }
    }
}

#[cfg(faultline_test_hooks)]
mod hooks {
    use kernel::{
        prelude::*,
        sync::atomic::{Acquire, Atomic, Relaxed, Release},
    };

    use crate::{
        driver::{region::Region, space::Space},
        kern::param,
    };

    /// How many changes of something have begun, and how many are over. (One count
    /// that is odd meanwhile would not do: there may be several at once.)
    pub(crate) struct Count {
        begun: Atomic<u64>,
        ended: Atomic<u64>,
    }

    /// A change, which is over when this is dropped.
    pub(crate) struct Counted<'a>(&'a Count);

    impl Count {
        pub(crate) const fn new() -> Self {
            Self {
                begun: Atomic::new(0),
                ended: Atomic::new(0),
            }
        }

        /// A change begins.
        pub(crate) fn change(&self) -> Counted<'_> {
            self.begun.add(1, Relaxed);
            Counted(self)
        }

        /// There was a change, which is over.
        pub(crate) fn raise(&self) {
            drop(self.change());
        }

        /// How many there were, if none is under way.
        fn look(&self) -> Option<u64> {
            // Pairs with the release in `drop`: none is seen to end before it begins.
            let ended = self.ended.load(Acquire);
            (self.begun.load(Relaxed) == ended).then_some(ended)
        }

        /// Whether none has begun since `seen`, and none was under way.
        fn is_still(&self, seen: Option<u64>) -> bool {
            // Relaxed: a figure hangs on it, and nothing else.
            seen == Some(self.begun.load(Relaxed))
        }
    }

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.ended.fetch_add(1, Release);
        }
    }

    /// So many counts there are for leaves, by their index: a prime, lest leaves a
    /// round distance apart share one.
    const COUNTS: usize = 251;

    #[pin_data]
    pub(crate) struct LeafCounts {
        #[pin]
        counts: [Count; COUNTS],
    }

    impl LeafCounts {
        pub(crate) fn new() -> impl PinInit<Self> {
            pin_init!(Self {
                counts <- pin_init::init_array_from_fn(|_| Count::new()),
            })
        }

        /// A change passes the leaf at `index`.
        pub(crate) fn change(&self, index: usize) -> Counted<'_> {
            self.of(index).change()
        }

        fn of(&self, index: usize) -> &Count {
            &self.counts[index % COUNTS]
        }
    }

    /// What a fault has seen.
    pub(crate) struct Seen {
        space: Option<u64>,
        leaf: Option<u64>,
        first: Option<Sight>,
        again: Option<Sight>,
    }

    /// A region's generation, and how often a store has overwritten a part of it.
    type Sight = (u64, Option<u64>);

    impl Seen {
        pub(crate) const fn new() -> Self {
            Self {
                space: None,
                leaf: None,
                first: None,
                again: None,
            }
        }

        /// The fault is about to look, at a page of the leaf at `index`.
        pub(crate) fn look(&mut self, space: &Space, index: usize) {
            self.space = space.lock.changes.look();
            self.leaf = space.directory.passes.of(index).look();
        }

        /// That is the region.
        pub(crate) fn look_first(&mut self, region: &Region) {
            self.first = Some(sight(region));
        }

        /// That is the region with the leaf locked.
        pub(crate) fn look_again(&mut self, region: &Region) {
            self.again = Some(sight(region));
        }

        /// Whether the region has to be looked at first.
        pub(crate) fn needs_region(&self) -> bool {
            param::precision() != 0
        }

        /// Whether the fault would get through by what `precision` goes by.
        pub(crate) fn is_enough(&self, space: &Space, index: usize) -> bool {
            match param::precision() {
                1 => space.directory.passes.of(index).is_still(self.leaf),
                2 => self.first == self.again,
                3 => space.lock.changes.is_still(self.space),
                _ => true,
            }
        }
    }

    fn sight(region: &Region) -> Sight {
        (region.generation, region.changes.look())
    }
}
