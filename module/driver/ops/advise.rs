// SPDX-License-Identifier: GPL-2.0-only

//! ADVISE.

use kernel::prelude::*;

use super::super::{space::Space, stats::Counter};
use crate::{kern::task::fatal_signal_pending, portable::interval::Interval};

impl Space {
    /// Discards the pages of `range`, for every window: the regions stay. `ENOMEM`
    /// if there is a hole, `EINTR`. May sleep.
    pub(in super::super) fn discard_pages(&self, range: Interval) -> Result {
        self.lock.write(range, |held| {
            self.must_be_covered(range)?;
            self.discard(range, &mut |page| held.done_below(page));
            Ok(())
        })?;
        self.stats.count(Counter::Advises);
        Ok(())
    }

    /// Brings the pages of `range` into the space. `ENOMEM` (also if there is a
    /// hole, and then before the first page), `EFAULT`, `EIO`, `EINTR`. May sleep.
    pub(in super::super) fn populate(&self, range: Interval) -> Result {
        self.lock.read(range, |held| {
            self.must_be_covered(range)?;
            for piece in self.regions.pieces(range) {
                for page in piece.interval.start()..piece.interval.end() {
                    if fatal_signal_pending() {
                        return Err(EINTR);
                    }
                    self.bring(page, &piece.attributes.backing)?;
                    held.done_below(page + 1);
                }
            }
            Ok(())
        })??;
        self.stats.count(Counter::Advises);
        Ok(())
    }

    /// `ENOMEM` if there is a hole in `range`, which the caller has locked.
    fn must_be_covered(&self, range: Interval) -> Result {
        let mut next = range.start();
        for piece in self.regions.pieces(range) {
            if piece.interval.start() != next {
                break;
            }
            next = piece.interval.end();
        }
        if next == range.end() {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }
}
