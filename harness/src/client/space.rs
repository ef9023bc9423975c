// SPDX-License-Identifier: GPL-2.0-only
//! A space: one open of the device, and the calls on it.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{
    Advice, Backing, Limits, Placement, Policy, Prot, Region, Relocation, Source, Stats, Window,
    WindowOptions, ioctl,
};
use crate::uapi;

/// A space: a set of regions, from address 0 up to
/// [`FAULTLINE_SPACE_SIZE`](uapi::FAULTLINE_SPACE_SIZE) bytes.
///
/// Addresses and lengths are in bytes and page aligned unless said otherwise.
/// A call that fails changes nothing. All calls may sleep, and may be made from
/// several threads and processes at once; the descriptor can be shared by
/// `fork` and by SCM_RIGHTS. The space lives until the last descriptor and the
/// last window of it are gone.
#[derive(Debug)]
pub struct Space {
    fd: OwnedFd,
}

impl Space {
    /// Path of the device.
    pub fn device() -> &'static Path {
        Path::new(OsStr::from_bytes(uapi::FAULTLINE_DEVICE.to_bytes()))
    }

    /// Makes a new, empty space. ENOENT if the module is not loaded.
    pub fn open() -> io::Result<Space> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(Space::device())?;
        Ok(Space { fd: file.into() })
    }

    /// Makes an anonymous region of `length` bytes and returns its address.
    ///
    /// EINVAL for bad arguments, EEXIST if `placement` is
    /// [`FixedNoreplace`](Placement::FixedNoreplace) and something is there,
    /// ENOMEM if there is no free interval, no memory, or too many regions.
    pub fn map(&self, addr: u64, length: u64, prot: Prot, placement: Placement) -> io::Result<u64> {
        self.map_from(addr, length, prot, placement, Source::Anon)
    }

    /// Makes a region of `length` bytes whose pages come from `source`, and
    /// returns its address.
    ///
    /// As [`map`](Space::map), and with a file: EBADF; EACCES if it is not open
    /// for reading, or shared, writable and not open for writing; EPERM if it
    /// is shared, writable and sealed for writing; ENODEV if it cannot back
    /// such a region; EBUSY if somebody else has frozen the memfd; EOVERFLOW
    /// if the end is beyond any file.
    pub fn map_from(
        &self,
        addr: u64,
        length: u64,
        prot: Prot,
        placement: Placement,
        source: Source<'_>,
    ) -> io::Result<u64> {
        let mut arg = uapi::faultline_map {
            addr,
            length,
            prot: prot.bits(),
            flags: placement.flags(),
            backing: source.backing().number(),
            fd: source.raw_fd(),
            offset: source.offset(),
        };
        // SAFETY: MAP reads and writes a faultline_map.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_MAP, &mut arg) }?;
        Ok(arg.addr)
    }

    /// Removes what there is of regions in `[addr, addr + length)`; holes are
    /// fine. Once it has returned, any access there faults, in every process.
    ///
    /// EINVAL for bad arguments, ENOMEM without memory, or if it would split a
    /// region and there are too many.
    pub fn unmap(&self, addr: u64, length: u64) -> io::Result<()> {
        let mut arg = uapi::faultline_unmap {
            addr,
            length,
            flags: 0,
        };
        // SAFETY: UNMAP reads a faultline_unmap.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_UNMAP, &mut arg) }
    }

    /// Sets the protection of all regions in `[addr, addr + length)`. Once it
    /// has returned, no access that it forbids is made, in any process.
    ///
    /// EINVAL for bad arguments, ENOMEM at a hole, with too many regions or
    /// without memory, EACCES if a shared region may not become writable.
    pub fn protect(&self, addr: u64, length: u64, prot: Prot) -> io::Result<()> {
        let mut arg = uapi::faultline_protect {
            addr,
            length,
            prot: prot.bits(),
            flags: 0,
        };
        // SAFETY: PROTECT reads a faultline_protect.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_PROTECT, &mut arg) }
    }

    /// Changes the length or the address of what is in
    /// `[addr, addr + old_length)` and returns the address. The pages go along,
    /// nothing is copied; once it has returned, any access through an old
    /// address faults, in every process.
    ///
    /// EINVAL for bad arguments or if old and new range overlap, EFAULT if
    /// there is no region at `addr` or the range leaves it, ENOMEM if there is
    /// no room, no memory, or too many regions, EOVERFLOW if it would grow beyond
    /// any file.
    pub fn remap(
        &self,
        addr: u64,
        old_length: u64,
        new_length: u64,
        relocation: Relocation,
    ) -> io::Result<u64> {
        let mut arg = uapi::faultline_remap {
            addr,
            old_length,
            new_length,
            new_addr: relocation.address(),
            flags: relocation.flags(),
            reserved: 0,
        };
        // SAFETY: REMAP reads and writes a faultline_remap.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_REMAP, &mut arg) }?;
        Ok(arg.new_addr)
    }

    /// Brings the pages of `[addr, addr + length)` into the space, or discards
    /// them, for every window. Bringing them in stops half way if it fails.
    ///
    /// EINVAL for bad arguments, ENOMEM at a hole; for
    /// [`WillNeed`](Advice::WillNeed) also ENOMEM at the page limit or without
    /// memory, EFAULT beyond the end of a file, EIO if it cannot be read.
    pub fn advise(&self, addr: u64, length: u64, advice: Advice) -> io::Result<()> {
        let mut arg = uapi::faultline_advise {
            addr,
            length,
            advice: advice.number(),
            flags: 0,
        };
        // SAFETY: ADVISE reads a faultline_advise.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_ADVISE, &mut arg) }
    }

    /// The region that contains `addr` (any byte), or else the next above it;
    /// `None` if there is neither. EINVAL beyond the end of the space.
    pub fn query(&self, addr: u64) -> io::Result<Option<Region>> {
        let mut arg = uapi::faultline_query {
            addr,
            ..Default::default()
        };
        // SAFETY: QUERY reads and writes a faultline_query.
        let result = unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_QUERY, &mut arg) };
        match result {
            Ok(()) => Ok(Some(Region {
                start: arg.start,
                end: arg.end,
                generation: arg.generation,
                prot: Prot::from_bits(arg.prot),
                backing: Backing::from_number(arg.backing),
                offset: arg.offset,
            })),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> io::Result<Policy> {
        let mut arg = uapi::faultline_policy::default();
        // SAFETY: POLICY reads and writes a faultline_policy.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_POLICY, &mut arg) }?;
        Ok(Policy::from_number(arg.policy))
    }

    /// Changes the policy. EINVAL if the module does not have it.
    pub fn set_policy(&self, policy: Policy) -> io::Result<()> {
        let mut arg = uapi::faultline_policy {
            flags: uapi::FAULTLINE_POLICY_SET,
            policy: policy.number(),
        };
        // SAFETY: POLICY reads and writes a faultline_policy.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_POLICY, &mut arg) }
    }

    /// The policies of the header that the module accepts. Tries each on this
    /// space and then restores the one that was in force.
    pub fn policies(&self) -> io::Result<Vec<Policy>> {
        let before = self.policy()?;
        let mut accepted = Vec::new();
        for policy in Policy::all() {
            match self.set_policy(policy) {
                Ok(()) => accepted.push(policy),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                Err(error) => return Err(error),
            }
        }
        self.set_policy(before)?;
        Ok(accepted)
    }

    /// Lowers the limits and returns those in force; 0 leaves one as it is.
    /// EPERM if one is above the present limit, and then none is changed.
    pub fn limits(&self, limits: Limits) -> io::Result<Limits> {
        let mut arg = uapi::faultline_limit {
            max_pages: limits.pages,
            max_regions: limits.regions,
        };
        // SAFETY: LIMIT reads and writes a faultline_limit.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_LIMIT, &mut arg) }?;
        Ok(Limits {
            pages: arg.max_pages,
            regions: arg.max_regions,
        })
    }

    /// As [`limits`](Space::limits), for the limit of pages alone.
    pub fn limit(&self, max_pages: u64) -> io::Result<u64> {
        let limits = Limits {
            pages: max_pages,
            regions: 0,
        };
        Ok(self.limits(limits)?.pages)
    }

    /// As [`limits`](Space::limits), for the limit of regions alone.
    pub fn limit_regions(&self, max_regions: u64) -> io::Result<u64> {
        let limits = Limits {
            pages: 0,
            regions: max_regions,
        };
        Ok(self.limits(limits)?.regions)
    }

    /// The counters since the space was opened: exact once it is quiet.
    pub fn stats(&self) -> io::Result<Stats> {
        let mut arg = Stats::default();
        // SAFETY: STATS writes a faultline_stats.
        unsafe { ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_STATS, &mut arg) }?;
        Ok(arg)
    }

    /// Shows `[offset, offset + length)` of the space in this process. Regions
    /// need not be there yet.
    ///
    /// As [`WindowOptions::open`] without any option, which lists the errors.
    pub fn window(&self, offset: u64, length: usize) -> io::Result<Window> {
        WindowOptions::new().open(self, offset, length)
    }

    /// As [`window`](Space::window), in stripes of `stripe` bytes: see
    /// [`WindowOptions::stripe`].
    pub fn striped_window(&self, offset: u64, length: usize, stripe: usize) -> io::Result<Window> {
        WindowOptions::new()
            .stripe(stripe)
            .open(self, offset, length)
    }
}

impl AsFd for Space {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Space {
    /// Takes over a descriptor of the device, for example a received one.
    fn from(fd: OwnedFd) -> Space {
        Space { fd }
    }
}

impl From<Space> for OwnedFd {
    fn from(space: Space) -> OwnedFd {
        space.fd
    }
}
