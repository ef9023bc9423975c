// SPDX-License-Identifier: GPL-2.0-only
//! The calls of the device in their raw form: any size, any address.

use std::fmt::Debug;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;
use super::memory::Mapping;
use crate::uapi;

/// The structure of a call.
///
/// # Safety
/// It consists of whole words and has no padding, any bits are valid, and
/// `REQUEST` reads and writes no more than it.
pub(crate) unsafe trait Argument: Copy + Debug + Default {
    /// `FAULTLINE_IOC_*`.
    const REQUEST: libc::c_ulong;

    /// The structure as words.
    fn words(&self) -> Vec<u64> {
        let bytes = (&raw const *self).cast::<u8>();
        // SAFETY: By the contract of the trait, all bytes are initialised.
        let bytes = unsafe { std::slice::from_raw_parts(bytes, size_of::<Self>()) };
        let word = |chunk: &[u8]| u64::from_ne_bytes(chunk.try_into().expect("eight bytes"));
        bytes.chunks_exact(8).map(word).collect()
    }
}

macro_rules! arguments {
    ($($argument:ident => $request:ident),* $(,)?) => {$(
        const _: () = assert!(size_of::<uapi::$argument>() % 8 == 0);
        // SAFETY: The header defines the structure for this request, of whole
        // words and without padding.
        unsafe impl Argument for uapi::$argument {
            const REQUEST: libc::c_ulong = uapi::$request as libc::c_ulong;
        }
    )*};
}

arguments! {
    faultline_map => FAULTLINE_REQUEST_MAP,
    faultline_unmap => FAULTLINE_REQUEST_UNMAP,
    faultline_query => FAULTLINE_REQUEST_QUERY,
    faultline_policy => FAULTLINE_REQUEST_POLICY,
    faultline_limit => FAULTLINE_REQUEST_LIMIT,
    faultline_stats => FAULTLINE_REQUEST_STATS,
    faultline_protect => FAULTLINE_REQUEST_PROTECT,
    faultline_remap => FAULTLINE_REQUEST_REMAP,
    faultline_advise => FAULTLINE_REQUEST_ADVISE,
}

/// Calls with a structure of ours.
pub(crate) fn call<A: Argument>(fd: BorrowedFd<'_>, argument: &mut A) -> io::Result<()> {
    // SAFETY: By the contract of the trait.
    unsafe { crate::sys::ioctl(fd, A::REQUEST, argument) }
}

/// Calls `request` with the structure at byte `at` of a mapping.
pub(crate) fn call_at(
    fd: BorrowedFd<'_>,
    request: libc::c_ulong,
    mapping: &Mapping,
    at: usize,
) -> io::Result<()> {
    assert!(at < mapping.len(), "outside the mapping");
    let address = mapping.ptr().wrapping_add(at);
    // SAFETY: The kernel writes to mappings without Rust objects only, or the
    // structure reaches beyond the mapping, where a test keeps a guard page.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, address) }.into()).map(drop)
}

/// Calls with a structure at an address where nothing can ever be.
pub(crate) fn call_nowhere(
    fd: BorrowedFd<'_>,
    request: libc::c_ulong,
    nowhere: Nowhere,
) -> io::Result<()> {
    // SAFETY: The kernel cannot write there.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), request as _, nowhere.address()) }.into()).map(drop)
}

/// An address where no structure can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nowhere {
    /// The null pointer.
    Null,
    /// An address of the kernel.
    Kernel,
    /// One that is neither the user's nor the kernel's.
    NonCanonical,
    /// The end of everything.
    Last,
}

impl Nowhere {
    fn address(self) -> usize {
        match self {
            Nowhere::Null => 0,
            Nowhere::Kernel => 0xffff_8880_0000_0000,
            Nowhere::NonCanonical => 1 << 63,
            Nowhere::Last => usize::MAX - 7,
        }
    }
}

/// `request` with another size of structure.
pub(crate) fn with_size(request: libc::c_ulong, size: usize) -> libc::c_ulong {
    (request & !(0x3fff << 16)) | ((size as libc::c_ulong & 0x3fff) << 16)
}

/// The size of the structure in `request`.
pub(crate) fn size_of_request(request: libc::c_ulong) -> usize {
    (request >> 16) as usize & 0x3fff
}
