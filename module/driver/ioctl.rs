// SPDX-License-Identifier: GPL-2.0-only

//! The ioctl calls: arguments in, an operation, results out.
//!
//! An operation is traced when it is over.
//!
//! User memory is only touched before an operation takes its first lock and
//! after it has released the last: it may lie inside a window of this very
//! space.

use kernel::{
    ioctl::_IOC_SIZE,
    prelude::*,
    uaccess::{UserPtr, UserSlice},
};

use super::{
    backing::{Backing, FileRange},
    ops::{MapRequest, Placement, RemapRequest, Target},
    region::Attributes,
    space::{Space, SPACE_PAGES},
};
use crate::{
    kern::{trace_space, uapi::*},
    portable::{
        interval::{Interval, PAGE_SHIFT, PAGE_SIZE},
        protection::Protection,
    },
};

/// Dispatches `cmd`. `can_change` says whether the file is open for reading
/// and writing. May sleep.
pub(crate) fn dispatch(space: &Space, cmd: u32, arg: usize, can_change: bool) -> Result<isize> {
    let user = UserArgument {
        ptr: UserPtr::from_addr(arg),
        size: _IOC_SIZE(cmd),
    };
    let changes = || if can_change { Ok(()) } else { Err(EACCES) };
    match without_size(cmd) {
        request if request == without_size(FAULTLINE_REQUEST_MAP) => {
            changes()?;
            user.update(|map: &mut faultline_map| space.ioctl_map(map))
        }
        request if request == without_size(FAULTLINE_REQUEST_UNMAP) => {
            changes()?;
            space.ioctl_unmap(&user.read()?)
        }
        request if request == without_size(FAULTLINE_REQUEST_PROTECT) => {
            changes()?;
            space.ioctl_protect(&user.read()?)
        }
        request if request == without_size(FAULTLINE_REQUEST_REMAP) => {
            changes()?;
            user.update(|remap: &mut faultline_remap| space.ioctl_remap(remap))
        }
        request if request == without_size(FAULTLINE_REQUEST_ADVISE) => {
            changes()?;
            space.ioctl_advise(&user.read()?)
        }
        request if request == without_size(FAULTLINE_REQUEST_QUERY) => {
            user.update(|query: &mut faultline_query| space.ioctl_query(query))
        }
        request if request == without_size(FAULTLINE_REQUEST_POLICY) => {
            user.update(|policy: &mut faultline_policy| {
                if policy.flags & FAULTLINE_POLICY_SET != 0 {
                    changes()?;
                }
                space.ioctl_policy(policy)
            })
        }
        request if request == without_size(FAULTLINE_REQUEST_LIMIT) => {
            user.update(|limit: &mut faultline_limit| {
                if limit.max_pages != 0 || limit.max_regions != 0 {
                    changes()?;
                }
                space.ioctl_limit(limit)
            })
        }
        request if request == without_size(FAULTLINE_REQUEST_STATS) => {
            user.write(&space.ioctl_stats())
        }
        _ => Err(ENOTTY),
    }?;
    Ok(0)
}

/// The request number without the size of its structure, which tells versions
/// of one call apart, not calls.
const fn without_size(cmd: u32) -> u32 {
    cmd & !(kernel::uapi::_IOC_SIZEMASK << kernel::uapi::_IOC_SIZESHIFT)
}

/// The caller's structure, of the size that its version has.
struct UserArgument {
    ptr: UserPtr,
    size: usize,
}

/// The tail of a structure is looked at and cleared in pieces of so many bytes.
const TAIL_CHUNK: usize = 64;

impl UserArgument {
    /// How many bytes the caller and this module both know. `EINVAL` if these
    /// are fewer than the first version has.
    fn known<T: Versioned>(&self) -> Result<usize> {
        if self.size < T::FIRST_SIZE {
            return Err(EINVAL);
        }
        Ok(self.size.min(core::mem::size_of::<T>()))
    }

    /// Reads the structure, with zeroes for what an older caller does not
    /// know. `EINVAL` if it is too short, `E2BIG` if what this module does not
    /// know of it is not zero, `EFAULT`.
    fn read<T: Versioned + Default>(&self) -> Result<T> {
        let known = self.known::<T>()?;
        let mut reader = UserSlice::new(self.ptr, self.size).reader();
        let mut value = T::default();
        reader.read_slice(&mut T::as_bytes_mut(&mut value)[..known])?;
        let mut chunk = [0u8; TAIL_CHUNK];
        while !reader.is_empty() {
            let chunk = &mut chunk[..reader.len().min(TAIL_CHUNK)];
            reader.read_slice(chunk)?;
            if chunk.iter().any(|&byte| byte != 0) {
                return Err(E2BIG);
            }
        }
        Ok(value)
    }

