// SPDX-License-Identifier: GPL-2.0-only

//! What the module shows in debugfs, below `faultline/`.
//!
//! | file | what it has |
//! | --- | --- |
//! | `spaces` | a line for each space |
//! | `spaces.jsonl` | the same, with all counters, as JSON Lines |
//! | `maps` | the regions of each space, as `/proc/PID/maps` has areas |
//! | `objects` | where in memory all objects of each space are, as JSON Lines |
//! | `stats` | the counters of all spaces there have been, summed up, by name |
//! | `stats.json` | the same, as a JSON object |
//! | `live` | how many objects of each kind there are |
//!
//! Only root may read them. Each line is true of one moment, but two lines need not be
//! of the same one: between two, nothing is held, neither a lock nor a reference (see
//! `registry.rs` and `kern/debugfs.rs`). So a reader delays nobody for longer than it
//! takes to look at one space or region, however many there are; and a space that ends
//! while it is read ends its lines.
//!
//! Numbers of processes are those of the initial PID namespace.

mod maps;
mod objects;
mod spaces;
mod totals;

use kernel::{c_str, sync::Arc};

use super::live;
use crate::kern::debugfs::Dir;

/// Makes the files, which are there until what is returned is dropped; as
/// [`Dir::new`], at the end of init. May sleep.
pub(crate) fn show(data: Arc<()>) -> Dir<()> {
    let dir = Dir::new(c_str!("faultline"), data);
    dir.add_text::<live::Shown>(c_str!("live"));
    dir.add_records::<spaces::Lines>(c_str!("spaces"));
    dir.add_records::<spaces::JsonLines>(c_str!("spaces.jsonl"));
    dir.add_records::<maps::Maps>(c_str!("maps"));
    dir.add_records::<objects::Objects>(c_str!("objects"));
    dir.add_text::<totals::Lines>(c_str!("stats"));
    dir.add_text::<totals::Json>(c_str!("stats.json"));
    #[cfg(faultline_test_hooks)]
    dir.add_text::<super::point::Shown>(c_str!("points"));
    dir
}
