// SPDX-License-Identifier: GPL-2.0-only

//! Models of faults beside changes and beside each other, which run the portable
//! protocol: see `portable/fault.rs`.
//!
//! A space has a few pages, whose regions are words, and one or two leaves. The
//! steps of faults and of changes are the driver's, less what takes no part: page
//! caches, memory that there is not. What is `Known` of a region, and of `Pages`,
//! is for the assertions.
//!
//! Two threads are explored without bound, but for [`pairs`]; three with at most
//! `model::PREEMPTIONS` preemptions, or a few more if `FAULTLINE_LONG` is set.
//!
//! In each execution, and when it has ended:
//! - When a change has returned, no entry lets a CPU do what the regions forbid then,
//!   and none comes to be.
//! - No entry is for a page that was discarded, or of another region.
//! - No page that was written is lost, unless it was discarded; none is freed while
//!   it has an entry.
//! - Entries are for what is in the slots, and no leaf stays empty.
//! - A speculation has installed its entry, or was given up.

mod access;
mod beside;
mod bugs;
mod changes;
mod directory;
mod discard;
#[path = "../shared/failure.rs"]
mod failure;
mod filling;
mod known;
mod leaf;
#[path = "../shared/lock.rs"]
mod lock;
mod model;
mod moving;
mod pages;
mod pairs;
mod protect;
mod region;
mod replace;
mod room;
mod shared;
mod table;
mod unmap;
mod world;
