// SPDX-License-Identifier: GPL-2.0-only
//! Has the kernel fail an allocation of one's choice.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::check::Stop;

/// The allocations of this thread in the kernel, of which one can be made to
/// fail, or all from a certain one on.
#[derive(Debug)]
pub(crate) struct Allocations {
    one: File,
    all: File,
}

/// Everything counts, also what may sleep and what is one page; nothing is
/// said about it on the console. `all` is only about small objects.
const SETTINGS: [(&str, &str); 10] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("failslab/verbose", "0"),
    ("failslab/task-filter", "Y"),
    ("failslab/times", "-1"),
    ("failslab/interval", "1"),
    ("failslab/probability", "100"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("fail_page_alloc/verbose", "0"),
];

fn set(name: &str, value: &str) -> Result<(), Stop> {
    let path = Path::new("/sys/kernel/debug").join(name);
    fs::write(&path, value).map_err(|error| Stop::fail(format!("{}: {error}", path.display())))
}

fn switch(name: &str) -> Result<File, Stop> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(Path::new("/proc/thread-self").join(name))
        .map_err(|_| Stop::skip("a kernel without fault injection"))
}

impl Allocations {
    /// Of the calling thread. Skips where the kernel cannot inject faults.
    pub(crate) fn of_this_thread() -> Result<Allocations, Stop> {
        let allocations = Allocations {
            one: switch("fail-nth")?,
            all: switch("make-it-fail")?,
        };
        SETTINGS
            .into_iter()
            .try_for_each(|(name, value)| set(name, value))?;
        Ok(allocations)
    }

    /// Runs `body` with the `nth` allocation failing, from 1 on. Also says
    /// whether there were so many.
    pub(crate) fn fail<T>(&self, nth: u32, body: impl FnOnce() -> T) -> Result<(T, bool), Stop> {
        self.one.write_all_at(nth.to_string().as_bytes(), 0)?;
        let result = body();
        let mut left = [0; 16];
        // Before anything else allocates.
        let length = self.one.read_at(&mut left, 0)?;
        self.one.write_all_at(b"0", 0)?;
        Ok((result, left[..length] == *b"0\n"))
    }

    /// Runs `body` with all small allocations failing after the first `bytes`
    /// bytes, until it is done or has had enough time. Also says whether it was
    /// done by then: what is past the point of failing may wait for memory.
    pub(crate) fn starve<T>(
        &self,
        bytes: usize,
        body: impl FnOnce() -> T,
    ) -> Result<(T, bool), Stop> {
        self.fail_all("N", bytes, Duration::from_secs(1), body)
    }

    /// As `starve`, but only allocations that may not wait fail, from the first on.
    pub(crate) fn starve_who_cannot_wait<T>(
        &self,
        body: impl FnOnce() -> T,
    ) -> Result<(T, bool), Stop> {
        // Who waits, waits to the end of it: it only has to be longer than what a call takes on
        // a machine that has other things to do.
        self.fail_all("Y", 0, Duration::from_secs(15), body)
    }

    fn fail_all<T>(
        &self,
        spare_who_can_wait: &str,
        bytes: usize,
        enough: Duration,
        body: impl FnOnce() -> T,
    ) -> Result<(T, bool), Stop> {
        const SPARE: &str = "failslab/ignore-gfp-wait";
        set("failslab/space", &bytes.to_string())?;
        set(SPARE, spare_who_can_wait)?;
        let done = thread::scope(|scope| {
            let (done, told) = mpsc::channel::<()>();
            let relief = scope.spawn(move || {
                let in_time = told.recv_timeout(enough) != Err(RecvTimeoutError::Timeout);
                // A fault that is made again for ever ends here, too.
                self.all.write_all_at(b"0", 0).map(|()| in_time)
            });
            self.all.write_all_at(b"1", 0)?;
            let result = body();
            self.all.write_all_at(b"0", 0)?;
            drop(done);
            let in_time = relief
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))?;
            Ok((result, in_time))
        });
        set(SPARE, "N")?;
        done
    }
}
