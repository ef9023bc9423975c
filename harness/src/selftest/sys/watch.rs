// SPDX-License-Identifier: GPL-2.0-only
//! Watchpoints of the processor on memory of the kernel: perf_event_open.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::FromRawFd;

/// `PERF_TYPE_BREAKPOINT`
const BREAKPOINT: u32 = 5;
/// `HW_BREAKPOINT_W`
const STORES: u32 = 2;
/// `PERF_ATTR_SIZE_VER1`
const SIZE: u32 = 72;

/// The first fields of `struct perf_event_attr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    bp_addr: u64,
    bp_len: u64,
}

const _: () = assert!(size_of::<Attr>() == SIZE as usize);

/// Counts what the calling thread stores to one word.
pub(crate) struct Watch(File);

impl Watch {
    /// So many there may be at once.
    pub(crate) const MOST: usize = 4;

    /// Of the 8 bytes at `address`, from here on. Any value counts.
    pub(crate) fn stores(address: u64) -> io::Result<Watch> {
        let attr = Attr {
            kind: BREAKPOINT,
            size: SIZE,
            config: 0,
            sample_period: 0,
            sample_type: 0,
            read_format: 0,
            flags: 0,
            wakeup_events: 0,
            bp_type: STORES,
            bp_addr: address,
            bp_len: 8,
        };
        // SAFETY: The structure is as long as it says, and outlives the call.
        let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &attr, 0, -1, -1, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: Just made, and nobody else's.
        Ok(Watch(unsafe { File::from_raw_fd(fd as i32) }))
    }

    /// How many there were.
    pub(crate) fn count(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        (&self.0).read_exact(&mut count)?;
        Ok(u64::from_ne_bytes(count))
    }
}
