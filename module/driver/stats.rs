// SPDX-License-Identifier: GPL-2.0-only

//! The counters of a space.

use kernel::prelude::*;

use crate::kern::{percpu::PerCpuCounters, uapi::faultline_stats};

/// Names the counters, in the order of [`faultline_stats`], and copies them there.
macro_rules! counters {
    ($($variant:ident => $field:ident),* $(,)?) => {
        /// A counter of a space: see the field of `struct faultline_stats`.
        #[derive(Clone, Copy)]
        pub(crate) enum Counter {
            $($variant,)*
        }

        const COUNTERS: usize = [$(Counter::$variant),*].len();

        impl Stats {
            /// Writes the counters to the fields of the same names.
            pub(crate) fn fill(&self, stats: &mut faultline_stats) {
                $(stats.$field = self.counters.sum(Counter::$variant as usize);)*
            }
        }
    };
}

counters! {
    Maps => maps,
    Unmaps => unmaps,
    PagesAdded => pages_added,
    PagesRemoved => pages_removed,
    Faults => faults,
    FaultOk => fault_ok,
    FaultWrite => fault_write,
    FaultMkwrite => fault_mkwrite,
    FaultNoRegion => fault_no_region,
    FaultDenied => fault_denied,
    FaultLimit => fault_limit,
    FaultKilled => fault_killed,
    FaultNoMemory => fault_no_memory,
    FaultRetried => fault_retried,
    FaultAgain => fault_again,
    FaultNoPage => fault_no_page,
    FaultIo => fault_io,
    Protects => protects,
    Remaps => remaps,
    Advises => advises,
    PagesMoved => pages_moved,
    FaultRegionLocked => fault_region_locked,
}

/// Per-CPU counters of a space.
pub(crate) struct Stats {
    counters: PerCpuCounters<COUNTERS>,
}

impl Stats {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            counters: PerCpuCounters::new()?,
        })
    }

    pub(crate) fn count(&self, counter: Counter) {
        self.counters.add(counter as usize, 1);
    }

    /// Adds `amount`, which may be negative.
    pub(crate) fn add(&self, counter: Counter, amount: i64) {
        self.counters.add(counter as usize, amount as u64);
    }
}
