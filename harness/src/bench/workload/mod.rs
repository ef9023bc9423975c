// SPDX-License-Identifier: GPL-2.0-only
//! The workloads: loops that others have measured, so that figures can be read beside
//! theirs.

mod buffers;
mod chaos;
mod chunks;
mod empty;
mod pft;
mod slices;
mod small;

use std::io;

use super::record;
use super::target::Subject;
use super::turn::{Outcome, Sizes, Turn};

/// With how many threads a workload is run if nobody says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crew {
    /// With one, and with one for each processor.
    Scaling,
    /// With so many.
    Fixed(u32),
}

/// A kind of work.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As it is typed.
    pub(crate) name: &'static str,
    /// A sentence for people, given the sizes.
    pub(crate) about: fn(&Sizes) -> String,
    /// What is counted, in the plural.
    pub(crate) unit: &'static str,
    /// What a latency is of, if latencies are recorded.
    pub(crate) latency_of: Option<&'static str>,
    /// Whether others work beside the measured threads.
    pub(crate) interference: bool,
    /// Whether it is the loop without the work, which is the same on all memory.
    pub(crate) empty: bool,
    /// The kernel's own memory that others are compared with.
    pub(crate) peer: Subject,
    /// Threads.
    pub(crate) crew: Crew,
    /// Turns that one of its turns counts for: it takes long to come round.
    pub(crate) weight: u32,
    /// Why it makes no sense on some memory with so many threads, if it does not.
    pub(crate) unfit: fn(Subject, u32) -> Option<&'static str>,
    /// Works for a turn.
    pub(crate) run: fn(&Turn<'_>) -> io::Result<Outcome>,
}

/// What most are like.
const USUAL: Kind = Kind {
    name: "",
    about: |_| String::new(),
    unit: "faults",
    latency_of: None,
    interference: false,
    empty: false,
    peer: Subject::Anon,
    crew: Crew::Scaling,
    weight: 1,
    unfit: |_, _| None,
    run: |_| Ok(Outcome::default()),
};

impl Kind {
    /// All there are, in the order in which they are run.
    pub(crate) fn all() -> impl Iterator<Item = &'static Kind> {
        static KINDS: [&[Kind]; 7] = [
            &empty::KINDS,
            &buffers::KINDS,
            &pft::KINDS,
            &chunks::KINDS,
            &slices::KINDS,
            &small::KINDS,
            &chaos::KINDS,
        ];
        KINDS.iter().flat_map(|kinds| kinds.iter())
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Kind> {
        Kind::all().find(|kind| kind.name == name)
    }

    /// As it stands in the records.
    pub(crate) fn record(&self, sizes: &Sizes, threads: &[u32]) -> record::Workload {
        record::Workload {
            name: self.name.to_owned(),
            about: (self.about)(sizes),
            unit: self.unit.to_owned(),
            latency_of: self.latency_of.map(str::to_owned),
            interference: self.interference,
            empty: self.empty,
            threads: threads.to_vec(),
            peer: Some(self.peer.name().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
