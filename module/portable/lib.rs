// SPDX-License-Identifier: GPL-2.0-only

//! The portable algorithms of faultline as a userspace library, for tests.
//!
//! This file and `mod.rs` are twin roots: both declare the same modules, this
//! one for Cargo, the other for the kernel build. Nothing below them names
//! `kernel::` or `std::`, allocates, or locks.

#![no_std]

pub mod interval;
pub mod protection;
pub mod split;
