// SPDX-License-Identifier: GPL-2.0-only
//! What two threads do to the stage until they are told to stop.

use std::fs::File;
use std::hint;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;

use super::stage::Stage;
use crate::PAGE_SIZE;
use crate::bench::goals::churn::{self, change_once};
use crate::bench::goals::ebizzy;
use crate::bench::goals::open_loop::populate_once;
use crate::bench::memory::Piece;
use crate::bench::{KIB, MIB};

/// A load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// No fault: both spin. What the calls take then is what all else is to be
    /// compared with
    Spin,
    /// Each touches its half of a region
    Pft,
    /// Each maps 512 KiB, touches every page, and unmaps
    Ebizzy,
    /// One touches; the other maps, touches and unmaps 64 KiB elsewhere
    Churn,
    /// One touches what the other replaces and fills: faults sleep on changes
    Clash,
    /// Each touches its half of a private mapping of a file that is not cached:
    /// faults sleep on I/O
    Cold,
    /// One maps, touches and unmaps 4 KiB, the other 1 GiB
    Big,
}

/// What is replaced while it is touched, in bytes.
const CLASH: u64 = 16 * MIB;
/// What is touched between two looks at the flag, in bytes.
const STEP: u64 = 256 * KIB;

/// How many threads there are.
pub(super) const THREADS: usize = 2;

/// What the threads share.
pub(super) struct Load<'a> {
    pub(super) workload: Workload,
    pub(super) stage: &'a Stage,
    /// The file of the stage, if it has one.
    pub(super) file: Option<&'a File>,
    pub(super) stop: &'a AtomicBool,
    /// Where they meet when all is touched.
    meeting: Barrier,
    /// Set by the first of them, so that both end after the same pass.
    over: AtomicBool,
}

impl<'a> Load<'a> {
    pub(super) fn new(
        workload: Workload,
        stage: &'a Stage,
        file: Option<&'a File>,
        stop: &'a AtomicBool,
    ) -> Load<'a> {
        Load {
            workload,
            stage,
            file,
            stop,
            meeting: Barrier::new(THREADS),
            over: AtomicBool::new(false),
        }
    }

    /// What this thread of [`THREADS`] does.
    pub(super) fn run(&self, thread: usize) -> io::Result<()> {
        let (stage, is_first) = (self.stage, thread == 0);
        let (arena, piece) = (&stage.arena, &stage.piece);
        match self.workload {
            Workload::Spin => self.repeat(|| {
                hint::spin_loop();
                Ok(())
            }),
            Workload::Pft | Workload::Cold => self.touch_halves(thread),
            Workload::Ebizzy => {
                self.repeat(|| change_once(arena, Stage::slot(thread), ebizzy::CHUNK))
            }
            Workload::Churn if is_first => self.repeat(|| {
                self.touch(piece, 0, stage.length);
                arena.empty(&piece.part(0, stage.length))
            }),
            Workload::Churn => self.repeat(|| change_once(arena, Stage::slot(0), churn::CHUNK)),
            Workload::Clash if is_first => self.repeat(|| {
                self.touch(piece, 0, CLASH);
                Ok(())
            }),
            Workload::Clash => self.repeat(|| {
                let part = piece.part(0, CLASH);
                arena.replace(&part)?;
                arena.populate(&part)
            }),
            Workload::Big if is_first => {
                self.repeat(|| change_once(arena, Stage::slot(0), PAGE_SIZE))
            }
            Workload::Big => self.repeat(|| populate_once(arena, Stage::big_slot(), stage.big)),
        }
    }

    /// Relaxed: nothing hangs on it.
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn repeat(&self, mut step: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        while !self.is_stopped() {
            step()?;
        }
        Ok(())
    }

    /// Touches until told to stop.
    fn touch(&self, piece: &Piece, from: u64, length: u64) {
        for at in (from..from + length).step_by(STEP as usize) {
            if self.is_stopped() {
                return;
            }
            piece.touch_part(at, STEP.min(from + length - at));
        }
    }

    /// Touches its half. When both are done, one empties the stage, so that
    /// nothing changes while they touch.
    fn touch_halves(&self, thread: usize) -> io::Result<()> {
        let half = self.stage.length / THREADS as u64;
        loop {
            self.touch(&self.stage.piece, thread as u64 * half, half);
            let is_first = self.meeting.wait().is_leader();
            let mut emptied = Ok(());
            if is_first {
                emptied = self.empty();
                let over = emptied.is_err() || self.is_stopped();
                // Ordered by the barrier.
                self.over.store(over, Ordering::Relaxed);
            }
            self.meeting.wait();
            emptied?;
            if self.over.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    }

    fn empty(&self) -> io::Result<()> {
        let (arena, piece) = (&self.stage.arena, &self.stage.piece);
        arena.empty(&piece.part(0, self.stage.length))?;
        self.file.map_or(Ok(()), forget)
    }
}

/// Has the kernel drop what it has cached of a file, and not read ahead.
pub(super) fn forget(file: &File) -> io::Result<()> {
    for advice in [libc::POSIX_FADV_RANDOM, libc::POSIX_FADV_DONTNEED] {
        // SAFETY: No memory is passed.
        match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) } {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
    Ok(())
}
