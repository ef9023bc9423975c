// SPDX-License-Identifier: GPL-2.0-only

//! The crates `range-mutex` and `range-lock`. Both lock ranges of a slice: here
//! of one of nothing, as long as there are pages. Neither knows readers, so
//! reading is exclusive too, and neither takes two ranges at once.

use core::hint;
use std::thread;

use faultline_portable::{interval::Interval, range_lock::Mode};
use range_lock::VecRangeLock;
use range_mutex::RangeMutex;

use super::{Abilities, Peer};

const EXCLUSIVE: Abilities = Abilities {
    readers_share: false,
    precise: true,
};

/// A slice without a byte, with an element for each page.
fn pages() -> Vec<()> {
    vec![(); usize::MAX]
}

/// `range_mutex::RangeMutex`: a sorted vector behind a mutex; a release wakes
/// all that overlap it.
pub(crate) struct RangeMutexCrate(RangeMutex<(), Vec<()>>);

impl Peer for RangeMutexCrate {
    const NAME: &'static str = "range-mutex";
    const ABILITIES: Abilities = EXCLUSIVE;

    fn new() -> Self {
        Self(RangeMutex::new(pages()))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        _: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        let _guard = self.0.lock(range.start() as usize..range.end() as usize);
        inside()
    }

    fn with_two<R>(&self, _: Mode, _: [Interval; 2], _: impl FnOnce() -> R) -> Option<R> {
        None
    }
}

/// `range_lock::VecRangeLock`: a B-tree behind a mutex. It can only try: a
/// caller who has to wait tries again, and lets others run after some times.
pub(crate) struct RangeLockCrate(VecRangeLock<()>);

/// Attempts before others may run.
const SPINS: u32 = 100;

impl Peer for RangeLockCrate {
    const NAME: &'static str = "range-lock (try)";
    const ABILITIES: Abilities = EXCLUSIVE;

    fn new() -> Self {
        Self(VecRangeLock::new(pages()))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        _: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        let range = range.start() as usize..range.end() as usize;
        let mut tries = 0;
        let _guard = loop {
            if let Ok(guard) = self.0.try_lock(range.clone()) {
                break guard;
            }
            tries += 1;
            match tries < SPINS {
                true => hint::spin_loop(),
                false => thread::yield_now(),
            }
        };
        inside()
    }

    fn with_two<R>(&self, _: Mode, _: [Interval; 2], _: impl FnOnce() -> R) -> Option<R> {
        None
    }
}
