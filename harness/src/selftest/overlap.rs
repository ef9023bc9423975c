// SPDX-License-Identifier: GPL-2.0-only
//! Runs one thing while another stops at a point of its way.

use std::thread;
use std::time::Duration;

use super::check::{Outcome, Stop, ensure};
use super::sys::points::Stopping;

/// Longer than any of the calls takes that are made meanwhile.
pub(crate) const TIME: Duration = Duration::from_millis(400);

/// Points of a fault that has locked nothing.
pub(crate) const EARLY: [&str; 2] = ["fault_snapshot", "fault_prepared"];
/// Points of a fault that has locked the leaf.
pub(crate) const LATE: [&str; 3] = ["fault_validated", "fault_filled", "fault_installed"];

/// Runs `change` while `access` stops at `point`, and returns what that came to. At a
/// point where it has locked nothing, the change must be over before it goes on.
pub(crate) fn overtake<R: Send>(
    point: &str,
    access: impl FnOnce() -> R + Send,
    change: impl FnOnce() -> Outcome,
) -> Result<R, Stop> {
    let stopping = Stopping::at(point, TIME)?;
    thread::scope(|scope| {
        let access = scope.spawn(access);
        stopping.wait()?;
        change()?;
        if EARLY.contains(&point) {
            ensure!(
                !access.is_finished(),
                "{point}: the access went on too soon"
            );
        }
        access
            .join()
            .map_err(|_| Stop::fail("the accessing thread panicked"))
    })
}

/// Runs `access` while `change` stops at `point`; it may have to wait for that.
pub(crate) fn meet<R: Send>(
    point: &str,
    change: impl FnOnce() -> Outcome + Send,
    access: impl FnOnce() -> Result<R, Stop>,
) -> Result<R, Stop> {
    beside(point, change, access).map(|(accessed, _)| accessed)
}

/// As `meet`, but it must be over before the change goes on.
pub(crate) fn pass<R: Send>(
    point: &str,
    change: impl FnOnce() -> Outcome + Send,
    access: impl FnOnce() -> Result<R, Stop>,
) -> Result<R, Stop> {
    let (accessed, is_stopped) = beside(point, change, access)?;
    ensure!(is_stopped, "{point}: the change went on too soon");
    Ok(accessed)
}

/// And whether the change still stood there when the access was over.
fn beside<R: Send>(
    point: &str,
    change: impl FnOnce() -> Outcome + Send,
    access: impl FnOnce() -> Result<R, Stop>,
) -> Result<(R, bool), Stop> {
    let stopping = Stopping::at(point, TIME)?;
    thread::scope(|scope| {
        let change = scope.spawn(change);
        let accessed = stopping.wait().and_then(|()| access());
        let is_stopped = !change.is_finished();
        change
            .join()
            .unwrap_or_else(|_| Err(Stop::fail("the changing thread panicked")))?;
        Ok((accessed?, is_stopped))
    })
}
