// SPDX-License-Identifier: GPL-2.0-only
//! The values that calls take and return.

use std::fmt;
use std::ops::BitOr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::str::FromStr;

use crate::uapi;

/// Protection of a region: what an access through a window may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prot(u32);

impl Prot {
    /// No access: every load and store is a SIGSEGV.
    pub const NONE: Prot = Prot(uapi::FAULTLINE_PROT_NONE);
    /// Loads only: a store is a SIGSEGV.
    pub const READ: Prot = Prot(uapi::FAULTLINE_PROT_READ);
    /// Stores.
    pub const WRITE: Prot = Prot(uapi::FAULTLINE_PROT_WRITE);
    /// Loads and stores.
    pub const READ_WRITE: Prot = Prot(uapi::FAULTLINE_PROT_READ | uapi::FAULTLINE_PROT_WRITE);

    /// The protection with these `FAULTLINE_PROT_*` bits, also invalid ones:
    /// it is the module that refuses them.
    pub const fn from_bits(bits: u32) -> Prot {
        Prot(bits)
    }

    /// The `FAULTLINE_PROT_*` bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl BitOr for Prot {
    type Output = Prot;

    fn bitor(self, other: Prot) -> Prot {
        Prot(self.0 | other.0)
    }
}

/// Where a new region goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placement {
    /// The lowest free interval at or above the address, or failing that the
    /// lowest free one of the space.
    Hint,
    /// Exactly at the address, replacing what is there.
    Fixed,
    /// Exactly at the address, EEXIST if anything is there.
    FixedNoreplace,
}

impl Placement {
    /// The `FAULTLINE_MAP_*` flags.
    pub const fn flags(self) -> u32 {
        match self {
            Placement::Hint => 0,
            Placement::Fixed => uapi::FAULTLINE_MAP_FIXED,
            Placement::FixedNoreplace => uapi::FAULTLINE_MAP_FIXED_NOREPLACE,
        }
    }
}

/// What the pages of a region are made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backing(u32);

impl Backing {
    /// Zero-filled memory.
    pub const ANON: Backing = Backing(uapi::FAULTLINE_BACKING_ANON);
    /// The pages of a memfd, shared with all its users.
    pub const SHARED: Backing = Backing(uapi::FAULTLINE_BACKING_SHARED);
    /// A copy of each page of a file, made at first touch.
    pub const PRIVATE: Backing = Backing(uapi::FAULTLINE_BACKING_PRIVATE);

    /// The backing with this number, known or not.
    pub const fn from_number(number: u32) -> Backing {
        Backing(number)
    }

    /// The number, `FAULTLINE_BACKING_*`.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Backing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Backing::ANON => f.write_str("ANON"),
            Backing::SHARED => f.write_str("SHARED"),
            Backing::PRIVATE => f.write_str("PRIVATE"),
            Backing(number) => write!(f, "Backing({number})"),
        }
    }
}

/// Where the pages of a new region come from. Offsets are bytes into the file,
/// page aligned; the region keeps the file, the descriptor need not stay open.
#[derive(Clone, Copy, Debug)]
pub enum Source<'fd> {
    /// Zero-filled memory.
    Anon,
    /// A memfd from this offset on, shared with all its users. It is frozen
    /// while any region maps it.
    Shared(BorrowedFd<'fd>, u64),
    /// A file from this offset on, each page copied at first touch.
    Private(BorrowedFd<'fd>, u64),
}

impl Source<'_> {
    /// What QUERY will report.
    pub const fn backing(self) -> Backing {
        match self {
            Source::Anon => Backing::ANON,
            Source::Shared(..) => Backing::SHARED,
            Source::Private(..) => Backing::PRIVATE,
        }
    }

    /// Bytes into the file, 0 for anonymous memory.
    pub const fn offset(self) -> u64 {
        match self {
            Source::Anon => 0,
            Source::Shared(_, offset) | Source::Private(_, offset) => offset,
        }
    }

    /// The descriptor as MAP takes it: -1 for anonymous memory.
    pub fn raw_fd(self) -> i32 {
        match self {
            Source::Anon => -1,
            Source::Shared(fd, _) | Source::Private(fd, _) => fd.as_raw_fd(),
        }
    }
}

/// Whether REMAP may change the address, as the flags of mremap(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relocation {
    /// Only in place.
    Stay,
    /// In place if there is room, else wherever there is.
    MayMove,
    /// To this address, replacing what is there.
    Fixed(u64),
}

impl Relocation {
    /// The `FAULTLINE_REMAP_*` flags.
    pub const fn flags(self) -> u32 {
        match self {
            Relocation::Stay => 0,
            Relocation::MayMove => uapi::FAULTLINE_REMAP_MAYMOVE,
            Relocation::Fixed(_) => uapi::FAULTLINE_REMAP_MAYMOVE | uapi::FAULTLINE_REMAP_FIXED,
        }
    }

