// SPDX-License-Identifier: GPL-2.0-only
//! Workers that begin together: threads of this process, or processes.

use std::hint;
use std::io;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::selftest::check::Stop;
use crate::selftest::sys::process::Child;
use crate::shared::SharedWords;
use crate::sys;

/// What the workers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    /// Threads of this process.
    Threads,
    /// Processes, each of one thread.
    Processes,
}

/// How long a worker may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Words of each worker: a cache line of its own.
const LINE: usize = 8;
/// Words of a worker, in nanoseconds since `epoch`.
const BEGAN: usize = 0;
const ENDED: usize = 1;
/// Words of all, behind those of the workers.
const READY: usize = 0;
const FAILED: usize = 1;

/// Where the workers meet.
struct Gate {
    words: SharedWords,
    count: usize,
    epoch: Instant,
}

/// Has `count` workers, each pinned to a processor as far as there are any,
/// `prepare` one by one and then `work` together. Returns the time from when the
/// first began to work until the last had ended.
///
/// To be called while the process has one thread, if they are processes.
pub(crate) fn together<State>(
    workers: Workers,
    count: usize,
    prepare: impl Fn(usize) -> io::Result<State> + Sync,
    work: impl Fn(usize, &mut State) -> io::Result<()> + Sync,
) -> io::Result<Duration> {
    let gate = Gate {
        words: SharedWords::new((count + 1) * LINE)?,
        count,
        epoch: Instant::now(),
    };
    let run = |number| {
        let state = sys::pin_to_nth_cpu(number).and_then(|()| prepare(number));
        gate.pass(number, state, &work)
    };
    match workers {
        Workers::Threads => thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> = (0..count)
                .map(|number| scope.spawn(move || run(number)))
                .collect();
            let ends: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            ends.into_iter().try_for_each(joined)
        }),
        Workers::Processes => {
            let children = (0..count)
                .map(|number| Child::fork(|| Ok(run(number)?)))
                .collect::<io::Result<Vec<_>>>()?;
            let ends: Vec<_> = children
                .into_iter()
                .map(|child| child.finish(LIMIT))
                .collect();
            ends.into_iter().try_for_each(|end| end.map_err(stopped))
        }
    }?;
    Ok(gate.span())
}

/// Runs `measured` on one processor and `peer` on another, each until the flag
/// that it is given is set: the peer's after `time`, and the other's once the
/// peer has ended.
pub(crate) fn beside<Measured: Send, Peer: Send>(
    time: Duration,
    measured: impl FnOnce(&AtomicBool) -> io::Result<Measured> + Send,
    peer: impl FnOnce(&AtomicBool) -> io::Result<Peer> + Send,
) -> io::Result<(Measured, Peer)> {
    let (stop, stop_peer) = (AtomicBool::new(false), AtomicBool::new(false));
    let start = Barrier::new(2);
    let (start, flag, peer_flag) = (&start, &stop, &stop_peer);
    thread::scope(|scope| {
        let peer = scope.spawn(move || {
            let pinned = sys::pin_to_nth_cpu(1);
            start.wait();
            pinned.and_then(|()| peer(peer_flag))
        });
        let measured = scope.spawn(move || {
            let pinned = sys::pin_to_nth_cpu(0);
            start.wait();
            pinned.and_then(|()| measured(flag))
        });
        thread::sleep(time);
        // Relaxed: the results come by joining.
        stop_peer.store(true, Relaxed);
        let peer = peer.join();
        stop.store(true, Relaxed);
        let measured = measured.join();
        Ok((joined(measured)?, joined(peer)?))
    })
}

/// What a peer does that only takes its processor.
pub(crate) fn spin(stop: &AtomicBool) {
    // Relaxed: as in `beside`.
    while !stop.load(Relaxed) {
        hint::spin_loop();
    }
}

fn joined<T>(end: thread::Result<io::Result<T>>) -> io::Result<T> {
    end.unwrap_or_else(|_| Err(io::Error::other("panic")))
}

fn stopped(stop: Stop) -> io::Error {
    match stop {
        Stop::Skip(text) | Stop::Fail(text) => io::Error::other(text),
    }
}

impl Gate {
    /// Waits for the others and works, unless one of them has failed.
    fn pass<State>(
        &self,
        number: usize,
        state: io::Result<State>,
        work: impl Fn(usize, &mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        if state.is_err() {
            self.common(FAILED).store(1, SeqCst);
        }
        self.common(READY).fetch_add(1, SeqCst);
        let mut state = state?;
        // Spinning, so that all see it at once; yielding, lest there be fewer
        // processors than workers.
        while self.common(READY).load(SeqCst) < self.count as u64 {
            if self.epoch.elapsed() > LIMIT {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::yield_now();
        }
        if self.common(FAILED).load(SeqCst) != 0 {
            return Ok(());
        }
        self.note(number, BEGAN);
        let outcome = work(number, &mut state);
        self.note(number, ENDED);
        outcome
    }

    fn note(&self, number: usize, word: usize) {
        let now = self.epoch.elapsed().as_nanos() as u64;
        self.words[number * LINE + word].store(now, SeqCst);
    }

    fn common(&self, word: usize) -> &AtomicU64 {
        &self.words[self.count * LINE + word]
    }

    fn span(&self) -> Duration {
        let all =
            |word: usize| (0..self.count).map(move |n| self.words[n * LINE + word].load(SeqCst));
        let began = all(BEGAN).min().unwrap_or(0);
        Duration::from_nanos(all(ENDED).max().unwrap_or(0).saturating_sub(began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_span_covers_all_workers() {
        let time = together(Workers::Threads, 2, Ok, |number, state| {
            assert_eq!(number, *state);
            thread::sleep(Duration::from_millis(20 * number as u64));
            Ok(())
        });
        assert!(time.unwrap() >= Duration::from_millis(20));
    }

    #[test]
    fn one_that_cannot_prepare_fails_all_and_holds_up_none() {
        let failed = together(
            Workers::Threads,
            2,
            |number| match number {
                0 => Ok(()),
                _ => Err(io::ErrorKind::OutOfMemory.into()),
            },
            |_, ()| panic!("work was begun"),
        );
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}
