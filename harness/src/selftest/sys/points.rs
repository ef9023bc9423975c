// SPDX-License-Identifier: GPL-2.0-only
//! Stops faults and changes at a point of their way.

use std::time::{Duration, Instant};

use super::kmodule::set_parameter;
use crate::points::{FILE, counts};
use crate::selftest::check::{Outcome, Stop};

/// All who come to a point stop there, as long as this lives.
pub(crate) struct Stopping {
    point: String,
    before: u64,
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
        self.wait_for(1)
    }

    /// Waits until so many have stopped there, or one so often.
    pub(crate) fn wait_for(&self, stops: u64) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let now = counts();
            let count = now.iter().find(|count| count.point == self.point);
            if count.is_some_and(|count| count.slept >= self.before + stops) {
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
