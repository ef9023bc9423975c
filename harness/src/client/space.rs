// SPDX-License-Identifier: GPL-2.0-only
//! A space: one open of the device, and the calls on it.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Placement, Policy, Prot, Region, Stats, Window};
use crate::{sys, uapi};

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
    /// ENOMEM if there is no free interval or no memory.
    pub fn map(&self, addr: u64, length: u64, prot: Prot, placement: Placement) -> io::Result<u64> {
        let mut arg = uapi::faultline_map {
            addr,
            length,
            prot: prot.bits(),
            flags: placement.flags(),
            backing: uapi::FAULTLINE_BACKING_ANON,
            fd: -1,
            offset: 0,
        };
        // SAFETY: MAP reads and writes a faultline_map.
        unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_MAP, &mut arg) }?;
        Ok(arg.addr)
    }

    /// Removes what there is of regions in `[addr, addr + length)`; holes are
    /// fine. Once it has returned, any access there faults, in every process.
    ///
    /// EINVAL for bad arguments, ENOMEM if there is no memory to split a region.
    pub fn unmap(&self, addr: u64, length: u64) -> io::Result<()> {
        let mut arg = uapi::faultline_unmap {
            addr,
            length,
            flags: 0,
        };
        // SAFETY: UNMAP reads a faultline_unmap.
        unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_UNMAP, &mut arg) }
    }

    /// The region that contains `addr` (any byte), or else the next above it;
    /// `None` if there is neither. EINVAL beyond the end of the space.
    pub fn query(&self, addr: u64) -> io::Result<Option<Region>> {
        let mut arg = uapi::faultline_query {
            addr,
            ..Default::default()
        };
        // SAFETY: QUERY reads and writes a faultline_query.
        let result = unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_QUERY, &mut arg) };
        match result {
            Ok(()) => Ok(Some(Region {
                start: arg.start,
                end: arg.end,
                generation: arg.generation,
                prot: Prot::from_bits(arg.prot),
                backing: arg.backing,
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
        unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_POLICY, &mut arg) }?;
        Ok(Policy::from_number(arg.policy))
    }

    /// Changes the policy. EINVAL if the module does not have it.
    pub fn set_policy(&self, policy: Policy) -> io::Result<()> {
        let mut arg = uapi::faultline_policy {
            flags: uapi::FAULTLINE_POLICY_SET,
            policy: policy.number(),
        };
        // SAFETY: POLICY reads and writes a faultline_policy.
        unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_POLICY, &mut arg) }
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

    /// Lowers the limit of pages the space may hold and returns the one in
    /// force; 0 only reports. EPERM if `max_pages` is above the present limit.
    pub fn limit(&self, max_pages: u64) -> io::Result<u64> {
        let mut arg = uapi::faultline_limit {
            max_pages,
            max_regions: 0,
        };
        // SAFETY: LIMIT reads and writes a faultline_limit.
        unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_LIMIT, &mut arg) }?;
        Ok(arg.max_pages)
    }

    /// The counters since the space was opened: exact once it is quiet.
    pub fn stats(&self) -> io::Result<Stats> {
        let mut arg = Stats::default();
        // SAFETY: STATS writes a faultline_stats.
        unsafe { sys::ioctl(self.as_fd(), uapi::FAULTLINE_REQUEST_STATS, &mut arg) }?;
        Ok(arg)
    }

    /// Shows `[offset, offset + length)` of the space in this process. Regions
    /// need not be there yet. See [`Window`].
    pub fn window(&self, offset: u64, length: usize) -> io::Result<Window> {
        Window::new(self.as_fd(), offset, length)
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