    /// The address, 0 if it is the module's choice.
    pub const fn address(self) -> u64 {
        match self {
            Relocation::Stay | Relocation::MayMove => 0,
            Relocation::Fixed(address) => address,
        }
    }
}

/// What ADVISE is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Bring the pages into the space.
    WillNeed,
    /// Discard them.
    DontNeed,
}

impl Advice {
    /// The number, `FAULTLINE_ADVISE_*`.
    pub const fn number(self) -> u32 {
        match self {
            Advice::WillNeed => uapi::FAULTLINE_ADVISE_WILLNEED,
            Advice::DontNeed => uapi::FAULTLINE_ADVISE_DONTNEED,
        }
    }
}

/// The most that a space may hold. To [`Space::limits`](super::Space::limits),
/// 0 leaves a limit as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Pages.
    pub pages: u64,
    /// Regions.
    pub regions: u64,
}

/// One region, as QUERY reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte, page aligned.
    pub start: u64,
    /// End in bytes, exclusive, page aligned.
    pub end: u64,
    /// Changes with every change of the region. Shared by the parts that a
    /// change leaves of one, and by no others in the life of the module.
    pub generation: u64,
    /// What accesses may do.
    pub prot: Prot,
    /// What its pages are made of.
    pub backing: Backing,
    /// Bytes into the backing file, 0 for anonymous regions.
    pub offset: u64,
}

/// The counters of a space; the header documents each.
pub type Stats = uapi::faultline_stats;

/// How a space locks. The policies are those of the UAPI header; whether the
/// module accepts one is for [`Space::policies`](super::Space::policies) to say.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy(u32);

impl Policy {
    /// One reader/writer semaphore per space.
    pub const GLOBAL: Policy = Policy(uapi::FAULTLINE_POLICY_GLOBAL);
    /// Faults try the region's lock first; changes take both.
    pub const REGION: Policy = Policy(uapi::FAULTLINE_POLICY_REGION);
    /// A range lock: faults read one page, changes write theirs.
    pub const RANGE: Policy = Policy(uapi::FAULTLINE_POLICY_RANGE);
    /// Faults speculate first; else as [`GLOBAL`](Self::GLOBAL).
    pub const SPF_GLOBAL: Policy = Policy(uapi::FAULTLINE_POLICY_SPF_GLOBAL);
    /// Faults speculate first; else as [`RANGE`](Self::RANGE).
    pub const SPF_RANGE: Policy = Policy(uapi::FAULTLINE_POLICY_SPF_RANGE);

    /// Every policy the header names, in its order.
    pub fn all() -> impl Iterator<Item = Policy> {
        uapi::POLICIES.iter().map(|&(number, _)| Policy(number))
    }

    /// The policy with this number, known or not.
    pub const fn from_number(number: u32) -> Policy {
        Policy(number)
    }

    /// The number, `FAULTLINE_POLICY_*`.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The name as it is typed and printed: `global`, `spf-range`.
    pub fn name(self) -> &'static str {
        uapi::POLICIES
            .iter()
            .find(|&&(number, _)| number == self.0)
            .map_or("unknown", |&(_, name)| name)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({} {})", self.0, self.name())
    }
}

/// No policy has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPolicy(String);

impl fmt::Display for UnknownPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = Policy::all().map(Policy::name).collect();
        write!(
            f,
            "no policy \"{}\" (there is: {})",
            self.0,
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownPolicy {}

impl FromStr for Policy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Policy, UnknownPolicy> {
        Policy::all()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_names_are_read_back() {
        assert_eq!(Policy::GLOBAL.name(), "global");
        for policy in Policy::all() {
            assert_eq!(policy.name().parse(), Ok(policy));
        }
        assert!(
            "set".parse::<Policy>().is_err(),
            "a flag of the call is no policy"
        );
    }

    #[test]
    fn protection_has_the_values_of_mmap() {
        assert_eq!(
            Prot::READ_WRITE.bits(),
            (libc::PROT_READ | libc::PROT_WRITE) as u32
        );
        assert_eq!(Prot::READ | Prot::WRITE, Prot::READ_WRITE);
    }

    #[test]
    fn advice_has_the_values_of_madvise() {
        assert_eq!(Advice::WillNeed.number(), libc::MADV_WILLNEED as u32);
        assert_eq!(Advice::DontNeed.number(), libc::MADV_DONTNEED as u32);
    }

    #[test]
    fn relocation_has_the_flags_of_mremap() {
        let both = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        assert_eq!(Relocation::MayMove.flags(), libc::MREMAP_MAYMOVE as u32);
        assert_eq!(Relocation::Fixed(0).flags(), both as u32);
    }
}
