// SPDX-License-Identifier: GPL-2.0-only
//! The rules: pure functions of what was known and what was seen.

use std::fmt;

use super::{Kind, Known, Stamp, State};
use crate::access::{Fault, Signal};

/// What an access had to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Succeed.
    Success,
    /// Raise this signal.
    Fault(Signal),
    /// The state moved: either.
    Open,
}

/// What is wrong with an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It faulted on a page that was mapped for it (C3).
    Faulted(Fault),
    /// It succeeded where it had to fault (C2).
    NotFaulted(Signal),
    /// It raised the other signal.
    OtherSignal(Signal, Fault),
    /// A word nobody writes is not zero (C4).
    NotZero,
    /// No writer of this run stored that (C4).
    Foreign,
    /// The stamp of another page or writer (C4).
    Misplaced(Stamp),
    /// A stamp that its writer has not stored yet (C4).
    NotYetStored(Stamp, Known),
    /// A stamp from before the page was mapped (C4).
    Stale(Stamp, Known),
    /// A completed store is gone (C5).
    LostWrite(Option<Stamp>, Known),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Wrong::Faulted(_) => f.write_str("fault on a mapped page (C3)"),
            Wrong::NotFaulted(_) => f.write_str("an access that had to fault went through (C2)"),
            Wrong::OtherSignal(..) => f.write_str("fault with the wrong signal"),
            Wrong::NotZero => f.write_str("data in a word that nobody writes (C4)"),
            Wrong::Foreign => f.write_str("data that nobody stored (C4)"),
            Wrong::Misplaced(_) => f.write_str("data of another page (C4)"),
            Wrong::NotYetStored(..) => f.write_str("data from a store that has not begun (C4)"),
            Wrong::Stale(..) => f.write_str("stale data of an earlier mapping (C4)"),
            Wrong::LostWrite(..) => f.write_str("lost write (C5)"),
        }
    }
}

/// Judges whether an access had to fault. `before` and `after` are the states
/// around it, `unmapped` the signal of the target where nothing is mapped.
pub fn judge_outcome(
    before: State,
    after: State,
    store: bool,
    fault: Option<Fault>,
    unmapped: Signal,
) -> Result<Expected, Wrong> {
    let expected = match before.kind {
        _ if before != after => Expected::Open,
        Kind::Changing => Expected::Open,
        Kind::Unmapped => Expected::Fault(unmapped),
        Kind::NoAccess => Expected::Fault(Signal::Segv),
        Kind::ReadOnly if store => Expected::Fault(Signal::Segv),
        Kind::ReadOnly | Kind::ReadWrite => Expected::Success,
    };
    match (expected, fault) {
        (Expected::Success, Some(fault)) => Err(Wrong::Faulted(fault)),
        (Expected::Fault(signal), None) => Err(Wrong::NotFaulted(signal)),
        (Expected::Fault(signal), Some(fault)) if signal != fault.signal => {
            Err(Wrong::OtherSignal(signal, fault))
        }
        _ => Ok(expected),
    }
}

/// Judges what a load of `writer`'s word of `page` saw; `None` for a word that
/// nobody writes.
pub fn judge_value(
    before: State,
    after: State,
    page: u32,
    writer: Option<(u32, Known)>,
    seen: u64,
    salt: u8,
) -> Result<(), Wrong> {
    let Some((writer, known)) = writer else {
        return if seen == 0 {
            Ok(())
        } else {
            Err(Wrong::NotZero)
        };
    };
    let stamp = match seen {
        0 => None,
        word => Some(Stamp::unpack(word, salt).ok_or(Wrong::Foreign)?),
    };
    // The content is at least as young as the one that was there at `before`.
    let origin = before.origin;
    if let Some(stamp) = stamp {
        if stamp.page != page || u32::from(stamp.writer) != writer {
            return Err(Wrong::Misplaced(stamp));
        }
        if stamp.seq > known.begun {
            return Err(Wrong::NotYetStored(stamp, known));
        }
        if last_epoch_of(stamp.seq, known).is_some_and(|epoch| epoch < origin) {
            return Err(Wrong::Stale(stamp, known));
        }
    }
    let constant = before == after && before.kind != Kind::Changing;
    let must_be_there = constant && known.sure != 0 && known.sure_epoch >= origin;
    if must_be_there && stamp.is_none_or(|stamp| stamp.seq < known.sure) {
        return Err(Wrong::LostWrite(stamp, known));
    }
    Ok(())
}

/// An epoch in which the store was over at the latest, if that is known.
fn last_epoch_of(seq: u32, known: Known) -> Option<u32> {
    let by_sure = (seq <= known.sure).then_some(known.sure_epoch);
    let by_ended = match seq {
        _ if seq == known.ended => Some(known.ended_epoch),
        // It was over when the later one began.
        _ if seq < known.ended => Some(known.ended_start),
        _ => None,
    };
    match (by_sure, by_ended) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
