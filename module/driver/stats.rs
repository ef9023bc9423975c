// SPDX-License-Identifier: GPL-2.0-only

//! The counters of a space.

use kernel::prelude::*;

use super::{backing::Kind, space_lock::Wait};
use crate::{
    kern::{
        extent::Extent,
        percpu::PerCpuCounters,
        trace_space::{self, Outcome},
        uapi::faultline_stats,
    },
    portable::{fault::Cause, protection::Access},
};

/// Names the counters, in the order of [`faultline_stats`], and copies them there.
macro_rules! counters {
    ($($variant:ident => $field:ident),* $(,)?) => {
        /// A counter of a space: see the field of `struct faultline_stats`.
        #[derive(Clone, Copy)]
        pub(crate) enum Counter {
            $($variant,)*
        }

        const COUNTERS: usize = [$(Counter::$variant),*].len();

        /// The fields of `struct faultline_stats` that are counters.
        const NAMES: [&str; COUNTERS] = [$(stringify!($field)),*];

        impl Sums {
            /// Writes the counters to the fields of the same names.
            pub(crate) fn fill(&self, stats: &mut faultline_stats) {
                $(stats.$field = self.0[Counter::$variant as usize];)*
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
    SpfAttempts => spf_attempts,
    SpfAnonRead => spf_anon_read,
    SpfAnonWrite => spf_anon_write,
    SpfSharedRead => spf_shared_read,
    SpfSharedWrite => spf_shared_write,
    SpfPrivateRead => spf_private_read,
    SpfPrivateWrite => spf_private_write,
    SpfWriterActive => spf_writer_active,
    SpfNoRegion => spf_no_region,
    SpfNotSpeculable => spf_not_speculable,
    SpfStale => spf_stale,
    SpfDenied => spf_denied,
    SpfDetached => spf_detached,
    SpfNotCached => spf_not_cached,
    SpfLeafBusy => spf_leaf_busy,
    SpfRaced => spf_raced,
    SpfNoMemory => spf_no_memory,
    SpfFalseAborts => spf_false_aborts,
    SpfFallbacks => spf_fallbacks,
    LockedAnonRead => locked_anon_read,
    LockedAnonWrite => locked_anon_write,
    LockedSharedRead => locked_shared_read,
    LockedSharedWrite => locked_shared_write,
    LockedPrivateRead => locked_private_read,
    LockedPrivateWrite => locked_private_write,
    FaultWaits => fault_waits,
    FaultWaitsFalse => fault_waits_false,
    FaultWaitNs => fault_wait_ns,
}

const _: () = trace_space::must_name_counters(&NAMES);

impl From<Cause> for Counter {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::WriterActive => Self::SpfWriterActive,
            Cause::NoRegion => Self::SpfNoRegion,
            Cause::NotSpeculable => Self::SpfNotSpeculable,
            Cause::Stale => Self::SpfStale,
            Cause::Denied => Self::SpfDenied,
            Cause::Detached => Self::SpfDetached,
            Cause::NotCached => Self::SpfNotCached,
            Cause::LeafBusy => Self::SpfLeafBusy,
            Cause::Raced => Self::SpfRaced,
            Cause::NoMemory => Self::SpfNoMemory,
        }
    }
}

impl From<Outcome> for Counter {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::FaultOk,
            Outcome::NoRegion => Self::FaultNoRegion,
            Outcome::Denied => Self::FaultDenied,
            Outcome::Limit => Self::FaultLimit,
            Outcome::Killed => Self::FaultKilled,
            Outcome::NoMemory => Self::FaultNoMemory,
            Outcome::Retried => Self::FaultRetried,
            Outcome::Again => Self::FaultAgain,
            Outcome::NoPage => Self::FaultNoPage,
            Outcome::Io => Self::FaultIo,
        }
    }
}

/// What is to be counted, once each, in one go: a fault has many counters.
pub(crate) struct Tally(u64);

impl Tally {
    /// Nothing.
    pub(crate) fn new() -> Self {
        Self(0)
    }

