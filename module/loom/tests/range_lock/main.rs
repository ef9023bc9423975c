// SPDX-License-Identifier: GPL-2.0-only

//! Models of the range lock: loom runs each in every order of the steps of its
//! threads that can make a difference, and with every value that the memory
//! model lets them see.
//!
//! Two threads are explored without bound; three too, if `FAULTLINE_LONG` is
//! set, and else with at most `world::PREEMPTIONS` preemptions. Spin locks,
//! atomics and sleeping are steps; cells and pages are checked for races, which
//! loom sees from what happens before what, whatever the order. A lost wake-up
//! is a deadlock.

mod bugs;
mod exclusion;
#[path = "../shared/failure.rs"]
mod failure;
mod kill;
mod trim;
mod world;
