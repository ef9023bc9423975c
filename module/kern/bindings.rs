// SPDX-License-Identifier: GPL-2.0-only

//! The C functions of `shims.h`, generated.

#![allow(
    clippy::all,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub,
    unused_imports
)]

include!(concat!(env!("FAULTLINE_GENERATED"), "/shims.rs"));
