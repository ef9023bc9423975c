// SPDX-License-Identifier: GPL-2.0-only
//! What the module has counted, and counted meanwhile.

use std::io;

use crate::{Space, Stats};

/// Declares the counters that are reported, each a field of [`Stats`].
macro_rules! counts {
    ($($name:ident),* $(,)?) => {
        /// How much counters of a space have grown.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the UAPI header documents each")]
        pub(crate) struct Counts {
            $(pub(crate) $name: u64,)*
        }

        impl Counts {
            pub(crate) fn of(stats: &Stats) -> Counts {
                Counts { $($name: stats.$name,)* }
            }

            pub(crate) fn since(&self, before: &Counts) -> Counts {
                Counts { $($name: self.$name.saturating_sub(before.$name),)* }
            }

            /// Those that `look` finds by their names; an error names one that it does not.
            pub(crate) fn find(
                mut look: impl FnMut(&str) -> Option<u64>,
            ) -> Result<Counts, &'static str> {
                Ok(Counts { $($name: look(stringify!($name)).ok_or(stringify!($name))?,)* })
            }

            /// Adds those of another space or time.
            pub(crate) fn add(&mut self, other: &Counts) {
                $(self.$name += other.$name;)*
            }

            /// `stats` with these.
            pub(crate) fn put(&self, stats: Stats) -> Stats {
                Stats { $($name: self.$name,)* ..stats }
            }

            /// Each with its name.
            pub(crate) fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

counts! {
    faults,
    fault_ok,
    fault_retried,
    fault_again,
    fault_region_locked,
    fault_waits,
    fault_waits_false,
    fault_wait_ns,
    spf_attempts,
    spf_anon_read,
    spf_anon_write,
    spf_shared_read,
    spf_shared_write,
    spf_private_read,
    spf_private_write,
    spf_writer_active,
    spf_no_region,
    spf_not_speculable,
    spf_stale,
    spf_denied,
    spf_detached,
    spf_not_cached,
    spf_leaf_busy,
    spf_raced,
    spf_no_memory,
    spf_false_aborts,
    spf_fallbacks,
    locked_anon_read,
    locked_anon_write,
    locked_shared_read,
    locked_shared_write,
    locked_private_read,
    locked_private_write,
}

impl Counts {
    /// Runs `work` and adds what the space, if there is one, counts meanwhile.
    pub(crate) fn during<R>(
        &mut self,
        space: Option<&Space>,
        work: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        let Some(space) = space else { return work() };
        let before = Counts::of(&space.stats()?);
        let result = work()?;
        self.add(&Counts::of(&space.stats()?).since(&before));
        Ok(result)
    }

    /// Aborted attempts by cause.
    pub(crate) fn causes(&self) -> [(&'static str, u64); 10] {
        [
            ("writer active", self.spf_writer_active),
            ("no region", self.spf_no_region),
            ("not speculable", self.spf_not_speculable),
            ("snapshot stale", self.spf_stale),
            ("access denied", self.spf_denied),
            ("detached", self.spf_detached),
            ("not cached", self.spf_not_cached),
            ("leaf busy", self.spf_leaf_busy),
            ("commit raced", self.spf_raced),
            ("no memory", self.spf_no_memory),
        ]
    }

    /// Aborted attempts.
    pub(crate) fn aborts(&self) -> u64 {
        self.causes().iter().map(|(_, count)| count).sum()
    }

    /// Attempts that succeeded.
    pub(crate) fn successes(&self) -> u64 {
        self.spf_anon_read
            + self.spf_anon_write
            + self.spf_shared_read
            + self.spf_shared_write
            + self.spf_private_read
            + self.spf_private_write
    }

    /// Entries that faults installed, with a lock or without.
    fn installed(&self) -> u64 {
        self.successes()
            + self.locked_anon_read
            + self.locked_anon_write
            + self.locked_shared_read
            + self.locked_shared_write
            + self.locked_private_read
            + self.locked_private_write
    }

    /// Whether the module counts how faults were handled. One that is older
    /// leaves all these counters zero, which says nothing.
    pub(crate) fn tell_how(&self) -> bool {
        self.fault_ok == 0 || self.installed() + self.spf_attempts != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_grow_and_add_up() {
        let before = Counts::of(&Stats {
            faults: 5,
            spf_stale: 1,
            ..Stats::default()
        });
        let after = Counts::of(&Stats {
            faults: 105,
            spf_attempts: 100,
            spf_stale: 3,
            spf_not_cached: 1,
            spf_false_aborts: 1,
            ..Stats::default()
        });
        let mut grown = after.since(&before);
        assert_eq!((grown.faults, grown.aborts()), (100, 3));
        grown.add(&after.since(&before));
        assert_eq!(grown.aborts(), 6);
    }

    #[test]
    fn a_module_that_does_not_count_is_found_out() {
        let mut counts = Counts {
            fault_ok: 7,
            ..Counts::default()
        };
        assert!(!counts.tell_how());
        counts.locked_anon_write = 7;
        assert!(counts.tell_how());
        assert!(Counts::default().tell_how(), "no fault, nothing to count");
    }
}
