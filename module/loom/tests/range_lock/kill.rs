// SPDX-License-Identifier: GPL-2.0-only

//! Leaving the line.

use std::{mem, pin::pin};

use faultline_portable_loom::{
    range_lock::{Killed, Request},
    sync::Task,
};

use super::world::{explore, explore_bounded, one, Shared, A};

/// The grant and the signal come at the same moment; whoever wins, the request
/// ends at once, and nobody touches it afterwards.
#[test]
pub(crate) fn a_kill_and_a_grant_at_once() {
    explore(|world: &Shared<1, 1>| {
        let victim = Task::current();
        let holder = world.spawn(move |world| {
            let request = pin!(Request::new(&world.lock));
            let guard = request.write(one(A));
            victim.kill();
            world.change(A);
            drop(guard);
        });
        {
            let request = pin!(Request::new(&world.lock));
            let got = request.write_killable(one(A));
            got.iter().for_each(|_guard| world.change(A));
        }
        holder.join();
    });
}

#[test]
fn a_kill_by_a_third() {
    explore_bounded(|world: &Shared<1, 1>| {
        let victim = Task::current();
        let holder = world.spawn(|world| world.write(one(A), &[A]));
        let killer = world.spawn(move |_| victim.kill());
        {
            let request = pin!(Request::new(&world.lock));
            let got = request.write_killable(one(A));
            got.iter().for_each(|_guard| world.change(A));
        }
        holder.join();
        killer.join();
    });
}

#[test]
fn who_waits_behind_the_killed_passes() {
    explore_bounded(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.read(one(A));
        let killed = world.spawn(|world| {
            Task::current().kill();
            let request = pin!(Request::new(&world.lock));
            let got = request.write_killable(one(A));
            got.iter().for_each(|_guard| world.change(A));
        });
        let behind = world.spawn(|world| world.read(one(A), &[A]));
        world.look(A);
        behind.join();
        drop(guard);
        killed.join();
    });
}

#[test]
fn a_killed_request_can_be_made_again() {
    explore(|world: &Shared<1, 1>| {
        Task::current().kill();
        let mut request = pin!(Request::new(&world.lock));
        let other = world.spawn(|world| world.write(one(A), &[A]));
        let got = request.as_mut().write_killable(one(A));
        if got.map(|_guard| world.change(A)) == Err(Killed) {
            let _guard = request.write(one(A));
            world.change(A);
        }
        other.join();
    });
}

/// Who leaves lets only those pass that came later.
#[test]
pub(crate) fn who_leaves_the_line_does_not_let_earlier_ones_pass() {
    explore(|world: &Shared<1, 1>| {
        let holder = pin!(Request::new(&world.lock));
        let leaver = pin!(Request::new(&world.lock));
        let last = pin!(Request::new(&world.lock));
        let guard = holder.write(one(A));
        let other = world.spawn(|world| world.write(one(A), &[A]));
        let left = leaver.queue_write(one(A));
        let behind = last.queue_write(one(A));
        drop(left);
        world.change(A);
        drop(guard);
        let guard = behind.wait();
        world.change(A);
        drop(guard);
        other.join();
    });
}

/// The place in the line is not given up before the request ends.
#[test]
fn a_leaked_place_in_the_line_ends_with_its_request() {
    explore(|world: &Shared<1, 1>| {
        let other = world.spawn(|world| world.write(one(A), &[A]));
        {
            let request = pin!(Request::new(&world.lock));
            mem::forget(request.queue_write(one(A)));
        }
        other.join();
    });
}
