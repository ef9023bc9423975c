// SPDX-License-Identifier: GPL-2.0-only

//! Changes that wait for readers.

use faultline_portable_loom::sync::{Sleep, Task};

use super::world::{explore, explore_bounded, A, C};

/// Nobody else gets the object meanwhile, or finds another there.
#[test]
pub(crate) fn a_change_waits_for_a_reader() {
    explore(|world| {
        let held = world.try_read(0).expect("it is free");
        let change = world.spawn(|world| world.replace(0, C));
        held.look();
        drop(held);
        change.join();
    });
}

#[test]
pub(crate) fn a_change_waits_for_two_readers() {
    explore_bounded(|world| {
        let change = world.spawn(|world| world.replace(0, C));
        let other = world.spawn(|world| {
            let got = world.read(0);
            assert!(matches!(got, None | Some(A | C)), "{got:?}");
        });
        let got = world.read(0);
        assert!(matches!(got, None | Some(A | C)), "{got:?}");
        change.join();
        other.join();
    });
}

/// While one has the object, the other gets it, too.
#[test]
fn readers_share() {
    explore(|world| {
        let held = world.try_read(0).expect("it is free");
        let other = world.spawn(|world| assert_eq!(world.read(0), Some(A)));
        held.look();
        other.join();
        drop(held);
    });
}

/// Then it has not locked the object, and lets readers in again.
#[test]
fn a_change_is_killed_while_it_waits() {
    explore(|world| {
        let held = world.try_read(0).expect("it is free");
        let change = world.spawn(|world| {
            Task::current().kill();
            world.change(|change| {
                if change.try_lock_place(0, Sleep::Killable).is_ok() {
                    change.use_object(A);
                }
            });
        });
        held.look();
        drop(held);
        change.join();
        assert_eq!(world.read(0), Some(A), "not free");
    });
}
