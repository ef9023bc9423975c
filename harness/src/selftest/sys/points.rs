// SPDX-License-Identifier: GPL-2.0-only
//! Points of the module (build with test hooks) at which faults and changes can be
//! made to stop for a while.

use std::fs;
use std::time::{Duration, Instant};

use super::kmodule::set_parameter;
use crate::selftest::check::{Outcome, Stop};

const FILE: &str = "/sys/kernel/debug/faultline/points";

/// All who come to a point stop there, as long as this lives.
pub(crate) struct Stopping {
    point: String,
    before: u64,
}

/// How many came to a point, and how many slept there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) point: String,
    pub(crate) came: u64,
    pub(crate) slept: u64,
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

impl Stopping {
    /// At `point`, for `time`.
    pub(crate) fn at(point: &str, time: Duration) -> Result<Stopping, Stop> {
        let all = counts();
        let number = all
            .iter()
            .position(|count| count.point == point)
            .ok_or_else(|| Stop::fail(format!("no point \"{point}\" in {FILE}")))?;
        set_parameter("delay_points", &(1u64 << number).to_string())?;
        set_parameter("delay_us", &time.as_micros().to_string())?;
        set_parameter("delay_one_in", "1")?;
        Ok(Stopping {
            point: point.to_owned(),
            before: all[number].slept,
        })
    }

    /// Waits until somebody has stopped there.
    pub(crate) fn wait(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let now = counts();
            let count = now.iter().find(|count| count.point == self.point);
            if count.is_some_and(|count| count.slept > self.before) {
                return Ok(());
            }
            std::thread::yield_now();
        }
        Err(Stop::fail(format!("nobody came to {}", self.point)))
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        // Else the next test finds itself delayed, and fails.
        let _ = set_parameter("delay_one_in", "0");
        let _ = set_parameter("delay_points", &u32::MAX.to_string());
    }
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
