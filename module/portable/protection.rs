// SPDX-License-Identifier: GPL-2.0-only

//! What a region lets an access do.

/// What an access wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store, or a read-modify-write.
    Write,
}

/// The protection of a region: a set of the UAPI's `FAULTLINE_PROT_*` bits.
///
/// # Invariants
///
/// Only bits of [`Protection::ALL`] are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection(u32);

impl Protection {
    /// Loads are allowed.
    pub const READ: u32 = 1;
    /// Stores are allowed.
    pub const WRITE: u32 = 2;
    /// Every bit there is.
    pub const ALL: u32 = Self::READ | Self::WRITE;

    /// `None` if a bit is unknown.
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & !Self::ALL == 0 {
            // INVARIANT: Just checked.
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The `FAULTLINE_PROT_*` bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether `access` is allowed. As for memory on x86, what can be written
    /// can be read.
    pub const fn allows(self, access: Access) -> bool {
        match access {
            Access::Read => self.0 != 0,
            Access::Write => self.0 & Self::WRITE != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_follows_mmap_on_x86() {
        let allowed = |bits| {
            let protection = Protection::from_bits(bits).unwrap();
            (
                protection.allows(Access::Read),
                protection.allows(Access::Write),
            )
        };
        assert_eq!(allowed(0), (false, false));
        assert_eq!(allowed(Protection::READ), (true, false));
        assert_eq!(allowed(Protection::WRITE), (true, true));
        assert_eq!(allowed(Protection::ALL), (true, true));
        assert_eq!(Protection::from_bits(4), None);
    }
}
