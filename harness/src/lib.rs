// SPDX-License-Identifier: GPL-2.0-only
//! faultline's userspace side: a client for `/dev/faultline`, and the tools
//! that hold the module to its contract.
//!
//! * [`client`]: [`Space`], [`Window`] and the types of the calls.
//! * [`access`]: loads and stores that report a SIGBUS or SIGSEGV as a value.
//! * [`target`]: what can be put under stress: the device, or Linux's own
//!   `mmap` as a peer.
//! * [`oracle`]: knows, page by page, what an access may see.
//! * [`stress`] and [`demo`]: run threads and processes against the oracle.
//! * [`bench`]: what changes and faults cost, beside the kernel's own memory.
//! * [`answer`]: what faults without a retry make others wait.
//! * [`coherence`]: work whose cache-line traffic is counted.
//! * [`differential`]: compares a space with Linux's own memory, call by call.
//! * [`selftest`]: the tests that need the module.
//!
//! Raw pointers and system calls are confined to [`access`], [`client`],
//! [`target`], [`sys`], [`differential::linux`] and the private modules `shared`,
//! `bench::memory` and `answer::tail`; what forks or waits for processes, in
//! [`stress`], is the one exception.

pub mod access;
pub mod answer;
pub mod bench;
pub mod client;
pub mod coherence;
mod counts;
pub mod demo;
pub mod differential;
pub mod oracle;
pub mod points;
pub mod rng;
pub mod selftest;
mod shared;
pub mod stress;
pub mod sys;
pub mod target;
pub mod uapi;

pub use client::{
    Advice, Backing, Limits, Placement, Policy, Prot, Region, Relocation, Source, Space, Stats,
    Window,
};

/// Size of a page in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// Exit status: passed.
pub const EXIT_PASS: u8 = 0;
/// Exit status: something was wrong with the thing under test.
pub const EXIT_FAIL: u8 = 1;
/// Exit status: nothing was tested, for want of a device.
pub const EXIT_SKIP: u8 = 4;
/// Exit status: the command line made no sense.
pub const EXIT_USAGE: u8 = 64;
