// SPDX-License-Identifier: GPL-2.0-only
//! Whether events are as many as the module has counted.
//!
//! When a space ends the module tells its counters, an event each. Events of the space
//! before that are counted here under the names of the same counters.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::trace::event::{Event, Names, What};

/// A space's events, by the names of the counters that count the same.
type Tally = BTreeMap<String, u64>;

/// Which event is needed for a counter: the ends of counters' names, and beginnings.
const FAULT_RESULTS: [&str; 10] = [
    "fault_ok",
    "fault_no_region",
    "fault_denied",
    "fault_limit",
    "fault_killed",
    "fault_no_memory",
    "fault_retried",
    "fault_again",
    "fault_no_page",
    "fault_io",
];

/// Counts events by space until these end.
#[derive(Debug, Default)]
pub struct Ledger {
    open: HashMap<u64, Tally>,
    /// Spaces that are telling their counters.
    ending: HashMap<u64, Tally>,
    spaces: u64,
    counted: BTreeMap<String, (u64, u64)>,
}

/// What was compared.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Agreement {
    /// Spaces that ended while they were traced.
    pub spaces: u64,
    /// Spaces that did not, or of an older module: nothing is known of their counters.
    pub untold: u64,
    /// Counters that were compared, with their sums over spaces.
    pub counters: BTreeMap<String, u64>,
    /// Those of which there are more or fewer events.
    pub differences: Vec<Difference>,
    /// Why nothing was compared, if it was not.
    pub skipped: Option<String>,
}

/// A counter that is not what the events say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name.
    pub counter: String,
    /// By the module.
    pub counted: u64,
    /// By the events.
    pub events: u64,
}

impl Ledger {
    /// Takes in one event.
    pub fn take(&mut self, event: &Event, names: &Names) {
        let space = event.what.space();
        if let What::Counted(_, counter, value) = event.what {
            let ending = self.ending.entry(space).or_insert_with(|| {
                self.spaces += 1;
                self.open.remove(&space).unwrap_or_default()
            });
            let name = names.counter(counter);
            let events = ending.get(&name).copied().unwrap_or(0);
            let sums = self.counted.entry(name).or_default();
            sums.0 += value;
            sums.1 += events;
            return;
        }
        // A new space at the place of one that has ended.
        self.ending.remove(&space);
        let tally = self.open.entry(space).or_default();
        let mut count = |name: String| *tally.entry(name).or_default() += 1;
        match event.what {
            What::Speculated(fault, backing) => {
                let access = if fault.write { "write" } else { "read" };
                count("spf_attempts".into());
                count(format!("spf_{}_{access}", names.backing(backing)));
            }
            What::Aborted(_, cause) => {
                count("spf_attempts".into());
                count(format!("spf_{}", names.cause(cause)));
            }
            What::FellBack(_) => count("spf_fallbacks".into()),
            What::Completed(fault, path, result) => {
                count("faults".into());
                count(format!("fault_{}", names.result(result)));
                if fault.write {
                    count("fault_write".into());
                }
                if names.path(path) == "region" {
                    count("fault_region_locked".into());
                }
            }
            What::Committed(_, _, true) => count("pages_added".into()),
            What::Called(_, call, _, 0) => count(format!("{}s", call.name())),
            _ => {}
        }
    }

    /// What it comes to, in a trace of the events that `is_traced` knows.
    pub fn finish(
        self,
        is_traced: impl Fn(&str) -> bool,
        is_filtered: bool,
        has_losses: bool,
    ) -> Agreement {
        let mut agreement = Agreement {
            spaces: self.spaces,
            untold: self.open.len() as u64,
            ..Agreement::default()
        };
        if is_filtered || has_losses {
            let why = if is_filtered {
                "events were filtered"
            } else {
                "events were lost"
            };
            agreement.skipped = Some(why.into());
            return agreement;
        }
        for (counter, (counted, seen)) in self.counted {
            let events = needs(&counter);
            if !events.is_some_and(|events| events.iter().all(|event| is_traced(event))) {
                continue;
            }
            if counted != seen {
                agreement.differences.push(Difference {
                    counter: counter.clone(),
                    counted,
                    events: seen,
                });
            }
            agreement.counters.insert(counter, counted);
        }
        agreement
    }
}

/// The events that count as this counter does; `None` if there are none.
fn needs(counter: &str) -> Option<&'static [&'static str]> {
    const SPECULATED: &str = "faultline_fault_speculated";
    const ABORTED: &str = "faultline_fault_aborted";
    match counter {
        "spf_attempts" => Some(&[SPECULATED, ABORTED]),
        "spf_fallbacks" => Some(&["faultline_fault_fell_back"]),
        "spf_false_aborts" => None,
        "faults" | "fault_write" | "fault_region_locked" => Some(&["faultline_fault_completed"]),
        "pages_added" => Some(&["faultline_commit"]),
        "maps" => Some(&["faultline_map"]),
        "unmaps" => Some(&["faultline_unmap"]),
        "protects" => Some(&["faultline_protect"]),
        "remaps" => Some(&["faultline_remap"]),
        "advises" => Some(&["faultline_advise"]),
        name if FAULT_RESULTS.contains(&name) => Some(&["faultline_fault_completed"]),
        name if name.starts_with("spf_") => {
            let is_success = name.ends_with("_read") || name.ends_with("_write");
            Some(if is_success {
                &[SPECULATED]
            } else {
                &[ABORTED]
            })
        }
        _ => None,
    }
}

impl Agreement {
    /// One line, and one more for each difference.
    pub fn text(&self) -> String {
        let spaces = match self.spaces {
            1 => "the space that has ended".to_owned(),
            n => format!("all {n} spaces that have ended"),
        };
        if let Some(why) = &self.skipped {
            return format!("not compared with the module's counters: {why}\n");
        }
        if self.counters.is_empty() {
            return "nothing to compare with: no space has ended in the trace\n".into();
        }
        let mut text = match self.differences.len() {
            0 => format!(
                "the events agree with {} counters of {spaces}, to the last one\n",
                self.counters.len()
            ),
            n => format!(
                "THE EVENTS DIFFER from {n} of {} counters of {spaces} (unless one was there before):\n",
                self.counters.len()
            ),
        };
        for difference in &self.differences {
            text.push_str(&format!(
                "  {}: counted {}, events {}\n",
                difference.counter, difference.counted, difference.events
            ));
        }
        text
    }
}
