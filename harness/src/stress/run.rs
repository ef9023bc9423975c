// SPDX-License-Identifier: GPL-2.0-only
//! One run: processes, threads, and what is looked at afterwards.

use std::io;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use super::process::{self, Child};
use super::worker::Worker;
use super::world::World;
use super::{Counter, Options, Report, quiet, watch};
use crate::sys;
use crate::target::{Operations, Target};

/// Runs the threads on these targets, one per space, on which nothing may be
/// mapped yet. With more than one process the caller must have one thread only.
///
/// A hang ends the process: the threads that hang cannot be ended otherwise.
pub fn execute(
    options: &Options,
    seed: u64,
    mut targets: Vec<Box<dyn Target>>,
) -> io::Result<Report> {
    assert_eq!(
        targets.len(),
        options.spaces as usize,
        "one target per space"
    );
    if !targets
        .iter()
        .all(|target| options.suits(target.features()))
    {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the target is for one process",
        ));
    }
    let able = targets.iter().map(|target| target.features().operations);
    let able = able.reduce(Operations::and).unwrap_or_default();
    let world = World::new(options, seed, able)?;
    let mut children = (1..options.procs)
        .map(|proc| fork_one(&world, &mut targets, proc))
        .collect::<io::Result<Vec<Child>>>()?;
    let elapsed = thread::scope(|scope| {
        for thread in threads_of(&world, 0) {
            let (world, targets) = (&world, &targets[..]);
            scope.spawn(move || work(world, targets, thread));
        }
        watch::watch(&world, &mut children)
    });
    let stats = quiet::check(&world, &targets)?;
    Ok(Report::new(&world, elapsed, stats))
}

/// Forks process number `proc`.
fn fork_one(world: &World, targets: &mut [Box<dyn Target>], proc: u32) -> io::Result<Child> {
    let mut sockets = Vec::new();
    for target in &*targets {
        let (ours, theirs) = UnixStream::pair()?;
        target.hand_over(&ours)?;
        // The message waits in the socket, whose both ends the child inherits.
        sockets.push((ours, theirs));
    }
    process::fork(|| {
        for (target, (_, socket)) in targets.iter_mut().zip(&sockets) {
            if let Err(error) = target.take_over(socket) {
                world
                    .mismatches
                    .add(&format!("process {proc} cannot open its window: {error}"));
                return 1;
            }
        }
        let targets = &*targets;
        thread::scope(|scope| {
            for thread in threads_of(world, proc) {
                scope.spawn(move || work(world, targets, thread));
            }
        });
        0
    })
}

/// The threads of process number `proc`: accessors and remappers in turn.
pub(super) fn threads_of(world: &World, proc: u32) -> impl Iterator<Item = usize> {
    let (accessors, procs) = (world.options.threads, world.options.procs);
    (0..world.options.total_threads())
        .filter(move |&thread| {
            let number = if thread < accessors {
                thread
            } else {
                thread - accessors
            };
            number % procs == proc
        })
        .map(|thread| thread as usize)
}

/// The life of a thread.
fn work(world: &World, targets: &[Box<dyn Target>], thread: usize) {
    let body = || {
        if !world.options.no_pin {
            let cpus = sys::allowed_cpus();
            let cpu = cpus[thread % cpus.len()];
            if let Err(error) = sys::pin_to(cpu) {
                world
                    .mismatches
                    .add(&format!("cannot pin to CPU {cpu}: {error}"));
            }
        }
        let mut worker = Worker::new(world, targets, thread);
        worker.count(Counter::Ready);
        while !world.counters.all(Counter::Ready) && !world.mismatches.stopping() {
            thread::sleep(Duration::from_millis(1));
        }
        let accessor = thread < world.options.threads as usize;
        let most = world.options.ops_per_thread().unwrap_or(u64::MAX);
        while !world.mismatches.stopping() && world.counters.get(thread, Counter::Operations) < most
        {
            if accessor {
                worker.access()
            } else {
                worker.remap()
            }
        }
    };
    if catch_unwind(AssertUnwindSafe(body)).is_err() {
        // The message is on stderr already.
        world
            .mismatches
            .add(&format!("{} panicked", world.name_of(thread)));
    }
    world.counters.count(thread, Counter::Finished);
}
