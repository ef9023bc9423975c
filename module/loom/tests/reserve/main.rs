// SPDX-License-Identifier: GPL-2.0-only

//! Models of a spin lock that its holder puts down to sleep, which run `portable/reserve.rs`:
//! of two and three threads.
//!
//! - What who waits has seen is there when it goes on: nobody else has changed it.
//! - No change is lost, and all threads come to their end.
//! - Who finds something reserved sleeps for it once.
//! - Who only looks does not wait for who has reserved.

mod bugs;
#[path = "../shared/failure.rs"]
mod failure;
#[path = "../shared/lock.rs"]
mod lock;
mod world;

use world::{explore, Tree};

/// Three threads store, each in its way.
fn three_store(ways: [fn(&Tree); 3]) {
    explore(move || {
        let tree = Tree::shared();
        let [own, others @ ..] = ways;
        let others = others.map(|way| tree.spawn(way));
        own(&tree);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(tree.stores(), 3, "a store is lost");
    });
}

/// One that waits, beside two that do not.
#[test]
fn who_waits_is_alone() {
    three_store([Tree::store_that_waits, Tree::store, Tree::store]);
}

/// Two that wait, and one that does not.
#[test]
fn two_wait_one_after_the_other() {
    three_store([Tree::store_that_waits, Tree::store_that_waits, Tree::store]);
}

/// Who may wait need not.
#[test]
fn who_may_wait_need_not() {
    three_store([
        Tree::store,
        Tree::store_that_could_wait,
        Tree::store_that_waits,
    ]);
}

/// Who waits does so until another has looked.
#[test]
fn who_looks_waits_for_nobody() {
    explore(|| {
        let tree = Tree::shared();
        let other = tree.spawn(|tree| {
            tree.stores();
            tree.looked.notify();
        });
        tree.store_that_waits_for(|| tree.looked.wait());
        other.join().unwrap();
        assert_eq!(tree.stores(), 1);
    });
}
