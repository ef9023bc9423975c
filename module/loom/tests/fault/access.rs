// SPDX-License-Identifier: GPL-2.0-only

//! Accesses, and the faults that they take.

use faultline_portable_loom::fault::{handle, Cause};

use super::{
    filling::{Filling, Way},
    region::Access,
    world::World,
};

impl World {
    /// Makes an access, for which it takes a fault if need be. What comes in between
    /// may forbid it.
    pub(crate) fn access(&self, page: usize, access: Access) -> Result<(), Cause> {
        self.access_by(0, page, access)
    }

    /// By another window than the first.
    pub(crate) fn access_by(
        &self,
        window: usize,
        page: usize,
        access: Access,
    ) -> Result<(), Cause> {
        if !self.touch(window, page, access) {
            self.speculate(window, page, access)?;
            self.touch(window, page, access);
        }
        Ok(())
    }

    /// As `access`; if a speculation is given up, it falls back, and never fails for
    /// a change that it meets.
    pub(crate) fn access_surely(&self, page: usize, access: Access) -> Result<(), Cause> {
        self.access(page, access).or_else(|_| {
            self.fault_locked(page, access)?;
            self.touch(0, page, access);
            Ok(())
        })
    }

    /// Makes the access, if the page table allows it. Returns whether it does.
    fn touch(&self, window: usize, page: usize, access: Access) -> bool {
        self.tables[window].walk(page, |entry| {
            self.check(page, entry);
            let allowed = entry.filter(|entry| entry.writable || access == Access::Read);
            if let (Some(entry), Access::Write) = (allowed, access) {
                self.pages.write(entry.page);
            }
            allowed.is_some()
        })
    }

    /// A fault that speculates.
    fn speculate(&self, window: usize, page: usize, access: Access) -> Result<(), Cause> {
        let table = &self.tables[window];
        let mut steps = Filling::new(self, table, page, access, Way::Speculates);
        let result = handle(&mut steps);
        assert_eq!(result.is_ok(), steps.is_installed(), "neither nor");
        result
    }

    /// A fault under the range lock: what is not allowed then is an error.
    pub(crate) fn fault_locked(&self, page: usize, access: Access) -> Result<(), Cause> {
        let _range = self.ranges[page].hold();
        self.fault_beside_faults(page, access)
    }

    /// As before, if only faults have the range lock, who share it.
    pub(crate) fn fault_beside_faults(&self, page: usize, access: Access) -> Result<(), Cause> {
        let seen = self.region(page).ok_or(Cause::NoRegion)?;
        seen.region.check(access)?;
        let table = &self.tables[0];
        handle(&mut Filling::new(
            self,
            table,
            page,
            access,
            Way::Holds(seen),
        ))
    }
}
