// SPDX-License-Identifier: GPL-2.0-only
//! Two boots at a time: most tests wait more than they work.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::Result;

use crate::signal;

/// Does each of `jobs` in another thread, two at a time if there are two processors, and
/// hands what came out to `done`, in this thread, as they end. An error of `done` ends it
/// behind the jobs that have begun; a signal ends these, too.
pub(super) fn in_lanes<J: Send, R: Send>(
    jobs: Vec<J>,
    work: impl Fn(&J) -> R + Sync,
    mut done: impl FnMut(J, R) -> Result<()>,
) -> Result<()> {
    let lanes = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(2);
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        let (results, ended) = mpsc::channel();
        for _ in 0..lanes {
            let results = results.clone();
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                while let Some(job) = next() {
                    let result = work(&job);
                    // Nobody listens any more if something has gone wrong there.
                    if results.send((job, result)).is_err() || signal::check().is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        ended
            .into_iter()
            .try_for_each(|(job, result)| done(job, result))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_is_done_once() {
        let mut seen = Vec::new();
        let work = |job: &u32| job * job;
        in_lanes((0..20).collect(), work, |job, result| {
            assert_eq!(result, job * job);
            seen.push(job);
            Ok(())
        })
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter(0..20));
    }

    #[test]
    fn an_error_ends_it() {
        let mut seen = 0;
        let work = |_: &u32| ();
        let ended = in_lanes((0..1000).collect(), work, |_, ()| {
            seen += 1;
            anyhow::bail!("no")
        });
        assert!(ended.is_err());
        assert_eq!(seen, 1);
    }
}
