// SPDX-License-Identifier: GPL-2.0-only

//! Who is in keeps others out, and lets them in when it goes.

use std::pin::pin;

use faultline_portable_loom::{
    interval::Interval,
    range_lock::{Ranges, Request},
};

use super::world::{explore, explore_bounded, one, span, Shared, Thread, A, B, C, D};

#[test]
pub(crate) fn writers_take_turns() {
    explore(|world: &Shared<1, 1>| {
        let other = world.spawn(|world| world.write(one(A), &[A]));
        world.write(one(A), &[A]);
        other.join();
    });
}

#[test]
pub(crate) fn a_reader_and_a_writer_take_turns() {
    explore(|world: &Shared<1, 1>| {
        let other = world.spawn(|world| world.read(one(A), &[A]));
        world.write(one(A), &[A]);
        other.join();
    });
}

#[test]
fn three_writers_take_turns() {
    explore_bounded(|world: &Shared<1, 1>| {
        let others = [(); 2].map(|()| world.spawn(|world| world.write(one(A), &[A])));
        world.write(one(A), &[A]);
        others.into_iter().for_each(Thread::join);
    });
}

#[test]
fn a_writer_takes_turns_with_two_readers() {
    explore_bounded(|world: &Shared<1, 1>| {
        let others = [(); 2].map(|()| world.spawn(|world| world.read(one(A), &[A])));
        world.write(one(A), &[A]);
        others.into_iter().for_each(Thread::join);
    });
}

/// While one of them is in, the other is let in too.
#[test]
fn readers_share() {
    explore(|world: &Shared<1, 1>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.read(one(A));
        let other = world.spawn(|world| world.read(one(A), &[A]));
        world.look(A);
        other.join();
        drop(guard);
    });
}

/// In the same shard, and in different ones.
#[test]
fn writers_of_different_pages_do_not_wait() {
    for page in [B, C] {
        explore(move |world: &Shared<1, 2>| {
            let request = pin!(Request::new(&world.lock));
            let guard = request.write(one(A));
            let other = world.spawn(move |world| {
                let request = pin!(Request::new(&world.lock));
                assert!(request.try_write(one(page)).is_some());
            });
            other.join();
            drop(guard);
        });
    }
}

#[test]
pub(crate) fn a_page_and_a_gibibyte_take_turns() {
    explore(|world: &Shared<1, 2>| {
        let large = world.spawn(|world| world.write(span(0, 3 * C), &[A, C]));
        world.write(one(C), &[C]);
        large.join();
    });
}

#[test]
fn a_page_and_all_pages_take_turns() {
    explore(|world: &Shared<2, 1>| {
        let all = world.spawn(|world| world.write(Interval::ALL, &[A, D]));
        world.write(one(D), &[D]);
        all.join();
    });
}

#[test]
fn a_reader_of_all_pages_and_a_writer_of_one_take_turns() {
    explore(|world: &Shared<2, 1>| {
        let all = world.spawn(|world| world.read(Interval::ALL, &[A, D]));
        world.write(one(D), &[D]);
        all.join();
    });
}

#[test]
fn a_page_a_gibibyte_and_all_pages_take_turns() {
    explore_bounded(|world: &Shared<1, 2>| {
        let large = world.spawn(|world| world.write(span(0, 3 * C), &[A, C]));
        let all = world.spawn(|world| world.write(Interval::ALL, &[A, C]));
        world.write(one(C), &[C]);
        large.join();
        all.join();
    });
}

/// A range that crosses a boundary stands in two places.
#[test]
fn a_range_of_two_parts_takes_turns_with_each() {
    explore_bounded(|world: &Shared<1, 2>| {
        let left = world.spawn(|world| world.write(one(A), &[A]));
        let right = world.spawn(|world| world.write(one(C), &[C]));
        world.write(span(A, C + 1), &[A, C]);
        left.join();
        right.join();
    });
}

/// The last who lets a request pass passes on what the others did.
#[test]
pub(crate) fn who_waits_for_two_sees_what_both_did() {
    explore_bounded(|world: &Shared<1, 2>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.write(one(A));
        let other = world.spawn(|world| world.write(one(C), &[C]));
        let both = world.spawn(|world| world.write(span(A, C + 1), &[A, C]));
        world.change(A);
        drop(guard);
        other.join();
        both.join();
    });
}

#[test]
fn two_ranges_in_opposite_order_do_not_deadlock() {
    explore(|world: &Shared<1, 2>| {
        let other = world.spawn(|world| {
            let request = pin!(Request::new(&world.lock));
            let _guard = request.write(Ranges::two(one(C), one(A)).unwrap());
            world.change(A);
            world.change(C);
        });
        let request = pin!(Request::new(&world.lock));
        let guard = request.write(Ranges::two(one(A), one(C)).unwrap());
        world.change(A);
        world.change(C);
        drop(guard);
        other.join();
    });
}

#[test]
fn a_try_that_succeeds_keeps_others_out() {
    explore(|world: &Shared<1, 1>| {
        let other = world.spawn(|world| world.write(one(A), &[A]));
        {
            let request = pin!(Request::new(&world.lock));
            let got = request.try_write(span(A, B + 1));
            got.iter().for_each(|_guard| world.change(A));
        }
        other.join();
    });
}

#[test]
fn a_try_to_read_fails_while_another_writes() {
    explore(|world: &Shared<1, 2>| {
        let request = pin!(Request::new(&world.lock));
        let guard = request.write(span(A, 3 * C));
        let other = world.spawn(|world| {
            let request = pin!(Request::new(&world.lock));
            assert!(request.try_read(one(C)).is_none());
        });
        other.join();
        drop(guard);
    });
}

/// It waits for a reader, but never for a writer.
#[test]
fn a_writer_behind_readers_waits_for_them_only() {
    explore(|world: &Shared<1, 1>| {
        let reader = world.spawn(|world| world.read(one(A), &[A]));
        let request = pin!(Request::new(&world.lock));
        let queued = request.queue_write_behind_readers(one(A));
        let guard = queued.expect("nobody else writes").wait();
        world.change(A);
        drop(guard);
        reader.join();
    });
    explore_bounded(|world: &Shared<1, 1>| {
        let others = [(); 2].map(|()| {
            world.spawn(|world| {
                let request = pin!(Request::new(&world.lock));
                if let Some(queued) = request.queue_write_behind_readers(one(A)) {
                    let _guard = queued.wait();
                    world.change(A);
                };
            })
        });
        world.read(one(A), &[A]);
        others.into_iter().for_each(Thread::join);
    });
}
