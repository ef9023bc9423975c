// SPDX-License-Identifier: GPL-2.0-only
//! The system calls that only the tests need. All unsafe code of the tests is
//! in here.

pub(crate) mod call;
pub(crate) mod disk;
pub(crate) mod erofs;
pub(crate) mod file;
pub(crate) mod gup;
pub(crate) mod kmodule;
pub(crate) mod memory;
pub(crate) mod points;
pub(crate) mod process;
pub(crate) mod watch;

use std::io;

/// The result of a raw system call.
fn check(result: libc::c_long) -> io::Result<usize> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as usize)
    }
}
