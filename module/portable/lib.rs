// SPDX-License-Identifier: GPL-2.0-only

//! The portable algorithms of faultline as a userspace library, for tests.
//!
//! This file, `mod.rs` and `../loom/lib.rs` are twin roots: all declare the
//! same modules, for Cargo, for the kernel build, and for model checking. They
//! differ in what `sync` is. No file below them names `kernel::` or `std::`, or
//! allocates.

#![no_std]

pub mod bug;
pub mod count;
pub mod escape;
pub mod fault;
pub mod interval;
pub mod lock_set;
pub mod plan;
pub mod protection;
pub mod range_lock;
pub mod reserve;
#[path = "../seam/std.rs"]
pub mod sync;
