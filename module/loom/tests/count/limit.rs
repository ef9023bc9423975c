// SPDX-License-Identifier: GPL-2.0-only

//! Near the limit, and near the end of the total.

use super::world::{explore, plenty, total, Shared, Space};

const PAGES: u64 = 60;

/// Two processors add until all is taken of which a third has taken the rest: what is left is
/// one page, in the stock of processor 1. That of processor 0 is open.
fn all_but_one(space: &Shared, taken: u64) {
    // So many that stocks have some pages.
    space.fill(24);
    while space.ahead(1) == 0 {
        assert!(space.on(1).add());
    }
    while space.count.taken() < taken || space.ahead(2) != 0 {
        assert!(space.on(2).add());
    }
    while space.ahead(0) != 0 {
        assert!(space.on(0).add());
    }
    while space.ahead(1) > 1 {
        assert!(space.on(1).add());
    }
    assert_eq!((space.count.taken(), space.ahead(1)), (taken, 1));
    assert!(space.stocks[0].look().0 > 0, "processor 0 has no stock");
}

/// A page goes into one stock, and then one comes out of another.
fn beside_a_page_that_moves(check: fn(&Space)) {
    explore(move || {
        let space = Space::shared(3, PAGES, plenty());
        all_but_one(&space, PAGES);
        let other = space.spawn(|space| {
            space.on(0).sub(1);
            assert!(space.on(1).add(), "there was room");
        });
        check(&space);
        other.join().unwrap();
    });
}

#[test]
pub(crate) fn a_count_with_room_is_not_full() {
    beside_a_page_that_moves(|space| assert!(!space.on(2).is_full(), "there was room"));
}

#[test]
pub(crate) fn the_last_page_is_found_wherever_it_is() {
    explore(|| {
        let space = Space::shared(3, PAGES, plenty());
        all_but_one(&space, PAGES);
        let other = space.spawn(|space| {
            space.on(0).sub(1);
            space.on(1).add()
        });
        // Two for two.
        assert!(space.on(2).add(), "there was room");
        assert!(other.join().unwrap(), "there was room");
        assert!(!space.on(1).add(), "beyond the limit");
    });
}

/// Another space gives a page back; then ours uses the one it had in a stock.
#[test]
pub(crate) fn a_page_of_another_space_is_found() {
    explore(|| {
        let total = total(PAGES);
        let space = Space::shared(3, 1 << 20, total.clone());
        let another = Space::shared(1, 1 << 20, total);
        assert!(another.on(0).add());
        all_but_one(&space, PAGES - 1);
        let other = space.spawn(move |space| {
            another.on(0).sub(1);
            assert!(space.on(1).add(), "there was room");
        });
        assert!(space.on(2).add(), "there was room");
        other.join().unwrap();
    });
}

#[test]
pub(crate) fn behind_a_lowered_limit_nothing_is_added() {
    for first in [6, 40] {
        explore(move || {
            let space = Space::shared(2, 1 << 20, plenty());
            space.fill(first);
            let more = (0..).take_while(|_| {
                let has_none = first > 6 && space.ahead(0) == 0;
                has_none && space.on(0).add()
            });
            let pages = first + more.count() as u64;
            let other = space.spawn(|space| space.on(1).add());
            space.on(0).lower(pages);
            assert!(!space.on(0).add(), "beyond the limit");
            assert!(!space.on(1).add(), "beyond the limit");
            other.join().unwrap();
        });
    }
}
