// SPDX-License-Identifier: GPL-2.0-only
//! What the module counted, as figures.

use super::Figure;
use crate::counts::Counts;

pub(super) const ATTEMPTS: &str = "attempts";
pub(super) const ABORTS: &str = "aborts, % of attempts";
pub(super) const FALSE_ABORTS: &str = "false aborts, %";

impl Counts {
    /// For the tables of `faultline bench`; nothing where nothing speculates.
    pub(super) fn figures(&self) -> Vec<Figure> {
        if self.spf_attempts == 0 {
            return Vec::new();
        }
        let percent = |count| count as f64 / self.spf_attempts as f64 * 100.0;
        vec![
            (ATTEMPTS, self.spf_attempts as f64),
            (ABORTS, percent(self.aborts())),
            (FALSE_ABORTS, percent(self.spf_false_aborts)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aborts_are_in_percent_of_attempts() {
        let counts = Counts {
            spf_attempts: 100,
            spf_stale: 2,
            spf_not_cached: 1,
            spf_false_aborts: 1,
            ..Counts::default()
        };
        let figures = counts.figures();
        assert_eq!(figures[1], (ABORTS, 3.0));
        assert_eq!(figures[2], (FALSE_ABORTS, 1.0));
    }

    #[test]
    fn without_speculation_there_are_no_figures_of_it() {
        assert!(Counts::default().figures().is_empty());
    }
}
