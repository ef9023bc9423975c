// SPDX-License-Identifier: GPL-2.0-only
//! A client for `/dev/faultline`.
//!
//! A [`Space`] is one open of the device. Its addresses are bytes from 0 to
//! [`FAULTLINE_SPACE_SIZE`](crate::uapi::FAULTLINE_SPACE_SIZE), page aligned. A
//! [`Window`] shows a part of a space in the address space of the process. The
//! [crate's documentation](crate) shows how they are used together.

mod ioctl;
mod options;
mod space;
mod types;
mod window;

pub(crate) use ioctl::ioctl;
pub use options::WindowOptions;
pub use space::Space;
pub use types::{
    Advice, Backing, Limits, Placement, Policy, Prot, Region, Relocation, Source, Stats,
    UnknownPolicy,
};
pub use window::Window;
