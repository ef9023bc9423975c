// SPDX-License-Identifier: GPL-2.0-only

//! The portable algorithms of faultline: twin of `lib.rs`, see there.

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
pub(crate) use crate::kern::sync;
