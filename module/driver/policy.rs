// SPDX-License-Identifier: GPL-2.0-only

//! How a space locks.

use kernel::prelude::*;

use crate::kern::uapi;

/// A locking policy of a space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// One reader/writer semaphore per space: faults read, changes write.
    Global,
}

impl TryFrom<u32> for Policy {
    type Error = Error;

    fn try_from(raw: u32) -> Result<Self> {
        match raw {
            uapi::FAULTLINE_POLICY_GLOBAL => Ok(Self::Global),
            _ => Err(EINVAL),
        }
    }
}

impl From<Policy> for u32 {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Global => uapi::FAULTLINE_POLICY_GLOBAL,
        }
    }
}
