// SPDX-License-Identifier: GPL-2.0-only
//! A client for `/dev/faultline`, the device of the faultline kernel module: memory
//! that is mapped and unmapped in one huge mapping, without ever taking the process's
//! `mmap_lock`. For garbage collectors, VM monitors, buffer managers.
//!
//! * A **space** ([`Space`]) is one open of the device: 64 TiB of addresses, 0 to
//!   [`FAULTLINE_SPACE_SIZE`](uapi::FAULTLINE_SPACE_SIZE), at first with nothing there.
//! * A **region** ([`Region`]) is an interval of a space that has memory: a protection,
//!   and a backing ([`Source`]): zeroes, the pages of a memfd, or copies of a file's.
//!   [`map`](Space::map), [`unmap`](Space::unmap), [`protect`](Space::protect),
//!   [`remap`](Space::remap) and [`advise`](Space::advise) do to regions what the system
//!   calls of these names do to memory; [`query`](Space::query) finds them. Regions
//!   split where a call takes a part of one, and those that touch and are alike are one.
//! * A **window** ([`Window`]) is an `mmap` of a part of a space, and shows what is
//!   there, and what will be. It is made once, as huge as wanted: 64 TiB cost nothing.
//!
//! Addresses and lengths of a space are `u64` in bytes, those of a window `usize`; all
//! are multiples of [`PAGE_SIZE`] unless said otherwise, and intervals are half open.
//!
//! ```no_run
//! use faultline::{Advice, Placement, Prot, Relocation, Signal, Space};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! const CHUNK: u64 = 2 << 20;
//! let space = Space::open()?;
//! let heap = space.window(0, 1 << 40)?;
//!
//! // Memory where it is wanted, without a system call that stops other threads.
//! let chunk = space.map(0, CHUNK, Prot::READ_WRITE, Placement::FixedNoreplace)?;
//! heap.store(chunk as usize, 42)?;
//!
//! // Read only, from when this returns: a store now raises a signal.
//! space.protect(chunk, CHUNK, Prot::READ)?;
//! assert_eq!(heap.store(chunk as usize, 43).unwrap_err().signal, Signal::Segv);
//!
//! // To another place, twice as long; the pages go along and are not copied.
//! let far = Relocation::Fixed(1 << 39);
//! let moved = space.remap(chunk, CHUNK, 2 * CHUNK, far)?;
//! assert_eq!(heap.load(moved as usize)?, 42);
//! assert_eq!(heap.load(chunk as usize).unwrap_err().signal, Signal::Bus);
//!
//! // The memory is given back, the addresses are kept.
//! space.advise(moved, 2 * CHUNK, Advice::DontNeed)?;
//! assert_eq!(heap.load(moved as usize)?, 0);
//! space.unmap(moved, 2 * CHUNK)?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/arena.rs` is a longer one: chunks on demand, a write barrier, objects
//! that grow in place, and threads that work on chunks of their own.
//!
//! # Errors
//! Calls return the kernel's error, to be had by
//! [`raw_os_error`](std::io::Error::raw_os_error); each says which and why. A call that
//! fails changes nothing, but for [`WillNeed`](Advice::WillNeed). None is interrupted
//! but by a signal that kills. Without the module [`Space::open`] is ENOENT; the device
//! belongs to root unless its mode (0600) was changed: EACCES.
//!
//! # Accesses
//! What an access may do is decided by the region under it. Where there is none, or
//! when the space's limit of pages is reached, it raises SIGBUS; one that the region
//! forbids raises SIGSEGV. [`Window::load`] and [`Window::store`], and [`Area`] with
//! copies of bytes, give the signal back as a [`Fault`]; for that, there is a signal
//! handler: see [`access`](mod@access) for how it gets on with others. A
//! [pointer](Window::ptr) is there, too, for those who know that a region stays.
//!
//! # Threads
//! All calls take `&self`, and may be made from any number of threads at once. Calls
//! and faults wait for each other only where their intervals overlap (under the policy
//! `spf-range`, which is the default; see [`Policy`]). When a call has returned, no
//! thread of any process reads or writes as it could before: no further barrier is
//! needed. Before that, an access beside it may see either.
//!
//! # Processes and lifetimes
//! A space lives until its last descriptor and its last window are gone, wherever they
//! are; so a [`Space`] may be dropped while its windows are used, and another
//! [`Window`] be made from one that was sent over a socket ([`Space`] is made from an
//! `OwnedFd`, and gives one back). After `fork` both processes have the *same* space:
//! windows are shared memory, nothing is copied on write, and what one process unmaps
//! is gone for both. The descriptor is closed by `exec`.
//!
//! # What a window does not do
//! * `MAP_PRIVATE` (EINVAL), `PROT_EXEC` (EPERM), and growing by mremap (EFAULT).
//! * `mlock` has no effect, userfaultfd refuses it, memory is in pages of 4 KiB.
//! * Long-term pins for writing, as of registered buffers of io_uring, RDMA and vfio,
//!   are EFAULT. Plain `read`, `write`, also with O_DIRECT, and `process_vm_readv` work.
//! * The pages of a space are not swapped, but for those of memfds. They count for the
//!   memory cgroup of whom touches them first, and against [`Limits`].
//!
//! # Features
//! `tools` (on by default) adds all that the project's own binary, `faultline`, is made
//! of. Runtimes turn it off: the library needs only `libc` then.

#![warn(missing_docs)]

pub mod access;
pub mod client;
pub mod uapi;

// What exercises, measures and tests the module: the binary's verbs, and what they are
// made of. It is public for the binary alone, and no part of the client library.
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod answer;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod coherence;
#[cfg(feature = "tools")]
mod counts;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod demo;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod differential;
#[cfg(feature = "tools")]
mod html;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod live;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod oracle;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod points;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod rng;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod selftest;
#[cfg(feature = "tools")]
mod shared;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod stress;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod sys;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod target;
#[cfg(feature = "tools")]
#[doc(hidden)]
pub mod trace;

pub use access::{Area, Fault, Signal, Stopped};
pub use client::{
    Advice, Backing, Limits, Placement, Policy, Prot, Region, Relocation, Source, Space, Stats,
    UnknownPolicy, Window, WindowOptions,
};

/// Size of a page in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// Exit status: passed.
#[cfg(feature = "tools")]
#[doc(hidden)]
pub const EXIT_PASS: u8 = 0;
/// Exit status: something was wrong with the thing under test.
#[cfg(feature = "tools")]
#[doc(hidden)]
pub const EXIT_FAIL: u8 = 1;
/// Exit status: nothing was tested, for want of a device.
#[cfg(feature = "tools")]
#[doc(hidden)]
pub const EXIT_SKIP: u8 = 4;
/// Exit status: the command line made no sense.
#[cfg(feature = "tools")]
#[doc(hidden)]
pub const EXIT_USAGE: u8 = 64;

/// The README's examples, which are to compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
