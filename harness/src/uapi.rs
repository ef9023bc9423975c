// SPDX-License-Identifier: GPL-2.0-only
//! The UAPI, generated from `module/uapi/faultline.h` by `build.rs`.
//!
//! `FAULTLINE_REQUEST_*` are the values of the header's `FAULTLINE_IOC_*`.
//! The header documents every item.

#![allow(missing_docs)]
#![allow(
    non_camel_case_types,
    clippy::ptr_as_ptr,
    clippy::undocumented_unsafe_blocks
)]
#![allow(clippy::multiple_unsafe_ops_per_block, unused_qualifications)]

include!(concat!(env!("OUT_DIR"), "/uapi.rs"));
include!(concat!(env!("OUT_DIR"), "/policies.rs"));
