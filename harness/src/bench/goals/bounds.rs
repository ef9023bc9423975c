// SPDX-License-Identifier: GPL-2.0-only
//! What the figures are to reach, and whether they do.

use std::fmt;

use super::report::short;

/// Where a figure stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) work: &'static str,
    pub(super) on: &'static str,
    pub(super) figure: &'static str,
}

impl Place {
    pub(super) const fn new(work: &'static str, on: &'static str, figure: &'static str) -> Place {
        Place { work, on, figure }
    }
}

/// What is asked of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A bound on a figure, or on its ratio to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) figure: Place,
    pub(super) against: Option<Place>,
    pub(super) bound: Bound,
}

/// Whether a goal is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// With this value.
    Reached(f64),
    /// With this value.
    Missed(f64),
    /// A figure was not measured.
    Unknown,
}

impl Goal {
    /// Judges by the medians, which `median` looks up.
    pub(super) fn judge(&self, median: impl Fn(&Place) -> Option<f64>) -> Verdict {
        let Some(figure) = median(&self.figure) else {
            return Verdict::Unknown;
        };
        let value = match &self.against {
            None => figure,
            Some(against) => match median(against) {
                Some(against) => figure / against,
                None => return Verdict::Unknown,
            },
        };
        let reached = match self.bound {
            // 0 / 0 says nothing.
            _ if value.is_nan() => return Verdict::Unknown,
            Bound::AtLeast(least) => value >= least,
            Bound::AtMost(most) => value <= most,
        };
        match reached {
            true => Verdict::Reached(value),
            false => Verdict::Missed(value),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { work, on, figure } = self.figure;
        write!(f, "{work}: {figure} of {on}")?;
        let (bound, value) = match self.bound {
            Bound::AtLeast(least) => ("at least", least),
            Bound::AtMost(most) => ("at most", most),
        };
        write!(f, " {bound} {value}")?;
        match self.against {
            None => Ok(()),
            Some(other) if other.work == work => write!(f, " x {}", other.on),
            Some(other) if other.on == on => write!(f, " x its own in {}", other.work),
            Some(other) => write!(f, " x {} in {}", other.on, other.work),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Reached(value) => write!(f, "{}, reached", short(*value)),
            Verdict::Missed(value) => write!(f, "{}, missed", short(*value)),
            Verdict::Unknown => f.write_str("not measured"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Place = Place {
        work: "touch",
        on: "spf-range",
        figure: "faults/s",
    };
    const THEIRS: Place = Place {
        on: "linux",
        ..OURS
    };

    fn judge(goal: &Goal, ours: f64, theirs: f64) -> Verdict {
        goal.judge(|place| Some(if *place == OURS { ours } else { theirs }))
    }

    #[test]
    fn ratios_and_values_are_judged() {
        let ratio = Goal {
            figure: OURS,
            against: Some(THEIRS),
            bound: Bound::AtLeast(1.3),
        };
        assert_eq!(judge(&ratio, 13.0, 10.0), Verdict::Reached(1.3));
        assert_eq!(judge(&ratio, 12.0, 10.0), Verdict::Missed(1.2));
        assert_eq!(
            ratio.to_string(),
            "touch: faults/s of spf-range at least 1.3 x linux"
        );
        let value = Goal {
            against: None,
            bound: Bound::AtMost(1.0),
            ..ratio
        };
        assert_eq!(judge(&value, 0.0, 0.0), Verdict::Reached(0.0));
        assert_eq!(judge(&value, 2.0, 0.0), Verdict::Missed(2.0));
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let goal = Goal {
            figure: OURS,
            against: Some(THEIRS),
            bound: Bound::AtMost(0.1),
        };
        assert_eq!(goal.judge(|_| None), Verdict::Unknown);
        let ours = |place: &Place| (*place == OURS).then_some(1.0);
        assert_eq!(goal.judge(ours), Verdict::Unknown);
        assert_eq!(judge(&goal, 0.0, 0.0), Verdict::Unknown, "0 of 0");
        assert_eq!(judge(&goal, 0.0, 7.0), Verdict::Reached(0.0));
    }
}
