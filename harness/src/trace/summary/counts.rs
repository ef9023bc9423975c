// SPDX-License-Identifier: GPL-2.0-only
//! What became of faults and calls.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::trace::event::{Event, Names, What};

/// Sums over all spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Speculations that succeeded, by the page's backing and the access.
    pub speculated: BTreeMap<String, u64>,
    /// Those given up, by cause.
    pub aborted: BTreeMap<String, u64>,
    /// Faults that went to a lock behind that.
    pub fell_back: u64,
    /// Faults, by path and result.
    pub completed: BTreeMap<String, u64>,
    /// Pages that came.
    pub pages_filled: u64,
    /// Pages that were there.
    pub pages_found: u64,
    /// Zaps, and the pages of all of them.
    pub zaps: u64,
    /// Pages of all zaps.
    pub pages_zapped: u64,
    /// Calls that succeeded, by name.
    pub calls: BTreeMap<&'static str, u64>,
    /// Calls that failed, by name.
    pub failed: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Takes in one event.
    pub fn take(&mut self, event: &Event, names: &Names) {
        match event.what {
            What::Speculated(fault, backing) => {
                let access = if fault.write { "write" } else { "read" };
                let key = format!("{}_{access}", names.backing(backing));
                *self.speculated.entry(key).or_default() += 1;
            }
            What::Aborted(_, cause) => {
                *self.aborted.entry(names.cause(cause)).or_default() += 1;
            }
            What::FellBack(_) => self.fell_back += 1,
            What::Completed(_, path, result) => {
                let key = format!("{} {}", names.path(path), names.result(result));
                *self.completed.entry(key).or_default() += 1;
            }
            What::Committed(_, _, true) => self.pages_filled += 1,
            What::Committed(_, _, false) => self.pages_found += 1,
            What::Zapped(_, pages) => {
                self.zaps += 1;
                self.pages_zapped += pages.count();
            }
            What::Called(_, call, _, result) => {
                let counts = match result {
                    0 => &mut self.calls,
                    _ => &mut self.failed,
                };
                *counts.entry(call.name()).or_default() += 1;
            }
            What::Asked(_) | What::Got(..) | What::Gave(_) | What::Counted(..) => {}
        }
    }

    /// Speculations that succeeded.
    pub fn successes(&self) -> u64 {
        self.speculated.values().sum()
    }

    /// Speculations that were given up.
    pub fn aborts(&self) -> u64 {
        self.aborted.values().sum()
    }

    /// Faults.
    pub fn faults(&self) -> u64 {
        self.completed.values().sum()
    }
}
