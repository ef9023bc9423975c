// SPDX-License-Identifier: GPL-2.0-only

//! The range lock of faultline, as its callers use it: a new request, on the
//! stack, each time.

use core::pin::pin;

use faultline_portable::{
    interval::Interval,
    range_lock::{Mode, RangeLock, Ranges, Request, Shape, Slot},
};

use super::{Abilities, Peer};

/// As in a space of a machine of few processors.
pub(crate) struct Ours(Box<RangeLock<[Slot; SHAPE.places()]>>);

const SHAPE: Shape = Shape::new(16, 8);

impl Ours {
    #[inline]
    fn acquire<R>(
        &self,
        mode: Mode,
        ranges: Ranges,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        let request = pin!(Request::new(&self.0));
        match mode {
            Mode::Read => {
                let queued = request.queue_read(ranges);
                arrived();
                let _guard = queued.wait();
                inside()
            }
            Mode::Write => {
                let queued = request.queue_write(ranges);
                arrived();
                let _guard = queued.wait();
                inside()
            }
        }
    }
}

impl Peer for Ours {
    const NAME: &'static str = "faultline";
    const ABILITIES: Abilities = Abilities {
        readers_share: true,
        precise: true,
    };

    fn new() -> Self {
        Self(Box::new(RangeLock::in_place(SHAPE)))
    }

    #[inline]
    fn with_arrival<R>(
        &self,
        mode: Mode,
        range: Interval,
        arrived: impl FnOnce(),
        inside: impl FnOnce() -> R,
    ) -> R {
        self.acquire(mode, range.into(), arrived, inside)
    }

    #[inline]
    fn with_two<R>(
        &self,
        mode: Mode,
        ranges: [Interval; 2],
        inside: impl FnOnce() -> R,
    ) -> Option<R> {
        let ranges = Ranges::two(ranges[0], ranges[1])?;
        Some(self.acquire(mode, ranges, || (), inside))
    }
}
