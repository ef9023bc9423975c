// SPDX-License-Identifier: GPL-2.0-only

//! Giving back a part of a range, or of what may be done with it.

use std::pin::pin;

use faultline_portable_loom::range_lock::Request;

use super::world::{explore, explore_bounded, one, span, Shared, A, B, C};

#[test]
pub(crate) fn a_downgrade_lets_a_reader_in() {
    explore(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.write(one(A));
        let reader = world.spawn(|world| world.read(one(A), &[A]));
        world.change(A);
        let guard = guard.downgrade();
        world.look(A);
        reader.join();
        drop(guard);
    });
}

#[test]
pub(crate) fn a_downgrade_keeps_a_writer_out() {
    explore(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.write(one(A));
        let writer = world.spawn(|world| world.write(one(A), &[A]));
        let guard = guard.downgrade();
        world.look(A);
        drop(guard);
        writer.join();
    });
}

#[test]
fn a_downgrade_is_seen_by_a_reader_and_a_writer() {
    explore_bounded(|world: &Shared<1, 2>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.write(span(A, C + 1));
        let reader = world.spawn(|world| world.read(one(C), &[C]));
        let writer = world.spawn(|world| world.write(one(C), &[C]));
        world.change(C);
        let guard = guard.downgrade();
        world.look(C);
        drop(guard);
        reader.join();
        writer.join();
    });
}

#[test]
pub(crate) fn a_waiter_for_the_first_page_passes_when_it_is_given_back() {
    explore(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let mut guard = request.write(span(A, B + 1));
        let waiter = world.spawn(|world| world.write(one(A), &[A]));
        world.change(A);
        guard.release_below(B);
        world.change(B);
        waiter.join();
        drop(guard);
    });
}

#[test]
fn a_waiter_for_the_last_page_passes_when_it_is_given_back() {
    explore(|world: &Shared<1, 2>| {
        let request = pin!(Request::new(&world.lock));
        let mut guard = request.write(span(A, C + 1));
        let waiter = world.spawn(|world| world.write(one(C), &[C]));
        world.change(C);
        guard.release_from(C);
        world.change(A);
        waiter.join();
        drop(guard);
    });
}

/// In one place, and in one whose parts are released one after the other.
#[test]
pub(crate) fn a_waiter_for_all_pages_waits_for_the_rest() {
    explore(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let mut guard = request.write(span(A, B + 1));
        let waiter = world.spawn(|world| world.write(span(A, B + 1), &[A, B]));
        guard.release_below(B);
        world.change(B);
        drop(guard);
        waiter.join();
    });
    explore(|world: &Shared<1, 2>| {
        let request = pin!(Request::new(&world.lock));
        let mut guard = request.write(span(A, C + 1));
        let waiter = world.spawn(|world| world.write(span(A, 3 * C), &[A, C]));
        guard.release_from(C);
        world.change(A);
        drop(guard);
        waiter.join();
    });
}

#[test]
fn a_partial_release_is_seen_by_two_waiters() {
    explore_bounded(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let mut guard = request.write(span(A, B + 1));
        let first = world.spawn(|world| world.write(one(A), &[A]));
        let all = world.spawn(|world| world.write(span(A, B + 1), &[A, B]));
        world.change(A);
        guard.release_below(B);
        world.change(B);
        drop(guard);
        first.join();
        all.join();
    });
}
