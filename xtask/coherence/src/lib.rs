// SPDX-License-Identifier: GPL-2.0-only
//! A plugin of QEMU's emulator that counts the cache lines which several virtual
//! processors write: what limits a program on more cores than a machine has.
//!
//! * [`line`](mod@line): the protocol that one line follows.
//! * [`table`], [`shared`]: all lines of the guest's memory, and what is kept of those
//!   that are shared.
//! * [`context`]: what is an interrupt's work.
//! * [`guest`]: what a line belongs to.
//! * [`phase`]: the part of a run that is measured, between two [`insn::Marker`]s.
//! * [`report`]: the records it leaves.
//! * [`measured`]: these, joined with what the guest says it did.
//! * [`options`]: its arguments.
//!
//! What is counted, and what not: loads and stores of instructions, by physical line
//! of 64 bytes. Not what the processor reads to fetch instructions or to walk page
//! tables, no prefetching, no capacity: a line once read stays where it is until
//! somebody else writes it. Devices' memory is left out. Only two vCPUs run at a time
//! on a host of two cores, so a line that all write moves once for each turn of the
//! host, and *transfers* are fewer than on hardware; *sharing writes* do not depend on
//! how the vCPUs are interleaved.

#[cfg(feature = "plugin")]
mod abi;
pub mod context;
pub mod guest;
pub mod insn;
pub mod line;
pub mod measured;
pub mod options;
pub mod phase;
#[cfg(feature = "plugin")]
pub mod plugin;
pub mod report;
pub mod shared;
pub mod table;
