// SPDX-License-Identifier: GPL-2.0-only

//! How a space locks.

use kernel::prelude::*;

use crate::kern::{param, uapi};

/// A locking policy of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Policy {
    /// One reader/writer semaphore per space: faults read, changes write.
    Global = uapi::FAULTLINE_POLICY_GLOBAL,
    /// A range lock: faults read one page, changes write theirs.
    Range = uapi::FAULTLINE_POLICY_RANGE,
}

impl Policy {
    const ALL: [Self; 2] = [Self::Global, Self::Range];

    /// The policy that new spaces get, by the module's parameter. `EINVAL` if
    /// there is none of that name.
    pub(crate) fn of_new_spaces() -> Result<Self> {
        let name = param::policy().to_bytes();
        let named = |policy: &Self| policy.name().as_bytes() == name;
        Self::ALL.into_iter().find(named).ok_or(EINVAL)
    }

    /// Its name, as users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Range => "range",
        }
    }
}

impl TryFrom<u32> for Policy {
    type Error = Error;

    fn try_from(raw: u32) -> Result<Self> {
        match raw {
            uapi::FAULTLINE_POLICY_GLOBAL => Ok(Self::Global),
            uapi::FAULTLINE_POLICY_RANGE => Ok(Self::Range),
            _ => Err(EINVAL),
        }
    }
}
