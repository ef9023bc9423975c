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

/// One that waits, beside two that do not.
#[test]
fn who_waits_is_alone() {
    explore(|| {
        let tree = Tree::shared();
        let others = [tree.spawn(Tree::store), tree.spawn(Tree::store)];
        tree.store_that_waits();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(tree.stores(), 3, "a store is lost");
    });
}

/// Two that wait, and one that does not.
#[test]
fn two_wait_one_after_the_other() {
    explore(|| {
        let tree = Tree::shared();
        let others = [tree.spawn(Tree::store_that_waits), tree.spawn(Tree::store)];
        tree.store_that_waits();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(tree.stores(), 3, "a store is lost");
    });
}

/// Who may wait need not.
#[test]
fn who_may_wait_need_not() {
    explore(|| {
        let tree = Tree::shared();
        let others = [
            tree.spawn(Tree::store_that_could_wait),
            tree.spawn(Tree::store_that_waits),
        ];
        tree.store();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(tree.stores(), 3, "a store is lost");
    });
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
