// SPDX-License-Identifier: GPL-2.0-only

//! A reader beside changes.

use super::world::{explore, explore_bounded, A, B, C, D};

/// Which stays in the tree.
#[test]
pub(crate) fn a_change_of_the_object() {
    explore(|world| {
        let change = world.spawn(|world| {
            world.change(|change| change.lock_place(0));
        });
        let got = world.read(0);
        assert!(matches!(got, None | Some(A)), "{got:?}");
        change.join();
    });
}

/// The reader may find the old one, and the change end, before it counts itself in.
#[test]
pub(crate) fn a_change_that_replaces_the_object() {
    explore(|world| {
        let change = world.spawn(|world| world.replace(0, C));
        let got = world.read(0);
        assert!(matches!(got, None | Some(A | C)), "{got:?}");
        change.join();
    });
}

#[test]
fn a_change_that_removes_the_object() {
    explore(|world| {
        let change = world.spawn(|world| {
            world.change(|change| {
                change.lock_place(0);
                change.store(0, None);
            });
            world.free(A);
        });
        let got = world.read(0);
        assert!(matches!(got, None | Some(A)), "{got:?}");
        change.join();
    });
}

/// Where there was none. The change goes on with it.
#[test]
pub(crate) fn a_change_that_stores_a_new_object() {
    explore(|world| {
        world.change(|change| {
            change.lock_place(0);
            change.store(0, None);
        });
        let change = world.spawn(|world| {
            world.change(|change| {
                change.lock_new(C);
                change.store(0, Some(C));
                change.use_object(C);
            });
        });
        let got = world.read(0);
        assert!(matches!(got, None | Some(C)), "{got:?}");
        change.join();
    });
}

/// The object of one place comes to stand at the other, too.
#[test]
fn a_change_that_joins_two_places() {
    explore_bounded(|world| {
        let change = world.spawn(|world| {
            world.change(|change| {
                change.lock_place(0);
                change.lock_place(1);
                change.store(0, Some(B));
            });
            world.free(A);
        });
        let got = [world.read(0), world.read(1)];
        let agree = matches!(got, [None | Some(A | B), None | Some(B)]);
        assert!(agree, "{got:?}");
        change.join();
    });
}

/// The second begins as the first has ended: what one has replaced, the other has not
/// locked.
#[test]
pub(crate) fn two_changes_one_after_the_other() {
    explore_bounded(|world| {
        let change = world.spawn(|world| {
            world.change(|change| {
                change.lock_place(0);
                change.lock_new(C);
                change.store(0, Some(C));
            });
            world.replace(1, D);
            world.free(A);
        });
        let got = world.read(0);
        assert!(matches!(got, None | Some(A | C)), "{got:?}");
        change.join();
    });
}

#[test]
fn two_changes_of_the_same_place() {
    explore_bounded(|world| {
        let change = world.spawn(|world| {
            world.replace(0, C);
            world.change(|change| {
                change.lock_place(0);
                change.lock_new(D);
                change.store(0, Some(D));
            });
            world.free(C);
        });
        let got = world.read(0);
        assert!(matches!(got, None | Some(A | C | D)), "{got:?}");
        change.join();
    });
}

/// By two tasks.
#[test]
fn two_changes_that_take_turns() {
    explore_bounded(|world| {
        let first = world.spawn(|world| world.change(|change| change.lock_place(0)));
        let second = world.spawn(|world| world.replace(0, C));
        let got = world.read(0);
        assert!(matches!(got, None | Some(A | C)), "{got:?}");
        first.join();
        second.join();
    });
}

/// Of another object: it is not in the way.
#[test]
fn a_change_of_another_object() {
    explore(|world| {
        let change = world.spawn(|world| world.replace(1, C));
        assert_eq!(world.read(0), Some(A), "nothing is in its way");
        change.join();
    });
}
