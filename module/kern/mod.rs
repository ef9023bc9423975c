// SPDX-License-Identifier: GPL-2.0-only

//! Safe abstractions over kernel facilities that `kernel::` does not cover.
//!
//! They know nothing of faultline and could go upstream. All `unsafe` of the
//! module is in here, but for one call in `driver/device.rs`.

pub(crate) mod array_vec;
pub(crate) mod bindings;
#[cfg(faultline_test_hooks)]
pub(crate) mod bytes;
pub(crate) mod debugfs;
pub(crate) mod extent;
pub(crate) mod frozen;
pub(crate) mod held_file;
pub(crate) mod inode_file;
pub(crate) mod lock_set;
mod lockdep;
mod memfd;
mod module_pin;
pub(crate) mod mutex;
pub(crate) mod page_count;
pub(crate) mod page_ref;
pub(crate) mod param;
pub(crate) mod percpu;
#[cfg(faultline_test_hooks)]
pub(crate) mod random;
pub(crate) mod range_lock;
pub(crate) mod rcu_arc;
pub(crate) mod rcu_maple;
pub(crate) mod rcu_xarray;
pub(crate) mod rwsem;
pub(crate) mod static_mutex;
pub(crate) mod sync;
pub(crate) mod task;
mod trace;
pub(crate) mod trace_space;
pub(crate) mod uapi;
pub(crate) mod vm_ops;
