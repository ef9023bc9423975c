// SPDX-License-Identifier: GPL-2.0-only

//! Plain reader/writer locks: every range is all there is.

use std::sync::PoisonError;

use faultline_portable::{interval::Interval, range_lock::Mode};

use super::{Abilities, Peer};

/// A lock that knows no ranges: a second one cannot be taken while the first
/// is held, but two can be taken as one.
const PLAIN: Abilities = Abilities {
    readers_share: true,
    precise: false,
};

/// `parking_lot::RwLock`.
pub(crate) struct ParkingLot(parking_lot::RwLock<()>);

impl Peer for ParkingLot {
    const NAME: &'static str = "parking_lot::RwLock";
    const ABILITIES: Abilities = PLAIN;

    fn new() -> Self {
        Self(parking_lot::RwLock::new(()))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        mode: Mode,
        _: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        match mode {
            Mode::Read => {
                let _guard = self.0.read();
                inside()
            }
            Mode::Write => {
                let _guard = self.0.write();
                inside()
            }
        }
    }

    #[inline]
    fn with_two<R>(
        &self,
        mode: Mode,
        ranges: [Interval; 2],
        inside: impl FnOnce() -> R,
    ) -> Option<R> {
        Some(self.with(mode, ranges[0], inside))
    }
}

/// `std::sync::RwLock`.
pub(crate) struct Std(std::sync::RwLock<()>);

impl Peer for Std {
    const NAME: &'static str = "std::sync::RwLock";
    const ABILITIES: Abilities = PLAIN;

    fn new() -> Self {
        Self(std::sync::RwLock::new(()))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        mode: Mode,
        _: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        match mode {
            Mode::Read => {
                let _guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
                inside()
            }
            Mode::Write => {
                let _guard = self.0.write().unwrap_or_else(PoisonError::into_inner);
                inside()
            }
        }
    }

    #[inline]
    fn with_two<R>(
        &self,
        mode: Mode,
        ranges: [Interval; 2],
        inside: impl FnOnce() -> R,
    ) -> Option<R> {
        Some(self.with(mode, ranges[0], inside))
    }
}
