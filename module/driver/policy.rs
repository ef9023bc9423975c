// SPDX-License-Identifier: GPL-2.0-only

//! How a space locks.

use kernel::prelude::*;

use super::mistake::Mistake;
use crate::kern::{param, uapi};

/// A locking policy of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Policy {
    /// One reader/writer semaphore per space: faults read, changes write.
    Global = uapi::FAULTLINE_POLICY_GLOBAL,
    /// As `Global`, with a lock for each region, which faults try first.
    Region = uapi::FAULTLINE_POLICY_REGION,
    /// A range lock: faults read one page, changes write theirs.
    Range = uapi::FAULTLINE_POLICY_RANGE,
    /// Faults speculate; else as `Global`.
    SpfGlobal = uapi::FAULTLINE_POLICY_SPF_GLOBAL,
    /// Faults speculate; else as `Range`.
    SpfRange = uapi::FAULTLINE_POLICY_SPF_RANGE,
}

/// What locks of a space a policy uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    Global,
    Region,
    Range,
}

impl Policy {
    const ALL: [Self; 5] = [
        Self::Global,
        Self::Region,
        Self::Range,
        Self::SpfGlobal,
        Self::SpfRange,
    ];

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
            Self::Region => "region",
            Self::Range => "range",
            Self::SpfGlobal => "spf-global",
            Self::SpfRange => "spf-range",
        }
    }

    /// Whether faults speculate before they take the lock.
    pub(crate) fn speculates(self) -> bool {
        matches!(self, Self::SpfGlobal | Self::SpfRange)
    }

    /// Whether a fault that has to read a file holds nothing meanwhile, and then is made
    /// again by the core.
    pub(crate) fn retries(self) -> bool {
        matches!(self, Self::Global | Self::Region) || Mistake::RetryAlways.is_made()
    }

    /// The locks that it uses.
    pub(crate) fn locking(self) -> Locking {
        match self {
            Self::Global | Self::SpfGlobal => Locking::Global,
            Self::Region => Locking::Region,
            Self::Range | Self::SpfRange => Locking::Range,
        }
    }
}

impl TryFrom<u32> for Policy {
    type Error = Error;

    fn try_from(raw: u32) -> Result<Self> {
        match raw {
            uapi::FAULTLINE_POLICY_GLOBAL => Ok(Self::Global),
            uapi::FAULTLINE_POLICY_REGION => Ok(Self::Region),
            uapi::FAULTLINE_POLICY_RANGE => Ok(Self::Range),
            uapi::FAULTLINE_POLICY_SPF_GLOBAL => Ok(Self::SpfGlobal),
            uapi::FAULTLINE_POLICY_SPF_RANGE => Ok(Self::SpfRange),
            _ => Err(EINVAL),
        }
    }
}
