// SPDX-License-Identifier: GPL-2.0-only

//! Faults under a lock of the space: what they have seen of the region stays.

use super::{
    backing::{Kind, NewPage, Source},
    directory::Leaf,
    fault::{not_ours, Failure},
    filling::{Target, Way},
};
use crate::portable::fault::{Again, Fit, Need, Prepared};

/// The caller has locked the page, and this is what its region has there.
pub(super) struct Locked<'a> {
    source: &'a Source,
}

impl<'a> Locked<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source }
    }
}

impl Way for Locked<'_> {
    type Error = Failure;

    fn kind(&self) -> Kind {
        self.source.kind()
    }

    fn snapshot(
        &mut self,
        _: &Target<'_>,
        _: Option<&Leaf>,
        seems_empty: bool,
    ) -> Result<Need, Failure> {
        match self.source.is_cached() || seems_empty {
            true => Ok(Need::Page),
            false => Ok(Need::Slot),
        }
    }

    /// Asks for no page, if there is no room for it: even then a memfd would keep it.
    fn prepare(
        &mut self,
        target: &Target<'_>,
        seems_empty: bool,
    ) -> Result<Prepared<NewPage>, Failure> {
        if seems_empty && target.has_no_room() {
            return Ok(Prepared::NoRoom);
        }
        Ok(Prepared::Page(self.source.get(target.access)?))
    }

    fn validate(&mut self, _: &Target<'_>, _: Option<&mut NewPage>) -> Result<Fit, Failure> {
        Ok(Fit::Fits)
    }

    fn admit(&self, _: &Target<'_>) -> Result<(), Failure> {
        Ok(())
    }

    fn again(&mut self, _: &Target<'_>, _: Again) -> Result<(), Failure> {
        Ok(())
    }

    /// Nobody empties a slot of a region whose page is locked by another: a bug.
    fn leaving(&self) -> Failure {
        not_ours()
    }
}
