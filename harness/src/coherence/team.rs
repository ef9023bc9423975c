// SPDX-License-Identifier: GPL-2.0-only
//! Threads that begin and end together without the kernel's help: waking and
//! sleeping would write lines that all processors share, in the measured phase.
//!
//! Who writes what: each thread writes one word of a line of its own, which the first
//! one reads; the first writes one word that all read, twice. So waiting costs each
//! thread two transfers in a phase, whatever it does. Under emulation who waits leaves
//! the host's processors to the others.

use std::fs;
use std::hint;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::thread;

use crate::sys;

/// A line of its own, and the one that is fetched beside it.
#[derive(Default)]
#[repr(align(128))]
struct Word(AtomicU32);

impl Word {
    fn set(&self, value: u32) {
        // Release: pairs with the acquire of who waits for it.
        self.0.store(value, Release);
    }

    fn wait(&self, value: u32) {
        while self.0.load(Acquire) < value {
            sys::mark_wait();
            hint::spin_loop();
        }
    }
}

const READY: u32 = 1;
const DONE: u32 = 2;
const GO: u32 = 1;
const LEAVE: u32 = 2;

/// Keeps this thread on the processor of this number. Threads inherit what their maker may
/// use, which is one processor from the first phase on: so it is looked up once.
fn pin(number: u32) -> io::Result<()> {
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    let cpus = CPUS.get_or_init(sys::allowed_cpus);
    sys::pin_to(cpus[number as usize % cpus.len()])
}

/// Where the module tells where its objects are.
const OBJECTS: &str = "/sys/kernel/debug/faultline/objects";

/// A measured phase.
#[derive(Debug, Default)]
pub(super) struct Phase {
    /// The module's objects when it ended, as it tells them; none without the module.
    pub(super) objects: String,
    /// How often a thread has slept in it.
    pub(super) sleeps: u64,
}

impl Phase {
    fn end(&mut self) -> io::Result<()> {
        sys::mark_end();
        match fs::read_to_string(OBJECTS) {
            Ok(objects) => self.objects = objects,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Says that a thread is done, even if its work panics: the others wait for it.
struct Done<'a>(&'a Word);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.set(DONE);
    }
}

/// Has each of `count` threads `work`, pinned to a processor each. If there is a `phase`,
/// it is from when all are ready until all are done.
pub(super) fn together(
    count: u32,
    mut phase: Option<&mut Phase>,
    work: impl Fn(u32) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let slept = AtomicU64::new(0);
    let words: Vec<Word> = (0..count).map(|_| Word::default()).collect();
    let command = Word::default();
    let member = |number: u32| {
        let own = &words[number as usize];
        let before = pin(number).and_then(|()| sys::thread_sleeps());
        own.set(READY);
        command.wait(GO);
        let done = Done(own);
        let outcome = before.and_then(|before| work(number).map(|()| before));
        drop(done);
        command.wait(LEAVE);
        // Relaxed: the thread is joined before it is read.
        slept.fetch_add(sys::thread_sleeps()? - outcome?, Relaxed);
        Ok(())
    };
    thread::scope(|scope| {
        let member = &member;
        let others: Vec<_> = (1..count)
            .map(|number| scope.spawn(move || member(number)))
            .collect();
        let pinned = pin(0);
        for word in &words[1..] {
            while word.0.load(Acquire) < READY {
                // A new thread begins on the processor of the one that has made it.
                thread::yield_now();
            }
        }
        let before = sys::thread_sleeps()?;
        if phase.is_some() {
            sys::mark_begin();
        }
        command.set(GO);
        let own = pinned.and_then(|()| work(0));
        words[1..].iter().for_each(|word| word.wait(DONE));
        let ended = phase.as_mut().map_or(Ok(()), |phase| phase.end());
        slept.fetch_add(sys::thread_sleeps()? - before, Relaxed);
        command.set(LEAVE);
        let join = |thread: thread::ScopedJoinHandle<'_, io::Result<()>>| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("panic")))
        };
        let ends: Vec<_> = others.into_iter().map(join).collect();
        if let Some(phase) = phase {
            phase.sleeps = slept.load(Relaxed);
        }
        ends.into_iter().fold(own.and(ended), Result::and)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_works_once_and_an_error_is_passed_on() {
        let counts: Vec<AtomicU32> = (0..3).map(|_| AtomicU32::new(0)).collect();
        let outcome = together(3, Some(&mut Phase::default()), |number| {
            let before = counts[number as usize].fetch_add(1, Acquire);
            assert_eq!(before, 0);
            match number {
                2 => Err(io::ErrorKind::OutOfMemory.into()),
                _ => Ok(()),
            }
        });
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        assert!(counts.iter().all(|count| count.load(Acquire) == 1));
    }
}