    pub(crate) fn note(&mut self, counter: Counter) {
        self.0 |= 1 << counter as u32;
    }

    /// An entry that was installed by speculation.
    pub(crate) fn note_success(&mut self, kind: Kind, access: Access) {
        self.note(match (kind, access) {
            (Kind::Anon, Access::Read) => Counter::SpfAnonRead,
            (Kind::Anon, Access::Write) => Counter::SpfAnonWrite,
            (Kind::Shared, Access::Read) => Counter::SpfSharedRead,
            (Kind::Shared, Access::Write) => Counter::SpfSharedWrite,
            (Kind::Private, Access::Read) => Counter::SpfPrivateRead,
            (Kind::Private, Access::Write) => Counter::SpfPrivateWrite,
        });
    }

    /// A speculation that was given up, which is a fallback.
    pub(crate) fn note_abort(&mut self, cause: Cause) {
        self.note(cause.into());
        self.note(Counter::SpfFallbacks);
    }
}

/// Counters, summed up over all CPUs, of one space or of several.
pub(crate) struct Sums([u64; COUNTERS]);

impl Sums {
    /// All zero.
    pub(crate) const fn new() -> Self {
        Self([0; COUNTERS])
    }

    /// Adds those of others.
    pub(crate) fn add(&mut self, others: &Self) {
        for (sum, other) in self.0.iter_mut().zip(others.0) {
            *sum = sum.wrapping_add(other);
        }
    }

    /// Each with its name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        NAMES.into_iter().zip(self.0)
    }

    /// Tells traces that these are the counters of a space that ends.
    pub(super) fn trace(&self, space: usize) {
        for (counter, &sum) in self.0.iter().enumerate() {
            trace_space::space_counted(space, counter as u32, sum);
        }
    }

    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Speculations that were given up, for whatever cause.
    pub(crate) fn aborts(&self) -> u64 {
        let of = |cause: &Cause| self.get(Counter::from(*cause));
        Cause::ALL.iter().map(of).fold(0, u64::wrapping_add)
    }
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

    /// The counters as they are. Each is exact once nobody counts.
    pub(crate) fn sums(&self) -> Sums {
        let mut sums = Sums::new();
        self.add_to(&mut sums);
        sums
    }

    /// Adds the counters to `sums`. Returns whether there is any that is not zero.
    pub(crate) fn add_to(&self, sums: &mut Sums) -> bool {
        self.counters.add_to(&mut sums.0)
    }

    /// Where those of `cpu` are, if there may be a CPU of this number.
    pub(super) fn extent_of(&self, cpu: u32) -> Option<Extent> {
        self.counters.extent_of(cpu)
    }

    pub(crate) fn count(&self, counter: Counter) {
        self.counters.add(counter as usize, 1);
    }

    /// Counts all of `tally`.
    pub(crate) fn count_all(&self, tally: Tally) {
        self.counters.increment_all(tally.0);
    }

    /// Counts an entry that was installed with a lock held.
    pub(crate) fn count_locked(&self, kind: Kind, access: Access) {
        self.count(match (kind, access) {
            (Kind::Anon, Access::Read) => Counter::LockedAnonRead,
            (Kind::Anon, Access::Write) => Counter::LockedAnonWrite,
            (Kind::Shared, Access::Read) => Counter::LockedSharedRead,
            (Kind::Shared, Access::Write) => Counter::LockedSharedWrite,
            (Kind::Private, Access::Read) => Counter::LockedPrivateRead,
            (Kind::Private, Access::Write) => Counter::LockedPrivateWrite,
        });
    }

    /// Counts a fault's wait for the lock of the space.
    pub(crate) fn count_wait(&self, wait: Wait) {
        self.count(Counter::FaultWaits);
        if wait.is_false {
            self.count(Counter::FaultWaitsFalse);
        }
        self.add(Counter::FaultWaitNs, wait.time.as_nanos());
    }

    /// Adds `amount`, which may be negative.
    pub(crate) fn add(&self, counter: Counter, amount: i64) {
        self.counters.add(counter as usize, amount as u64);
    }
}
