// SPDX-License-Identifier: GPL-2.0-only

//! PROTECT.

use kernel::{alloc::KVVec, prelude::*};

use super::{
    super::{
        region::{Attributes, Region},
        regions::Effort,
        space::Space,
        space_lock::Change,
        stats::Counter,
    },
    gone::Gone,
};
use crate::{
    kern::{rcu_arc::RcuArc, task::fatal_signal_pending},
    portable::{
        interval::Interval,
        plan,
        protection::{Access, Protection},
    },
};

/// Pages that get another protection.
struct Run {
    interval: Interval,
    region: RcuArc<Region>,
}

impl Space {
    /// Sets the protection of all regions of `range`. When it has returned, no CPU
    /// can do what the new one forbids. `ENOMEM` (also if there is a hole),
    /// `EACCES`, `EINTR`. May sleep.
    pub(in super::super) fn protect(&self, range: Interval, protection: Protection) -> Result {
        let mut gone = Gone::new();
        self.lock.write(range, |held| {
            self.must_be_covered(range, |old| match old.backing.may_have(protection) {
                true => Ok(()),
                false => Err(EACCES),
            })?;
            let runs = self.runs_with(range, protection)?;
            self.store_runs(runs, &mut gone, held)
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
                };
                runs.push(run, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(runs)
    }

    fn store_runs(&self, runs: KVVec<Run>, gone: &mut Gone, held: &mut Change<'_>) -> Result {
        // A single store counts exactly.
        let mut effort = Effort::MayFail;
        let _room = match &runs[..] {
            [first, .., last] => {
                effort = Effort::HasRoom;
                let below = self.is_cut_at(first.interval.start());
                let above = self.is_cut_at(last.interval.end());
                Some(
                    self.regions
                        .reserve(usize::from(below) + usize::from(above))?,
                )
            }
            _ => None,
        };
        for Run { interval, region } in runs {
            // A fault that upgrades an entry looks at the region then.
            let revokes = !region.attributes.protection.allows(Access::Write);
            self.store_all(
                interval,
                Some(region),
                &mut effort,
                gone,
                |gone, part, removed| {
                    gone.add(removed);
                    if revokes {
                        self.revoke(part, &mut |page| held.done_below(page));
                    } else {
                        held.done_below(part.end());
                    }
                },
            )?;
        }
        Ok(())
    }
}
