// SPDX-License-Identifier: GPL-2.0-only
//! What two readings say about the time between them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::source::{Reading, Space};
use crate::counts::Counts;

/// What was counted in some time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    counts: Counts,
    seconds: f64,
}

impl Rates {
    /// Of what was counted between two readings that are so far apart.
    fn between(before: &Counts, after: &Counts, time: Duration) -> Rates {
        Rates {
            counts: after.since(before),
            // Two readings may follow each other as fast as a clock ticks.
            seconds: time.as_secs_f64().max(1e-9),
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }

    /// Faults a second.
    pub(super) fn faults(&self) -> f64 {
        self.per_second(self.counts.faults)
    }

    /// Speculations that were given up, a second.
    pub(super) fn aborts(&self) -> f64 {
        self.per_second(self.counts.aborts())
    }

    /// The same by cause, the most frequent first; only those that there were.
    pub(super) fn causes(&self) -> Vec<(&'static str, f64)> {
        let mut causes: Vec<_> = self.counts.causes().to_vec();
        causes.retain(|&(_, count)| count != 0);
        causes.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        causes
            .into_iter()
            .map(|(name, count)| (name, self.per_second(count)))
            .collect()
    }

    /// Waits of faults for the lock of their space, a second.
    pub(super) fn waits(&self) -> f64 {
        self.per_second(self.counts.fault_waits)
    }

    /// How long one took in the mean, in nanoseconds; `None` if there was none.
    pub(super) fn mean_wait(&self) -> Option<f64> {
        let waits = self.counts.fault_waits;
        (waits != 0).then(|| self.counts.fault_wait_ns as f64 / waits as f64)
    }
}

/// A space, and what has happened in it since the reading before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) space: Space,
    /// `None` as long as there is nothing to compare it with.
    pub(super) rates: Option<Rates>,
}

/// The spaces of one policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) policy: String,
    pub(super) spaces: usize,
    pub(super) regions: u64,
    pub(super) pages: u64,
    /// Faults a second; `None` if nothing is known about any of them.
    pub(super) faults: Option<f64>,
}

/// What there is to show.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Picture {
    /// Most faults a second first; among equals the older space.
    pub(super) rows: Vec<Row>,
    /// By name of the policy.
    pub(super) groups: Vec<Group>,
    /// Of all spaces, also those that have ended meanwhile.
    pub(super) totals: Option<Rates>,
    /// Spaces that are gone.
    pub(super) ended: u64,
    /// How far the two readings are apart.
    pub(super) time: Duration,
}

impl Picture {
    /// What `after` shows, `time` later than `before`.
    pub(super) fn of(before: Option<&Reading>, after: &Reading, time: Duration) -> Picture {
        let mut rows: Vec<Row> = after
            .spaces
            .iter()
            .map(|space| Row {
                space: space.clone(),
                rates: before.and_then(|before| rates(before, space, time)),
            })
            .collect();
        let faults = |row: &Row| row.rates.map_or(0.0, |rates| rates.faults());
        rows.sort_by(|a, b| {
            let order = faults(b).total_cmp(&faults(a));
            order.then(a.space.id.cmp(&b.space.id))
        });
        Picture {
            groups: groups(&rows),
            rows,
            totals: before.map(|before| Rates::between(&before.totals, &after.totals, time)),
            ended: after.ended,
            time,
        }
    }

    /// Pages of all spaces.
    pub(super) fn pages(&self) -> u64 {
        self.rows.iter().map(|row| row.space.pages).sum()
    }

    /// Regions of all spaces.
    pub(super) fn regions(&self) -> u64 {
        self.rows.iter().map(|row| row.space.regions).sum()
    }
}

/// Of a space that may have been opened since `before`.
fn rates(before: &Reading, space: &Space, time: Duration) -> Option<Rates> {
    let known = before.spaces.iter().find(|known| known.id == space.id);
    // A number above all others is that of a space that has counted from zero since.
    let newest = before.spaces.iter().map(|space| space.id).max();
    match known {
        Some(known) => Some(Rates::between(&known.counts, &space.counts, time)),
        None if newest < Some(space.id) => {
            Some(Rates::between(&Counts::default(), &space.counts, time))
        }
        None => None,
    }
}

