// SPDX-License-Identifier: GPL-2.0-only
//! How a window is made: where, and in how many mappings.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

use super::{Space, Window};
use crate::PAGE_SIZE;

/// How often an aligned place that was free a moment ago may be taken by
/// another thread, before that is an error.
const ATTEMPTS: usize = 64;

/// What a page table maps, in bytes, and how many the module keeps together.
const LEAF: usize = 2 << 20;

/// Where a [`Window`] goes in the process, and in how many mappings.
///
/// ```no_run
/// use faultline::{Space, WindowOptions};
///
/// # fn main() -> std::io::Result<()> {
/// let space = Space::open()?;
/// // A heap of 1 TiB that begins at a multiple of 1 GiB, in 256 mappings.
/// let heap = WindowOptions::new()
///     .align(1 << 30)
///     .stripe(4 << 30)
///     .open(&space, 0, 1 << 40)?;
/// assert_eq!(heap.ptr().addr() % (1 << 30), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WindowOptions {
    place: Place,
    stripe: Option<usize>,
}

/// Where in the address space of the process.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Anywhere,
    /// At a multiple of so many bytes.
    Aligned(usize),
    At(usize),
}

impl WindowOptions {
    /// A window in one mapping, at an address of the kernel's choice: if it has 2 MiB or
    /// more, one that lies to 2 MiB as the offset does, where there is room. So the pages
    /// that the module keeps together have a page table of their own, and threads that
    /// fault in different ones do not meet at its lock.
    pub const fn new() -> WindowOptions {
        WindowOptions {
            place: Place::Anywhere,
            stripe: None,
        }
    }

    /// The window begins at a multiple of `bytes`, which is a power of two and at
    /// least a page. Takes the place of [`at`](WindowOptions::at).
    pub const fn align(mut self, bytes: usize) -> WindowOptions {
        self.place = Place::Aligned(bytes);
        self
    }

    /// The window begins at this address of the process, a multiple of a page, and
    /// nothing may be mapped where it goes: EEXIST otherwise. Takes the place of
    /// [`align`](WindowOptions::align).
    pub const fn at(mut self, address: usize) -> WindowOptions {
        self.place = Place::At(address);
        self
    }

    /// The window is made of several mappings side by side, of `bytes` each but for
    /// the last, which has what is left. `bytes` is a multiple of a page, not 0.
    ///
    /// They look as one, but the kernel never joins them. Each fault counts itself
    /// in the mapping it is in, so threads that fault in different stripes do not
    /// write to the same cache line.
    ///
    /// There are `length / bytes` of them, rounded up. Each counts against the
    /// mappings that a process may have (`vm.max_map_count`, 65530 unless set
    /// otherwise): ENOMEM beyond, and nothing is left behind.
    ///
    /// Whoever calls system calls on the window's memory meets the borders of
    /// stripes as those of any two mappings: mremap(2) of more than one is EFAULT.
    pub const fn stripe(mut self, bytes: usize) -> WindowOptions {
        self.stripe = Some(bytes);
        self
    }

    /// Shows `[offset, offset + length)` of `space`, in bytes. `offset` is a multiple
    /// of a page; a length that is none is rounded up by the kernel, though not in
    /// [`Window::len`]. Regions need not be there yet.
    ///
    /// EINVAL for an offset, a stripe, an alignment or an address that is not as
    /// said, a length of 0, or a part that is not inside the space; EEXIST: see
    /// [`at`](WindowOptions::at); ENOMEM if the process has no such interval free,
    /// may have no more mappings, or not so much address space (RLIMIT_AS), EPERM
    /// below `vm.mmap_min_addr`. Nothing is mapped then.
    pub fn open(&self, space: &Space, offset: u64, length: usize) -> io::Result<Window> {
        let fd = space.as_fd();
        let from = libc::off_t::try_from(offset).map_err(|_| invalid())?;
        if self.stripe.is_some_and(|stripe| !is_whole_pages(stripe)) {
            return Err(invalid());
        }
        let start = match self.place {
            Place::Anywhere => map_anywhere(fd, from, length),
            Place::Aligned(alignment) => map_aligned(fd, from, length, alignment, 0),
            Place::At(address) => map_at(fd, from, length, address),
        }?;
        // SAFETY: It was just made, and has no other owner. From now on whatever is
        // there is unmapped if a stripe fails.
        let window = unsafe { Window::from_raw(start, length, offset) };
        if let Some(stripe) = self.stripe {
            for at in (0..length).step_by(stripe) {
                let place = window.ptr().wrapping_add(at);
                let length = stripe.min(length - at);
                let from = from + at as libc::off_t;
                // If this fails, the part is still there: the limits of mappings and
                // of address space come before it is cut out. But where memory for the
                // kernel's own structures runs out behind that, or the device refuses
                // (it took the whole), there is a gap, which is unmapped with the
                // window: until then another thread's mapping may go there, and be lost.
                // SAFETY: What is replaced is a part of the window, which nobody
                // has seen yet.
                unsafe { map(place, fd, from, length, libc::MAP_FIXED) }?;
            }
        }
        Ok(window)
    }
}

fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

fn is_whole_pages(bytes: usize) -> bool {
    bytes != 0 && bytes % PAGE_SIZE as usize == 0
}

/// Maps at `address`, where nothing may be.
fn map_at(
    fd: BorrowedFd<'_>,
    offset: libc::off_t,
    length: usize,
    address: usize,
) -> io::Result<NonNull<u8>> {
    // Null is not mapped, and would mean any address.
    if !is_whole_pages(address) {
        return Err(invalid());
    }
    let place = ptr::without_provenance_mut(address);
    // SAFETY: This does not replace anything.
    unsafe { map(place, fd, offset, length, libc::MAP_FIXED_NOREPLACE) }
}

/// Maps where the kernel likes, but as leaves lie, if there is room.
fn map_anywhere(fd: BorrowedFd<'_>, offset: libc::off_t, length: usize) -> io::Result<NonNull<u8>> {
    // SAFETY: An address of the kernel's choice disturbs nobody.
    let anywhere = || unsafe { map(ptr::null_mut(), fd, offset, length, 0) };
    if length < LEAF {
        return anywhere();
    }
    let beyond = offset.rem_euclid(LEAF as libc::off_t) as usize;
    map_aligned(fd, offset, length, LEAF, beyond).or_else(|_| anywhere())
}

/// Maps so many bytes beyond a multiple of `alignment`: finds where there is room, and goes
/// there.
fn map_aligned(
    fd: BorrowedFd<'_>,
    offset: libc::off_t,
    length: usize,
    alignment: usize,
    beyond: usize,
) -> io::Result<NonNull<u8>> {
    if !is_whole_pages(alignment) || !alignment.is_power_of_two() {
        return Err(invalid());
    }
    let room = length.checked_add(alignment + beyond);
    let room = room.ok_or_else(invalid)?;
    let mut result = Err(invalid());
    for _ in 0..ATTEMPTS {
        let address = free_interval(room)?.next_multiple_of(alignment) + beyond;
        result = map_at(fd, offset, length, address);
        let taken = |error: &io::Error| error.raw_os_error() == Some(libc::EEXIST);
        if !result.as_ref().is_err_and(taken) {
            break;
        }
    }
    result
}

/// Where `length` bytes are free, as long as nobody maps anything.
fn free_interval(length: usize) -> io::Result<usize> {
    // Private, and without access: only such memory is never accounted, not even with
    // vm.overcommit_memory=2. A shared one would be, and so much is not there.
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: A new mapping at an address of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The mapping is ours, and nobody has seen it.
    match unsafe { libc::munmap(start, length) } {
        0 => Ok(start.addr()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// # Safety
/// With MAP_FIXED the place must hold nothing that is still needed.
unsafe fn map(
    place: *mut u8,
    fd: BorrowedFd<'_>,
    offset: libc::off_t,
    length: usize,
    flags: libc::c_int,
) -> io::Result<NonNull<u8>> {
    // SAFETY: By the caller.
    let start = unsafe {
        libc::mmap(
            place.cast(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | flags,
            fd.as_raw_fd(),
            offset,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(NonNull::new(start.cast()).expect("mmap does not return null"))
}

#[cfg(test)]
mod tests;
