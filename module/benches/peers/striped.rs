// SPDX-License-Identifier: GPL-2.0-only

//! A striped lock: an array of plain locks, chosen by address. A range takes
//! those of all its stripes, in ascending order.

use faultline_portable::{interval::Interval, range_lock::Mode};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Abilities, Peer};

/// Locks in the array.
const STRIPES: usize = 64;
/// log2 of the pages of a stripe: 2 MiB.
const STRIPE_SHIFT: u32 = 9;

/// A lock in cache lines of its own.
#[repr(align(128))]
struct Line(RwLock<()>);

/// The array.
pub(crate) struct Striped(Box<[Line; STRIPES]>);

/// What is held of one stripe.
enum Held<'a> {
    Read { _guard: RwLockReadGuard<'a, ()> },
    Write { _guard: RwLockWriteGuard<'a, ()> },
}

/// The set of the stripes of a range, as bits.
#[inline]
fn stripes(range: Interval) -> u64 {
    let first = range.start() >> STRIPE_SHIFT;
    let last = range.last() >> STRIPE_SHIFT;
    match last - first {
        more if more >= STRIPES as u64 - 1 => u64::MAX,
        more => ((2 << more) - 1_u64).rotate_left((first % STRIPES as u64) as u32),
    }
}

impl Striped {
    #[inline]
    fn take(&self, mode: Mode, stripe: usize) -> Held<'_> {
        let lock = &self.0[stripe].0;
        match mode {
            Mode::Read => Held::Read {
                _guard: lock.read(),
            },
            Mode::Write => Held::Write {
                _guard: lock.write(),
            },
        }
    }

    #[inline]
    fn with_stripes<R>(&self, mode: Mode, mut stripes: u64, inside: impl FnOnce() -> R) -> R {
        if stripes.is_power_of_two() {
            let _held = self.take(mode, stripes.trailing_zeros() as usize);
            return inside();
        }
        let mut held = [const { None }; STRIPES];
        while stripes != 0 {
            let stripe = stripes.trailing_zeros() as usize;
            held[stripe] = Some(self.take(mode, stripe));
            stripes &= stripes - 1;
        }
        inside()
    }
}

impl Peer for Striped {
    const NAME: &'static str = "striped RwLock";
    const ABILITIES: Abilities = Abilities {
        readers_share: true,
        precise: false,
    };

    fn new() -> Self {
        Self(Box::new(core::array::from_fn(|_| Line(RwLock::new(())))))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        mode: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        self.with_stripes(mode, stripes(range), inside)
    }

    #[inline]
    fn with_two<R>(
        &self,
        mode: Mode,
        ranges: [Interval; 2],
        inside: impl FnOnce() -> R,
    ) -> Option<R> {
        let [first, second] = ranges.map(stripes);
        Some(self.with_stripes(mode, first | second, inside))
    }
}
