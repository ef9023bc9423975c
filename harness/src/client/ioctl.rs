// SPDX-License-Identifier: GPL-2.0-only
//! The system call behind all calls on a space.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Calls the ioctl `request` with a pointer to `argument`.
///
/// # Safety
/// `request` must read and write no more than a `T`, and whatever it writes
/// must be a valid `T`.
pub(crate) unsafe fn ioctl<T>(
    fd: BorrowedFd<'_>,
    request: libc::c_ulong,
    argument: &mut T,
) -> io::Result<()> {
    let argument: *mut T = argument;
    // SAFETY: The descriptor is open, and the caller vouches for the argument.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, argument) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
