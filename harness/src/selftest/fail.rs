// SPDX-License-Identifier: GPL-2.0-only
//! Has the kernel fail an allocation of one's choice.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::check::Stop;

/// The allocations of this thread in the kernel, of which one can be made to
/// fail.
#[derive(Debug)]
pub(crate) struct Allocations(File);

/// Everything counts, also what may sleep and what is one page; nothing is
/// said about it on the console.
const SETTINGS: [(&str, &str); 6] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

impl Allocations {
    /// Of the calling thread. Skips where the kernel cannot inject faults.
    pub(crate) fn of_this_thread() -> Result<Allocations, Stop> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")
            .map_err(|_| Stop::skip("a kernel without fault injection"))?;
        for (name, value) in SETTINGS {
            let path = Path::new("/sys/kernel/debug").join(name);
            fs::write(&path, value)
                .map_err(|error| Stop::fail(format!("{}: {error}", path.display())))?;
        }
        Ok(Allocations(file))
    }

    /// Runs `body` with the `nth` allocation failing, from 1 on. Also says
    /// whether there were so many.
    pub(crate) fn fail<T>(&self, nth: u32, body: impl FnOnce() -> T) -> Result<(T, bool), Stop> {
        self.0.write_all_at(nth.to_string().as_bytes(), 0)?;
        let result = body();
        let mut left = [0; 16];
        // Before anything else allocates.
        let length = self.0.read_at(&mut left, 0)?;
        self.0.write_all_at(b"0", 0)?;
        Ok((result, left[..length] == *b"0\n"))
    }
}
