// SPDX-License-Identifier: GPL-2.0-only

//! A reader/writer lock over intervals of pages.
//!
//! Requests conflict if they overlap and one of them writes. Those that
//! conflict are served in the order of their arrival; all others do not wait
//! for each other.
//!
//! # How it works
//!
//! A request stands, from its arrival to its release, in the interval tree of
//! a *place* ([`place`]): in a shard if it is small, in a domain of shards, or
//! in the root. Each shard has a spin lock. A place is changed under the spin
//! locks of all shards below it and may be looked at under any one of them, as
//! in a big-reader lock. So who holds the spin locks of its own place sees
//! every request that overlaps its own: small requests take one spin lock, of
//! a shard they share with few; the larger a request, the more it takes.
//!
//! A request that arrives counts the earlier ones it conflicts with
//! (`pending`), which stand in trees it can see, and puts itself in. If there
//! are none, it has the lock. Who releases looks for later requests in conflict
//! and takes one off their counts; at zero a request is granted and its task
//! woken. Nobody else is woken. (The counting is Jan Kara's, in the range lock
//! he proposed for Linux in 2013; the big-reader locking is Linux' former
//! lglock's.)
//!
//! # First come, first served
//!
//! What a request waits for is fixed when it arrives: it can never be
//! overtaken by one in conflict with it, so neither readers nor writers
//! starve. This has a price: a reader waits for a writer that waits, and so
//! for whatever that one waits for, even where it overlaps only the writer.
//!
//! # Memory
//!
//! Requests are the caller's, usually on the stack: taking the lock never
//! allocates, and so never fails. When a request has been released no other
//! task has a pointer to it.

mod guard;
mod place;
mod release;
mod request;
mod shards;
mod tree;
mod waiter;

pub use guard::{Guard, Killed, Queued, Read, Write};
pub use place::Shape;
pub use request::Request;
pub use shards::{RangeLock, Slot};
pub use waiter::{Mode, Ranges};

#[cfg(test)]
mod tests;
