// SPDX-License-Identifier: GPL-2.0-only
//! The rules: pure functions of what was known and what was seen.

use std::fmt;

use super::{Content, Fresh, Kind, Known, Stamp, State, content};
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
    /// A word nobody writes is not what it was at first (C4).
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
        Kind::Changing | Kind::Arriving => Expected::Open,
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

/// What a load was of, and what was known of it.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The page, over all spaces, and its number in its space.
    pub page: (u32, u32),
    /// The byte in the page.
    pub byte: usize,
    /// The states around the load.
    pub states: (State, State),
    /// The content that the page has if the state is constant.
    pub content: Content,
    /// Who writes the word, if anybody does.
    pub writer: Option<Writer<'a>>,
}

/// The writer of the word.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// Its number.
    pub number: u32,
    /// What is known of its stores through this page.
    pub known: Known,
    /// A store that the content has, or a later one, from before it came here.
    pub floor: Option<Stamp>,
    /// After the load: the last store through a page, of a writer, that may
    /// have begun.
    pub begun: &'a dyn Fn(u32, u32) -> u32,
}

impl Look<'_> {
    /// Nothing was under way.
    fn settled(&self) -> bool {
        self.states.0 == self.states.1 && !self.states.0.kind.in_flight()
    }

    /// Nothing that came from elsewhere can have been seen.
    fn nothing_came(&self) -> bool {
        self.states.0.kind != Kind::Arriving && self.states.1.epoch <= self.states.0.epoch + 1
    }

    /// Whether a word can be one that nobody has stored to.
    fn may_be_fresh(&self, word: u64) -> bool {
        let is = |fresh: Fresh| fresh.word(self.byte) == word;
        // A call in flight may have made a new region.
        let replaced = || is(Fresh::Zero) || is(Fresh::File(self.page.1));
        is(self.content.fresh)
            || !self.settled() && replaced()
            || !self.nothing_came() && content::is_pattern(word, self.byte)
    }

    /// Whether this store can be in the content.
    fn may_be_there(&self, stamp: Stamp, writer: &Writer<'_>) -> Result<(), Wrong> {
        let known = Known {
            begun: (writer.begun)(stamp.page, writer.number),
            ..writer.known
        };
        if u32::from(stamp.writer) != writer.number {
            return Err(Wrong::Misplaced(stamp));
        }
        if stamp.seq > known.begun {
            // Of a page that nobody stored through, it is not even of this run.
            return Err(Wrong::NotYetStored(stamp, known));
        }
        if !self.nothing_came() || self.content.may_come_from(stamp.page) {
            return Ok(());
        }
        if stamp.page != self.page.0 {
            return Err(Wrong::Misplaced(stamp));
        }
        // The content is at least as young as the one that was there at first.
        let origin = self.states.0.origin;
        match last_epoch_of(stamp.seq, known) {
            Some(epoch) if epoch < origin => Err(Wrong::Stale(stamp, known)),
            _ => Ok(()),
        }
    }

    /// Whether a store that must be there has been lost.
    fn has_lost(&self, seen: Option<Stamp>, writer: &Writer<'_>) -> bool {
        let known = &writer.known;
        if !self.settled() {
            return false;
        }
        let here = |least| seen.is_none_or(|stamp| stamp.page != self.page.0 || stamp.seq < least);
        if known.sure != 0 && known.sure_epoch >= self.states.0.origin {
            return here(known.sure);
        }
        match (writer.floor, seen) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(floor), Some(stamp)) if stamp.page == floor.page => stamp.seq < floor.seq,
            (Some(_), Some(stamp)) if stamp.page == self.page.0 => false,
            (Some(floor), Some(stamp)) => {
                self.content.was_at_later(stamp.page, floor.page) == Some(false)
            }
        }
    }
}

/// Judges what a load saw.
pub fn judge_value(look: &Look<'_>, seen: u64, salt: u8) -> Result<(), Wrong> {
    let fresh = look.may_be_fresh(seen);
    let Some(writer) = &look.writer else {
        return if fresh { Ok(()) } else { Err(Wrong::NotZero) };
    };
    let stamp = match fresh {
        true => None,
        false => Some(Stamp::unpack(seen, salt).ok_or(Wrong::Foreign)?),
    };
    if let Some(stamp) = stamp {
        look.may_be_there(stamp, writer)?;
    }
    match look.has_lost(stamp, writer) {
        true => Err(Wrong::LostWrite(stamp, writer.known)),
        false => Ok(()),
    }
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
