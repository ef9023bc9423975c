// SPDX-License-Identifier: GPL-2.0-only
//! Points of the module (build with test hooks) at which faults and changes can be
//! made to sleep for a while.

use std::fs;

/// Where the module shows them.
pub(crate) const FILE: &str = "/sys/kernel/debug/faultline/points";

/// How many came to a point, and how many slept there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Its name.
    pub point: String,
    /// How many came there.
    pub came: u64,
    /// How many slept there.
    pub slept: u64,
}

/// Every point, in the order of their numbers; none if the module has none.
pub(crate) fn counts() -> Vec<Count> {
    let text = fs::read_to_string(FILE).unwrap_or_default();
    text.lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Count> {
    let mut words = line.split_whitespace();
    Some(Count {
        point: words.next()?.to_owned(),
        came: words.next()?.parse().ok()?,
        slept: words.next()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_point_and_two_counts() {
        let count = Count {
            point: "leaf_passed".into(),
            came: 12,
            slept: 3,
        };
        assert_eq!(parse("leaf_passed 12 3"), Some(count));
        assert_eq!(parse("leaf_passed 12"), None);
    }
}