fn groups(rows: &[Row]) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for Row { space, rates } in rows {
        let group = groups.entry(&space.policy).or_default();
        group.policy.clone_from(&space.policy);
        group.spaces += 1;
        group.regions += space.regions;
        group.pages += space.pages;
        if let Some(rates) = rates {
            group.faults = Some(group.faults.unwrap_or(0.0) + rates.faults());
        }
    }
    groups.into_values().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A space that has counted so many faults.
    pub(in super::super) fn space(id: u64, faults: u64) -> Space {
        Space {
            id,
            pid: 100 + id,
            command: format!("command{id}"),
            policy: "spf-range".to_owned(),
            windows: 1,
            regions: 2,
            pages: 3,
            counts: Counts {
                faults,
                ..Counts::default()
            },
        }
    }

    /// These spaces, and totals with what others have counted.
    pub(in super::super) fn reading(spaces: Vec<Space>, others: u64) -> Reading {
        let mut totals = Counts {
            faults: others,
            ..Counts::default()
        };
        spaces.iter().for_each(|space| totals.add(&space.counts));
        Reading {
            spaces,
            totals,
            ended: 0,
        }
    }

    fn faults(picture: &Picture) -> Vec<(u64, Option<f64>)> {
        let faults = |row: &Row| (row.space.id, row.rates.map(|rates| rates.faults()));
        picture.rows.iter().map(faults).collect()
    }

    #[test]
    fn the_first_reading_says_nothing_about_rates() {
        let picture = Picture::of(None, &reading(vec![space(1, 5), space(2, 9)], 0), SECOND);
        assert_eq!(faults(&picture), [(1, None), (2, None)]);
        assert_eq!((picture.totals, picture.groups[0].faults), (None, None));
        assert_eq!((picture.pages(), picture.regions()), (6, 4));
    }

    #[test]
    fn most_faults_come_first() {
        let before = reading(vec![space(1, 100), space(2, 100), space(3, 100)], 0);
        let after = reading(vec![space(1, 110), space(2, 140), space(3, 110)], 0);
        let picture = Picture::of(Some(&before), &after, 2 * SECOND);
        let expected = [(2, Some(20.0)), (1, Some(5.0)), (3, Some(5.0))];
        assert_eq!(faults(&picture), expected);
        assert_eq!(picture.totals.map(|rates| rates.faults()), Some(30.0));
        assert_eq!(picture.groups[0].faults, Some(30.0));
    }

    #[test]
    fn a_new_space_has_counted_from_zero() {
        let before = reading(vec![space(1, 100)], 0);
        let after = reading(vec![space(1, 100), space(2, 50)], 0);
        let picture = Picture::of(Some(&before), &after, SECOND);
        assert_eq!(faults(&picture), [(2, Some(50.0)), (1, Some(0.0))]);
        // Also the first one at all.
        let picture = Picture::of(Some(&reading(vec![], 0)), &after, SECOND);
        assert_eq!(faults(&picture), [(1, Some(100.0)), (2, Some(50.0))]);
    }

    #[test]
    fn a_space_that_was_passed_over_has_no_rate() {
        let before = reading(vec![space(3, 100)], 0);
        let after = reading(vec![space(2, 1000), space(3, 100)], 0);
        let picture = Picture::of(Some(&before), &after, SECOND);
        assert_eq!(faults(&picture), [(2, None), (3, Some(0.0))]);
    }

    #[test]
    fn totals_have_what_ended_spaces_have_counted() {
        let before = reading(vec![space(1, 100), space(2, 10)], 0);
        let after = reading(vec![space(2, 10)], 130);
        let picture = Picture::of(Some(&before), &after, SECOND);
        assert_eq!(faults(&picture), [(2, Some(0.0))]);
        assert_eq!(picture.totals.map(|rates| rates.faults()), Some(30.0));
    }

    #[test]
    fn causes_and_waits_are_those_of_the_interval() {
        let mut before = space(1, 0);
        before.counts.spf_stale = 100;
        before.counts.fault_waits = 10;
        before.counts.fault_wait_ns = 1_000_000;
        let mut after = before.clone();
        after.counts.spf_stale += 2;
        after.counts.spf_raced += 8;
        after.counts.fault_waits += 4;
        after.counts.fault_wait_ns += 8000;
        let rates = Rates::between(&before.counts, &after.counts, 2 * SECOND);
        let causes = [("commit raced", 4.0), ("snapshot stale", 1.0)];
        assert_eq!((rates.aborts(), rates.causes()), (5.0, causes.to_vec()));
        assert_eq!((rates.waits(), rates.mean_wait()), (2.0, Some(2000.0)));
        let quiet = Rates::between(&after.counts, &after.counts, SECOND);
        assert_eq!((quiet.waits(), quiet.mean_wait()), (0.0, None));
        assert!(quiet.causes().is_empty());
    }

    #[test]
    fn spaces_are_grouped_by_policy() {
        let mut other = space(2, 0);
        other.policy = "global".to_owned();
        let spaces = vec![space(1, 0), other, space(3, 0)];
        let picture = Picture::of(None, &reading(spaces, 0), SECOND);
        let groups = picture.groups.iter();
        let groups: Vec<_> = groups.map(|g| (&*g.policy, g.spaces, g.pages)).collect();
        assert_eq!(groups, [("global", 1, 3), ("spf-range", 2, 6)]);
    }

    #[test]
    fn no_time_between_readings_is_no_division_by_zero() {
        let counts = space(1, 5).counts;
        assert!(Rates::between(&counts, &counts, Duration::ZERO).faults() == 0.0);
    }
}
