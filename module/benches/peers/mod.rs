// SPDX-License-Identifier: GPL-2.0-only

//! The range lock and the locks it is compared with, behind one trait.

mod crates;
mod global;
mod interval_tree;
mod list;
mod nodes;
pub(crate) mod none;
mod one_tree;
mod ours;
mod rangemap;
mod striped;

use faultline_portable::{interval::Interval, range_lock::Mode};

/// What a lock can do beyond keeping conflicting holders apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Abilities {
    /// Readers of one page hold it together.
    pub(crate) readers_share: bool,
    /// Disjoint ranges can always be held together, also by one thread.
    pub(crate) precise: bool,
}

/// A lock on page ranges.
pub(crate) trait Peer: Sync {
    const NAME: &'static str;
    const ABILITIES: Abilities;

    fn new() -> Self;

    /// Runs `inside` while the range is held. Calls `arrived` as soon as the
    /// request has its place in the line: before all else if the lock has no
    /// line to stand in, or does not say when one gets there.
    fn with_arrival<R>(
        &self,
        mode: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R;

    /// Runs `inside` while two disjoint ranges are held, if the lock can take
    /// both as one request.
    fn with_two<R>(
        &self,
        mode: Mode,
        ranges: [Interval; 2],
        inside: impl FnOnce() -> R,
    ) -> Option<R>;

    /// Runs `inside` while the range is held.
    #[inline]
    fn with<R>(&self, mode: Mode, range: Interval, inside: impl FnOnce() -> R) -> R {
        self.with_arrival(mode, range, || (), inside)
    }
}

/// Runs `inside` while all of `ranges` are held for writing.
pub(crate) fn hold<P: Peer>(peer: &P, ranges: &[Interval], inside: &mut dyn FnMut()) {
    match ranges.split_first() {
        None => inside(),
        Some((first, rest)) => peer.with(Mode::Write, *first, || hold(peer, rest, inside)),
    }
}

/// What can be done with every peer.
pub(crate) trait Work {
    type Output;

    fn run<P: Peer>(&self, peer: &P) -> Self::Output;
}

macro_rules! any_peer {
    ($($name:ident($peer:ty)),* $(,)?) => {
        /// One of the locks.
        pub(crate) enum AnyPeer {
            $($name($peer)),*
        }

        impl AnyPeer {
            /// All locks, each free.
            pub(crate) fn all() -> Vec<Self> {
                vec![$(Self::$name(<$peer>::new())),*]
            }

            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => <$peer>::NAME),*
                }
            }

            pub(crate) fn abilities(&self) -> Abilities {
                match self {
                    $(Self::$name(_) => <$peer>::ABILITIES),*
                }
            }

            pub(crate) fn run<W: Work>(&self, work: &W) -> W::Output {
                match self {
                    $(Self::$name(peer) => work.run(peer)),*
                }
            }
        }
    };
}

any_peer! {
    Ours(ours::Ours),
    ParkingLot(global::ParkingLot),
    Std(global::Std),
    Striped(striped::Striped),
    RangeMap(rangemap::RangeMapLock),
    OneTree(one_tree::OneTree),
    List(list::List),
    RangeMutex(crates::RangeMutexCrate),
    RangeLock(crates::RangeLockCrate),
}

/// The name of the range lock in this list.
pub(crate) const OURS: &str = ours::Ours::NAME;
/// The locks that know no ranges.
pub(crate) const PLAIN: [&str; 2] = [global::ParkingLot::NAME, global::Std::NAME];
/// The classic interval lock.
pub(crate) const ONE_TREE: &str = one_tree::OneTree::NAME;
