// SPDX-License-Identifier: GPL-2.0-only
//! One run: a load, the probe beside it, and what all counters say.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::load::{self, Load, THREADS, Workload};
use super::probe::{Calls, probe};
use super::stage::Stage;
use crate::bench::memory::{On, process_faults, unnamed_file};
use crate::counts::Counts;
use crate::selftest::state::vmstat;
use crate::selftest::sys::disk::Disk;
use crate::selftest::sys::memory::Mapping;
use crate::{PAGE_SIZE, sys};

/// What came of one run.
pub(super) struct Run {
    pub(super) workload: Workload,
    pub(super) on: On,
    pub(super) elapsed: Duration,
    /// Faults of this process, as the core counts them.
    pub(super) core_faults: u64,
    /// What the core counted in all processes meanwhile, in the order of
    /// [`CORE`]; `None` if it does not.
    pub(super) core: [Option<u64>; CORE.len()],
    /// What the module counted; `None` without a space.
    pub(super) counts: Option<Counts>,
    pub(super) calls: Calls,
}

/// Counters of /proc/vmstat: how faults fared under the lock of their mapping.
pub(super) const CORE: [&str; 4] = [
    "vma_lock_retry",
    "vma_lock_abort",
    "vma_lock_miss",
    "vma_lock_success",
];

impl Run {
    /// Faults the core sent back to be tried again.
    pub(super) fn core_retries(&self) -> Option<u64> {
        self.core[0]
    }
}

/// Runs the load on such memory for so long. `file` is for [`Workload::Cold`].
pub(super) fn run(
    workload: Workload,
    on: On,
    file: Option<&File>,
    time: Duration,
) -> io::Result<Run> {
    let stage = Stage::new(on, file)?;
    match workload {
        // Of faults there are none then, and the rest is as full as it gets.
        Workload::Spin => stage.piece.touch_part(0, stage.length),
        Workload::Cold => file.map_or(Ok(()), load::forget)?,
        _ => {}
    }
    let mut counts = Counts::default();
    let (core, core_faults) = (CORE.map(vmstat), process_faults()?);
    let began = Instant::now();
    let calls = counts.during(stage.arena.space(), || {
        load_and_probe(workload, &stage, file, time)
    })?;
    let elapsed = began.elapsed();
    let core_faults = process_faults()? - core_faults;
    let mut now = CORE.map(vmstat).into_iter();
    let core = core.map(|before| Some(now.next()??.saturating_sub(before?)));
    let has_space = stage.arena.space().is_some();
    stage.leave()?;
    Ok(Run {
        workload,
        on,
        elapsed,
        core_faults,
        core,
        counts: has_space.then_some(counts),
        calls,
    })
}

fn load_and_probe(
    workload: Workload,
    stage: &Stage,
    file: Option<&File>,
    time: Duration,
) -> io::Result<Calls> {
    let (stop, stop_load) = (AtomicBool::new(false), AtomicBool::new(false));
    let load = Load::new(workload, stage, file, &stop_load);
    thread::scope(|scope| {
        let load = &load;
        let threads = [0, 1].map(|thread: usize| {
            scope.spawn(move || sys::pin_to_nth_cpu(thread).and_then(|()| load.run(thread)))
        });
        const { assert!(THREADS == 2) };
        // Not pinned: it is to wait for the load, not for a processor.
        let prober = scope.spawn(|| probe(stage.tail(), &stop));
        thread::sleep(time);
        // Relaxed: the results come by joining. The load lasts longer, so that
        // all calls are beside it.
        stop.store(true, Ordering::Relaxed);
        let calls = prober.join();
        stop_load.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap_or_else(panicked)?;
        }
        calls.unwrap_or_else(panicked)
    })
}

fn panicked<T>(_: Box<dyn std::any::Any + Send>) -> io::Result<T> {
    Err(io::Error::other("panic"))
}

/// The file of [`Workload::Cold`], and the disk it is on.
pub(super) struct Cold {
    pub(super) file: File,
    _disk: Option<Disk>,
}

/// How long a disk takes for a request.
const LATENCY: Duration = Duration::from_millis(1);

/// A file for [`Workload::Cold`], or why there is none: in `dir`, or else on a
/// disk that is made for it. What is not on a disk cannot be forgotten.
pub(super) fn cold(dir: Option<&Path>) -> io::Result<Result<Cold, String>> {
    let length = Stage::file_length();
    let (file, disk) = match dir {
        Some(dir) => {
            let mut file = unnamed_file(dir)?;
            let block = vec![0x5a; 1 << 20];
            for _ in 0..length / block.len() as u64 {
                file.write_all(&block)?;
            }
            file.sync_all()?;
            (file, None)
        }
        None => match Disk::new(LATENCY, (length / PAGE_SIZE) as u32, 1) {
            Ok(disk) => (disk.file()?, Some(disk)),
            Err(error) => {
                return Ok(Err(format!(
                    "no disk can be made of null_blk and EROFS ({error}): \
                     be root, or give --dir on a disk"
                )));
            }
        },
    };
    load::forget(&file)?;
    Ok(match cached(&file)? {
        true => Err("the file is not on a disk: give --dir on one".to_owned()),
        false => Ok(Cold { file, _disk: disk }),
    })
}

/// Whether the first page of a file is in memory.
fn cached(file: &File) -> io::Result<bool> {
    let page = PAGE_SIZE as usize;
    let mapping = Mapping::of(file.as_fd(), 0, page, libc::PROT_READ, libc::MAP_SHARED)?;
    Ok(mapping.resident()?[0] & 1 != 0)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_load_runs_and_is_probed() {
        for &workload in Workload::value_variants() {
            if matches!(workload, Workload::Cold | Workload::Big) {
                continue;
            }
            let run = run(workload, On::Linux, None, Duration::from_millis(30)).unwrap();
            assert!(run.calls.iter().all(|call| call.len() > 0), "{workload:?}");
            assert!(run.counts.is_none());
            let spins = workload == Workload::Spin;
            assert!(spins || run.core_faults > 0, "{workload:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_forgotten_is_refused() {
        let refused = cold(Some(Path::new("/dev/shm"))).unwrap();
        assert!(refused.is_err_and(|why| why.contains("is not on a disk")));
    }
}
