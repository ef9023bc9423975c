// SPDX-License-Identifier: GPL-2.0-only

//! No lock at all: what the machine can do, and what tests must catch.

use faultline_portable::{interval::Interval, range_lock::Mode};

use super::{Abilities, Peer};

/// Lets everybody in.
pub(crate) struct NoLock;

impl Peer for NoLock {
    const NAME: &'static str = "no lock (control)";
    const ABILITIES: Abilities = Abilities {
        readers_share: true,
        precise: true,
    };

    fn new() -> Self {
        Self
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        _: Mode,
        _: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        arrived();
        inside()
    }

    #[inline]
    fn with_two<R>(&self, _: Mode, _: [Interval; 2], inside: impl FnOnce() -> R) -> Option<R> {
        Some(inside())
    }
}
