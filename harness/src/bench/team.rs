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
#[derive(Debug)]
struct Gate {
    words: SharedWords,
    count: usize,
    /// How many have to be ready: the workers, and who watches them if anybody does.
    members: usize,
    epoch: Instant,
}

/// A flag in a cache line of its own (and its neighbour, which processors fetch along).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

/// Whether a thread goes on: to be asked before each operation, so all that it does is
/// to load a flag that nobody writes until the end.
#[derive(Debug)]
pub(crate) struct Go<'a> {
    stop: &'a AtomicBool,
    gate: &'a Gate,
    number: usize,
    /// Ticks that each operation is held up, if it is.
    drag: u64,
}

impl Go<'_> {
    /// Whether there is to be another operation. The time ends at the first "no".
    #[inline]
    pub(crate) fn on(&self) -> bool {
        self.hold_up();
        !self.is_over()
    }

    /// What [`on`](Self::on) does to slow down, for who does not ask it.
    #[inline]
    pub(crate) fn hold_up(&self) {
        if self.drag != 0 {
            spin_for(self.drag);
        }
    }

    /// Whether the time is over: for who waits for others in an operation.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.is_over_unless(|| false)
    }

    /// The same, but not yet while `more` says so.
    #[inline]
    pub(crate) fn is_over_unless(&self, more: impl Fn() -> bool) -> bool {
        // Relaxed: results come by joining.
        let is_over = self.stop.load(Relaxed) && !more();
        if is_over {
            self.end();
        }
        is_over
    }

    #[cold]
    fn end(&self) {
        self.gate.note_once(self.number, ENDED);
    }
}

/// Spins for so many ticks of the processor's clock.
#[cold]
fn spin_for(ticks: u64) {
    let began = sys::ticks();
    while sys::ticks().wrapping_sub(began) < ticks {
        hint::spin_loop();
    }
}

/// What a thread has done, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worked<Done> {
    began: u64,
    ended: u64,
    /// What it returned.
    pub(crate) done: Done,
}

/// From when the first of them began until the last one saw the end.
pub(crate) fn span<Done>(threads: &[Worked<Done>]) -> Duration {
    let began = threads.iter().map(|thread| thread.began).min();
    let ended = threads.iter().map(|thread| thread.ended).max();
    let nanoseconds = ended.unwrap_or(0).saturating_sub(began.unwrap_or(0));
    Duration::from_nanos(nanoseconds)
}

/// Has `count` threads, each pinned as in [`together`], `prepare` and then `work` until
/// they are told to stop, after `time`. `begin` is called when all are ready and before
/// any of them works.
pub(crate) fn for_a_time<State, Done: Send>(
    time: Duration,
    drag: u64,
    count: usize,
    prepare: impl Fn(usize) -> io::Result<State> + Sync,
    begin: impl FnOnce() -> io::Result<()>,
    work: impl Fn(usize, &mut State, &Go<'_>) -> io::Result<Done> + Sync,
) -> io::Result<Vec<Worked<Done>>> {
    let gate = Gate::new(count, count + 1)?;
    let stop = Flag::default();
    let run = |number| {
        let state = sys::pin_to_nth_cpu(number).and_then(|()| prepare(number));
        let Some(mut state) = gate.enter(state)? else {
            return Ok(None);
        };
        let go = Go {
            stop: &stop.0,
            gate: &gate,
            number,
            drag,
        };
        gate.note_once(number, BEGAN);
        let done = work(number, &mut state, &go)?;
        gate.note_once(number, ENDED);
        Ok(Some(Worked {
            began: gate.noted(number, BEGAN),
            ended: gate.noted(number, ENDED),
            done,
        }))
    };
    let (begun, ends) = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..count)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        let begun = gate.wait_for(count).and_then(|()| begin());
        let begun = gate.enter(begun);
        if matches!(begun, Ok(Some(()))) {
            thread::sleep(time);
        }
        stop.0.store(true, Relaxed);
        let ends: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        (begun, ends)
    });
    begun?;
    // An error first: it is why others may have done nothing.
    let ends: Vec<_> = ends.into_iter().map(joined).collect::<io::Result<_>>()?;
    let done: Option<Vec<_>> = ends.into_iter().collect();
    done.ok_or_else(|| io::Error::other("not all threads could begin"))
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
    let gate = Gate::new(count, count)?;
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
    fn new(count: usize, members: usize) -> io::Result<Gate> {
        Ok(Gate {
            words: SharedWords::new((count + 1) * LINE)?,
            count,
            members,
            epoch: Instant::now(),
        })
    }

    /// Waits for the others and works, unless one of them has failed.
    fn pass<State>(
        &self,
        number: usize,
        state: io::Result<State>,
        work: impl Fn(usize, &mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut state) = self.enter(state)? else {
            return Ok(());
        };
        self.note_once(number, BEGAN);
        let outcome = work(number, &mut state);
        self.note_once(number, ENDED);
        outcome
    }

    /// Waits until all are ready; nothing if another one is not, for some error.
    fn enter<State>(&self, state: io::Result<State>) -> io::Result<Option<State>> {
        if state.is_err() {
            self.common(FAILED).store(1, SeqCst);
        }
        self.common(READY).fetch_add(1, SeqCst);
        let state = state?;
        self.wait_for(self.members)?;
        Ok((self.common(FAILED).load(SeqCst) == 0).then_some(state))
    }

    /// Waits until so many are ready: spinning, so that all see it at once; yielding,
    /// lest there be fewer processors than members.
    fn wait_for(&self, members: usize) -> io::Result<()> {
        while self.common(READY).load(SeqCst) < members as u64 {
            if self.epoch.elapsed() > LIMIT {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::yield_now();
        }
        Ok(())
    }

    fn note_once(&self, number: usize, word: usize) {
        let word = &self.words[number * LINE + word];
        if word.load(SeqCst) == 0 {
            word.store(self.epoch.elapsed().as_nanos() as u64, SeqCst);
        }
    }

    fn noted(&self, number: usize, word: usize) -> u64 {
        self.words[number * LINE + word].load(SeqCst)
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

    #[test]
    fn threads_work_until_the_time_is_over() {
        // On a busy machine a thread may get no processor in so short a time.
        let is_timed = |n: u32| {
            let time = Duration::from_millis(20) * (1 << n);
            let mut has_begun = false;
            let begin = || {
                has_begun = true;
                Ok(())
            };
            let threads = for_a_time(time, 0, 2, Ok, begin, |number, state, go| {
                assert_eq!(number, *state);
                let mut count = 0_u64;
                while go.on() {
                    count += 1;
                }
                // What comes behind the end is not in the time.
                thread::sleep(time * 10);
                Ok(count)
            });
            let threads = threads.unwrap();
            assert!(has_begun && threads.len() == 2);
            let took = span(&threads);
            threads.iter().all(|thread| thread.done > 0) && took >= time && took < time * 10
        };
        assert!((0..6).any(is_timed));
    }

    #[test]
    fn a_thread_that_fails_before_or_meanwhile_fails_all() {
        let time = Duration::from_millis(1);
        let fail = |number| match number {
            0 => Ok(()),
            _ => Err(io::ErrorKind::OutOfMemory.into()),
        };
        let before = for_a_time(time, 0, 2, fail, || Ok(()), |_, (), _| Ok(()));
        assert_eq!(before.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        let meanwhile = for_a_time(time, 0, 2, |_| Ok(()), || Ok(()), |n, (), _| fail(n));
        assert_eq!(meanwhile.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        let by_begin = for_a_time(time, 0, 2, |_| Ok(()), || fail(1), |_, (), _| Ok(()));
        assert_eq!(by_begin.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}
