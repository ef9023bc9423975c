// SPDX-License-Identifier: GPL-2.0-only

//! Models of the locks of objects, which run the portable protocol: see
//! `portable/lock_set.rs`.
//!
//! A tree has two places and a few objects. The steps of readers and of changes are
//! those of `kern/lock_set.rs` and of the driver: a change locks what stands at a place
//! before it stores something else there. What is `Known` is for the assertions.
//!
//! Two threads are explored without bound, unless they do a lot; those, and three, with
//! at most `world::PREEMPTIONS` preemptions, or one more if `FAULTLINE_LONG` is set.
//!
//! In each execution:
//! - The object that a reader has is the one in the tree, and no change that has locked
//!   it is under way. What changes do with it comes before or behind, as loom sees.
//! - No object is touched that has been freed.
//! - A reader that finds an object which no change locks gets it; a change that has
//!   waited gets what it waits for.

mod bugs;
mod changes;
#[path = "../shared/failure.rs"]
mod failure;
#[path = "../shared/lock.rs"]
mod lock;
mod object;
mod rcuwait;
mod reader;
mod waits;
mod world;