    /// Writes the structure, with zeroes for what only a newer caller knows.
    /// `EINVAL` if it is too short, `EFAULT`.
    fn write<T: Versioned>(&self, value: &T) -> Result {
        let known = self.known::<T>()?;
        let mut writer = UserSlice::new(self.ptr, self.size).writer();
        writer.write_slice(&value.as_bytes()[..known])?;
        while !writer.is_empty() {
            writer.write_slice(&[0u8; TAIL_CHUNK][..writer.len().min(TAIL_CHUNK)])?;
        }
        Ok(())
    }

    /// Reads the structure, lets `operation` change it, and writes it back if
    /// that succeeds. Whether it can be written is tried before.
    fn update<T: Versioned + Default>(&self, operation: impl FnOnce(&mut T) -> Result) -> Result {
        let mut value = self.read()?;
        self.write(&value)?;
        operation(&mut value)?;
        self.write(&value)
    }
}

/// The pages of a range given in bytes. `EINVAL`.
fn range_of(addr: u64, length: u64) -> Result<Interval> {
    Interval::from_bytes(addr, length, FAULTLINE_SPACE_SIZE).ok_or(EINVAL)
}

/// What events say of a result: 0, or a negative errno.
fn errno<T>(result: &Result<T>) -> i32 {
    result.as_ref().err().map_or(0, |error| error.to_errno())
}

impl Space {
    fn ioctl_map(&self, map: &mut faultline_map) -> Result {
        let placement = placement(map)?;
        let protection = Protection::from_bits(map.prot).ok_or(EINVAL)?;
        let request = MapRequest {
            placement,
            attributes: Attributes {
                protection,
                backing: backing(map, protection)?,
                pending: false,
            },
        };
        let hint = match request.placement {
            Placement::Lowest { hint, .. } => hint,
            Placement::Fixed(range) | Placement::FixedNoReplace(range) => range.start(),
        };
        let mapped = self.map(request);
        let start = *mapped.as_ref().unwrap_or(&hint);
        let end = start.saturating_add(map.length >> PAGE_SHIFT);
        let (id, result) = (self.lock.id(), errno(&mapped));
        trace_space::map(id, start, end, map.prot, map.backing, result);
        map.addr = mapped? << PAGE_SHIFT;
        Ok(())
    }

    fn ioctl_unmap(&self, unmap: &faultline_unmap) -> Result {
        if unmap.flags != 0 {
            return Err(EINVAL);
        }
        let range = range_of(unmap.addr, unmap.length)?;
        let unmapped = self.unmap(range);
        let result = errno(&unmapped);
        trace_space::unmap(self.lock.id(), range.start(), range.end(), result);
        unmapped
    }

    fn ioctl_protect(&self, protect: &faultline_protect) -> Result {
        if protect.flags != 0 {
            return Err(EINVAL);
        }
        let protection = Protection::from_bits(protect.prot).ok_or(EINVAL)?;
        let range = range_of(protect.addr, protect.length)?;
        let protected = self.protect(range, protection);
        let (id, result) = (self.lock.id(), errno(&protected));
        trace_space::protect(id, range.start(), range.end(), protect.prot, result);
        protected
    }

    fn ioctl_remap(&self, remap: &mut faultline_remap) -> Result {
        let known = FAULTLINE_REMAP_MAYMOVE | FAULTLINE_REMAP_FIXED;
        if remap.flags & !known != 0 || remap.reserved != 0 {
            return Err(EINVAL);
        }
        let old = range_of(remap.addr, remap.old_length)?;
        // A length that is too much for the space is as wrong as one of 0.
        let new_pages = range_of(0, remap.new_length)?.pages();
        let target = match remap.flags {
            0 => Target::InPlace,
            FAULTLINE_REMAP_MAYMOVE => Target::Anywhere,
            FAULTLINE_REMAP_FIXED => return Err(EINVAL),
            _ => Target::Fixed(range_of(remap.new_addr, remap.new_length)?),
        };
        let request = RemapRequest {
            old,
            new_pages,
            target,
        };
        let remapped = self.remap(request);
        let to = *remapped.as_ref().unwrap_or(&old.start());
        let (id, result) = (self.lock.id(), errno(&remapped));
        trace_space::remap(id, old.start(), old.end(), to, new_pages, result);
        remap.new_addr = remapped? << PAGE_SHIFT;
        Ok(())
    }

