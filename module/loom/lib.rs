// SPDX-License-Identifier: GPL-2.0-only

//! The portable algorithms of faultline for model checking: twin of
//! `../portable/lib.rs`, see there.
//!
//! The models are in `tests/`.

#[path = "../portable/bug.rs"]
pub mod bug;
#[path = "../portable/count.rs"]
pub mod count;
#[path = "../portable/fault.rs"]
pub mod fault;
#[path = "../portable/interval.rs"]
pub mod interval;
#[path = "../portable/lock_set.rs"]
pub mod lock_set;
#[path = "../portable/range_lock/mod.rs"]
pub mod range_lock;
#[path = "../portable/reserve.rs"]
pub mod reserve;
#[path = "../seam/loom.rs"]
pub mod sync;
