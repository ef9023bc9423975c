// SPDX-License-Identifier: GPL-2.0-only

//! The driver: spaces, regions, windows and what can be done with them.
//!
//! Lock order, outermost first:
//!
//! 0. `inode_lock` of a memfd: write(2) takes faults with it held
//! 1. `mmap_lock` or the lock of the window's area (held by the core when it
//!    calls the fault handler)
//! 2. `Space::lock`
//! 3. a leaf's commit lock, or what the page cache of a file takes to read a
//!    page: `invalidate_lock`, a folio's lock; or what the tree in
//!    `Space::regions` is locked with
//! 4. what the core takes to map and zap: `i_mmap_rwsem`, page-table locks
//! 5. `REGISTRY`, with nothing below it
//!
//! Nobody who holds 2 or 3 touches user memory or takes 0 or 1: ioctl arguments are
//! copied in before and results out after. Memory is allocated under each of
//! them, so no shrinker may wait for one.

mod backing;
pub(crate) mod device;
mod directory;
mod fault;
mod filling;
mod ioctl;
pub(crate) mod live;
mod locked;
mod mistake;
mod ops;
pub(crate) mod point;
pub(crate) mod policy;
mod precision;
#[cfg(faultline_test_hooks)]
mod purity;
mod region;
mod regions;
pub(crate) mod registry;
pub(crate) mod space;
mod space_lock;
mod speculative;
mod stats;
pub(crate) mod view;
mod window;