    fn ioctl_advise(&self, advise: &faultline_advise) -> Result {
        if advise.flags != 0 {
            return Err(EINVAL);
        }
        let range = range_of(advise.addr, advise.length)?;
        let advised = match advise.advice {
            FAULTLINE_ADVISE_DONTNEED => self.discard_pages(range),
            FAULTLINE_ADVISE_WILLNEED => self.populate(range),
            _ => return Err(EINVAL),
        };
        let (id, result) = (self.lock.id(), errno(&advised));
        trace_space::advise(id, range.start(), range.end(), advise.advice, result);
        advised
    }

    fn ioctl_query(&self, query: &mut faultline_query) -> Result {
        if query.addr >= FAULTLINE_SPACE_SIZE {
            return Err(EINVAL);
        }
        let found = self.query(query.addr >> PAGE_SHIFT)?;
        query.start = found.interval.start() << PAGE_SHIFT;
        query.end = found.interval.end() << PAGE_SHIFT;
        query.generation = found.generation;
        query.prot = found.protection.bits();
        query.backing = found.backing.number();
        query.offset = found.file_page << PAGE_SHIFT;
        Ok(())
    }

    fn ioctl_policy(&self, policy: &mut faultline_policy) -> Result {
        if policy.flags & !FAULTLINE_POLICY_SET != 0 {
            return Err(EINVAL);
        }
        if policy.flags & FAULTLINE_POLICY_SET != 0 {
            self.lock
                .set_policy(&self.regions, policy.policy.try_into()?)?;
        } else {
            policy.policy = self.lock.policy() as u32;
        }
        Ok(())
    }

    fn ioctl_limit(&self, limit: &mut faultline_limit) -> Result {
        self.lower_limits(limit.max_pages, limit.max_regions)?;
        limit.max_pages = self.held.limit();
        limit.max_regions = self.regions.limit();
        Ok(())
    }

    fn ioctl_stats(&self) -> faultline_stats {
        let mut stats = faultline_stats::default();
        self.stats.sums().fill(&mut stats);
        stats.regions = self.regions.len() as u64;
        stats.max_regions = self.regions.limit();
        stats.pages = self.held.get();
        stats.max_pages = self.held.limit();
        stats
    }
}

/// What the region is to be made of. May sleep; no lock is held yet.
fn backing(map: &faultline_map, protection: Protection) -> Result<Backing> {
    let range = FileRange {
        fd: map.fd,
        offset: map.offset,
        length: map.length,
    };
    match map.backing {
        FAULTLINE_BACKING_ANON if map.fd == -1 && map.offset == 0 => Ok(Backing::Anon),
        FAULTLINE_BACKING_SHARED if map.offset % PAGE_SIZE == 0 => {
            Backing::shared(range, protection)
        }
        FAULTLINE_BACKING_PRIVATE if map.offset % PAGE_SIZE == 0 => Backing::private(range),
        _ => Err(EINVAL),
    }
}

fn placement(map: &faultline_map) -> Result<Placement> {
    match map.flags {
        FAULTLINE_MAP_FIXED => Ok(Placement::Fixed(range_of(map.addr, map.length)?)),
        0 => hinted(map),
        // NOREPLACE implies FIXED, as for mmap(2).
        flags if flags & !(FAULTLINE_MAP_FIXED | FAULTLINE_MAP_FIXED_NOREPLACE) == 0 => {
            Ok(Placement::FixedNoReplace(range_of(map.addr, map.length)?))
        }
        _ => Err(EINVAL),
    }
}

fn hinted(map: &faultline_map) -> Result<Placement> {
    if map.length == 0 || (map.addr | map.length) % PAGE_SIZE != 0 {
        return Err(EINVAL);
    }
    // An interval that does not fit is ENOMEM, not EINVAL.
    let pages = map.length >> PAGE_SHIFT;
    if pages > SPACE_PAGES {
        return Err(ENOMEM);
    }
    let hint = map.addr >> PAGE_SHIFT;
    Ok(Placement::Lowest {
        // One beyond the space is as good as none.
        hint: if hint < SPACE_PAGES { hint } else { 0 },
        pages,
    })
}
