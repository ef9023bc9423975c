// SPDX-License-Identifier: GPL-2.0-only

//! PROTECT.

use kernel::{alloc::KVVec, prelude::*};

use super::{
    super::{
        region::{Attributes, Region, RegionRef},
        space::Space,
        space_lock::Change,
        stats::Counter,
    },
    edit::Edit,
};
use crate::{
    kern::task::fatal_signal_pending,
    portable::{
        interval::Interval,
        plan,
        protection::{Access, Protection},
    },
};

/// Pages that get another protection.
struct Run {
    interval: Interval,
    region: RegionRef,
    /// How many regions, or parts of one, it takes the place of.
    pieces: usize,
}

impl Space {
    /// Sets the protection of all regions of `range`. When it has returned, no CPU
    /// can do what the new one forbids. `ENOMEM` (also if there is a hole),
    /// `EACCES`, `EINTR`. May sleep.
    pub(in super::super) fn protect(&self, range: Interval, protection: Protection) -> Result {
        let mut edit = Edit::new(&self.regions);
        self.lock.write(&self.regions, range, |held| {
            self.must_be_covered(range, |old| match old.backing.may_have(protection) {
                true => Ok(()),
                false => Err(EACCES),
            })?;
            let runs = self.runs_with(range, protection)?;
            if runs.len() > 1 {
                edit.reserve(self.more_with(&runs))?;
            }
            self.store_runs(runs, &mut edit, held)
        })?;
        self.stats.count(Counter::Protects);
        Ok(())
    }

    /// What is to be stored, with all the memory it takes but the tree's.
    fn runs_with(&self, range: Interval, protection: Protection) -> Result<KVVec<Run>> {
        let change = |attributes: &mut Attributes| {
            let old = core::mem::replace(&mut attributes.protection, protection);
            old != protection
        };
        let mut runs = KVVec::new();
        for run in plan::runs(self.regions.pieces(range), change) {
            if fatal_signal_pending() {
                return Err(EINTR);
            }
            if run.is_new {
                let run = Run {
                    interval: run.piece.interval,
                    region: Region::new(run.piece.attributes)?,
                    pieces: run.pieces,
                };
                runs.push(run, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(runs)
    }

    /// How many more regions than now there are at most while `runs` are stored.
    /// (A single store counts exactly. Between several, a neighbour may join a
    /// region to one of these, and so have it cut: that is one more at each end.)
    fn more_with(&self, runs: &[Run]) -> usize {
        let (mut more, mut most) = (0, 0);
        for (number, run) in runs.iter().enumerate() {
            let is_first = number == 0;
            let is_last = number == runs.len() - 1;
            let below = is_first && self.is_cut_at(run.interval.start());
            let above = is_last && self.is_cut_at(run.interval.end());
            more += 1 + isize::from(below) + isize::from(above) - run.pieces as isize;
            most = most.max(more);
        }
        most as usize
    }

    fn store_runs(&self, runs: KVVec<Run>, edit: &mut Edit<'_>, held: &mut Change<'_>) -> Result {
        for run in runs {
            // A fault that upgrades an entry looks at the region then.
            let revokes = !run.region.attributes.protection.allows(Access::Write);
            edit.store(run.interval, Some(run.region), |edit, part| {
                edit.put_removed();
                if revokes {
                    self.revoke(part, &mut |page| held.done_below(page));
                } else {
                    held.done_below(part.end());
                }
            })?;
        }
        Ok(())
    }
}
