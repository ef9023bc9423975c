// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel, the module and the process count, and how it grows in a turn.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use crate::sys::{self, Usage};
use crate::{Space, Stats};

/// The counters of `stats` that only grow, by name.
macro_rules! growing {
    ($stats:expr; $($name:ident),* $(,)?) => {
        [$((stringify!($name), $stats.$name)),*]
    };
}

/// The state of all counters at some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    space: BTreeMap<String, u64>,
    vmstat: BTreeMap<String, u64>,
    usage: Usage,
}

/// How they have grown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth {
    /// Of the space; empty if there is none.
    pub(crate) space: BTreeMap<String, u64>,
    /// Of `/proc/vmstat`: `vma_lock_*` and `pgfault`.
    pub(crate) vmstat: BTreeMap<String, u64>,
    /// Of the process.
    pub(crate) usage: Usage,
}

impl Counters {
    /// Those of now.
    pub(crate) fn now(space: Option<&Space>) -> io::Result<Counters> {
        Ok(Counters {
            space: match space {
                Some(space) => of_space(&space.stats()?),
                None => BTreeMap::new(),
            },
            // A kernel without them is none the worse.
            vmstat: of_vmstat(&fs::read_to_string("/proc/vmstat").unwrap_or_default()),
            usage: sys::usage()?,
        })
    }

    /// What has become of them since then.
    pub(crate) fn since(self, before: Counters) -> Growth {
        Growth {
            space: grown(self.space, &before.space),
            vmstat: grown(self.vmstat, &before.vmstat),
            usage: self.usage.since(&before.usage),
        }
    }
}

fn grown(after: BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let growth = |(name, value): (String, u64)| {
        let old = before.get(&name).copied().unwrap_or(0);
        (name, value.saturating_sub(old))
    };
    after.into_iter().map(growth).collect()
}

fn of_vmstat(text: &str) -> BTreeMap<String, u64> {
    let of_interest = |name: &str| name.starts_with("vma_lock_") || name == "pgfault";
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| of_interest(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
        .collect()
}

fn of_space(stats: &Stats) -> BTreeMap<String, u64> {
    let counters = growing![stats;
        maps, unmaps, protects, remaps, advises, pages_added, pages_removed, pages_moved,
        faults, fault_ok, fault_write, fault_mkwrite, fault_no_region, fault_denied,
        fault_limit, fault_killed, fault_no_memory, fault_retried, fault_again,
        fault_no_page, fault_io, fault_region_locked, fault_waits, fault_waits_false,
        fault_wait_ns, spf_attempts, spf_anon_read, spf_anon_write, spf_shared_read,
        spf_shared_write, spf_private_read, spf_private_write, spf_writer_active,
        spf_no_region, spf_not_speculable, spf_stale, spf_denied, spf_detached,
        spf_not_cached, spf_leaf_busy, spf_raced, spf_no_memory, spf_false_aborts,
        spf_fallbacks, locked_anon_read, locked_anon_write, locked_shared_read,
        locked_shared_write, locked_private_read, locked_private_write,
    ];
    let named = counters.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_concerns_faults_is_taken_of_vmstat() {
        let vmstat = of_vmstat("nr_free_pages 7\npgfault 12\nvma_lock_retry 3\npgfault_x 1\n");
        let names: Vec<_> = vmstat.keys().map(String::as_str).collect();
        assert_eq!(names, ["pgfault", "vma_lock_retry"]);
        assert_eq!(vmstat["pgfault"], 12);
    }

    /// All fields but those that say how things are now.
    #[test]
    fn every_counter_of_the_interface_is_there() {
        const NOW: usize = 4; // regions, pages, max_pages, max_regions
        let fields = size_of::<Stats>() / size_of::<u64>();
        assert_eq!(of_space(&Stats::default()).len(), fields - NOW);
    }

    #[test]
    fn growth_is_the_difference() {
        let before = Counters::now(None).unwrap();
        let memory = vec![1_u8; 4 << 20];
        std::hint::black_box(&memory);
        let growth = Counters::now(None).unwrap().since(before);
        assert!(growth.space.is_empty());
        assert!(
            growth
                .vmstat
                .get("pgfault")
                .is_none_or(|&faults| faults > 0)
        );
    }
}
