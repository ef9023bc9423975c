// SPDX-License-Identifier: GPL-2.0-only
//! Two boots at a time: most tests wait more than they work.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::Result;

use crate::signal;

/// How many jobs are done at a time.
pub(super) fn lanes() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(2)
}

/// Does `jobs` in other threads, [`lanes`] at a time, and hands what comes out to `done`, in
/// this thread, as they end. An error of `done` ends it behind the jobs that have begun; a
/// signal ends these, too.
pub(super) fn in_lanes<J: Send, R: Send>(
    jobs: Vec<J>,
    work: impl Fn(J) -> R + Sync,
    done: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        let (results, ended) = mpsc::channel();
        for _ in 0..lanes() {
            let results = results.clone();
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                while let Some(job) = next() {
                    // Nobody listens any more if something has gone wrong there.
                    if results.send(work(job)).is_err() || signal::check().is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        ended.into_iter().try_for_each(done)
    })?;
    // It may have left jobs undone.
    signal::check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_done_once() {
        let mut seen = Vec::new();
        in_lanes(
            (0..20).collect(),
            |job: u32| job * 10,
            |result| {
                seen.push(result);
                Ok(())
            },
        )
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter((0..20).map(|job| job * 10)));
    }

    #[test]
    fn an_error_ends_it() {
        let mut seen = 0;
        let ended = in_lanes(
            (0..1000).collect(),
            |_: u32| (),
            |()| {
                seen += 1;
                anyhow::bail!("no")
            },
        );
        assert!(ended.is_err());
        assert_eq!(seen, 1);
    }
}
