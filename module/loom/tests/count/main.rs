// SPDX-License-Identifier: GPL-2.0-only

//! Models of the count of pages, which run `portable/count.rs`: of two threads on processors
//! that they choose, with at most `world::PREEMPTIONS` preemptions.
//!
//! - An addition fails, or a count is called full, only if there was no room at some moment.
//! - Behind a lowered limit no addition goes beyond it.
//! - What is empty has given all back, whoever has taken the last page out. (No model
//!   shows that this needs the barrier of `Stock::put`.)

mod bugs;
#[path = "../shared/failure.rs"]
mod failure;
mod limit;
mod world;

use world::{explore, plenty, Space};

/// The last two pages go at once, from two processors, one of which adds one meanwhile.
#[test]
fn the_last_pages_go_at_once() {
    for pages in [4, 8, 12] {
        explore(move || {
            let space = Space::shared(2, 1 << 20, plenty());
            space.fill(pages);
            space.on(0).sub(pages / 2 - 1);
            space.on(1).sub(pages / 2 - 1);
            let other = space.spawn(|space| space.on(0).sub(1));
            assert!(space.on(1).add());
            space.on(0).sub(1);
            space.on(1).sub(1);
            other.join().unwrap();
            assert_eq!(space.count.taken(), 0, "kept by an empty space");
        });
    }
}
