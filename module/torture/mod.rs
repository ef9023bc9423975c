// SPDX-License-Identifier: GPL-2.0-only

//! Torture of the range lock, in the conventions of the kernel's locktorture.
//!
//! `control` starts, kills and stops the threads of `worker`, and prints. What
//! they hold is checked by `cells`. `test` has what they share.

pub(crate) mod control;
pub(crate) mod test;

mod cells;
mod random;
mod worker;
