// SPDX-License-Identifier: GPL-2.0-only

//! PROTECT.

use kernel::{alloc::KVVec, prelude::*};

use super::super::{
    region::{Attributes, Region},
    regions::Effort,
    space::Space,
    space_lock::Change,
    stats::Counter,
};
use crate::{
    kern::rcu_arc::RcuArc,
    portable::{
        interval::Interval,
        plan::{self, Piece},
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
    /// `EINTR`. May sleep.
    pub(in super::super) fn protect(&self, range: Interval, protection: Protection) -> Result {
        self.lock.write(range, |held| {
            self.must_allow(range, protection)?;
            let runs = self.runs_with(range, protection)?;
            if runs.len() > 1 {
                self.must_have_room(self.cuts(range))?;
            }
            self.store_runs(&runs, held)
        })?;
        self.stats.count(Counter::Protects);
        Ok(())
    }

    /// `ENOMEM` if there is a hole in `range`, which the caller has locked, or
    /// `EACCES` if a region may not have the protection: what comes first.
    fn must_allow(&self, range: Interval, protection: Protection) -> Result {
        let mut next = range.start();
        for piece in self.regions.pieces(range) {
            if piece.interval.start() != next {
                return Err(ENOMEM);
            }
            if !piece.attributes.backing.may_have(protection) {
                return Err(EACCES);
            }
            next = piece.interval.end();
        }
        if next == range.end() {
            Ok(())
        } else {
            Err(ENOMEM)
        }
    }

    /// What is to be stored, with all the memory it takes but the tree's.
    fn runs_with(&self, range: Interval, protection: Protection) -> Result<KVVec<Run>> {
        let mut runs = KVVec::new();
        let change = |old: &Attributes| Attributes {
            protection,
            backing: old.backing.clone(),
        };
        for run in plan::runs(self.regions.pieces(range), change) {
            if run.is_new {
                let Piece {
                    interval,
                    attributes,
                } = run.piece;
                let region = Region::new(attributes)?;
                runs.push(Run { interval, region }, GFP_KERNEL_ACCOUNT)?;
            }
        }
        Ok(runs)
    }

    fn store_runs(&self, runs: &[Run], held: &mut Change<'_>) -> Result {
        let mut effort = Effort::MayFail;
        for run in runs {
            let mut end = run.interval.start();
            while end < run.interval.end() {
                let stored = self.regions.replace(run.interval, &run.region, effort)?;
                end = stored.end;
                effort = Effort::MustSucceed;
            }
            // A fault that upgrades an entry looks at the region then.
            if !run.region.attributes.protection.allows(Access::Write) {
                self.revoke(run.interval);
            }
            held.done_below(run.interval.end());
        }
        Ok(())
    }
}
