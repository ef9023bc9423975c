// SPDX-License-Identifier: GPL-2.0-only
//! The state word of a page.

use std::fmt;

use crate::Prot;

/// What a page is to an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is mapped.
    Unmapped,
    /// A call that changes it is under way.
    Changing,
    /// A call that brings content with a past of its own here is under way.
    Arriving,
    /// A region without access.
    NoAccess,
    /// A region for loads.
    ReadOnly,
    /// A region for loads and stores.
    ReadWrite,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Unmapped,
        Kind::Changing,
        Kind::Arriving,
        Kind::NoAccess,
        Kind::ReadOnly,
        Kind::ReadWrite,
    ];

    /// True while a call is under way.
    pub fn in_flight(self) -> bool {
        matches!(self, Kind::Changing | Kind::Arriving)
    }

    /// The protection of the region, if there is one.
    pub fn prot(self) -> Option<Prot> {
        match self {
            Kind::Unmapped | Kind::Changing | Kind::Arriving => None,
            Kind::NoAccess => Some(Prot::NONE),
            Kind::ReadOnly => Some(Prot::READ),
            Kind::ReadWrite => Some(Prot::READ_WRITE),
        }
    }
}

/// The state of a page; see the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Number of the last change, below [`State::MAX_EPOCH`].
    pub epoch: u32,
    /// Number of the change that made the content.
    pub origin: u32,
    /// What an access may do.
    pub kind: Kind,
}

const EPOCH_BITS: u32 = 30;
const KIND_BITS: u32 = 3;

impl State {
    /// Epochs are below this. At a thousand changes of each page per second
    /// they last for twelve days.
    pub const MAX_EPOCH: u32 = 1 << EPOCH_BITS;

    /// The state of a page that nobody mapped yet.
    pub const NEW: State = State {
        epoch: 1,
        origin: 1,
        kind: Kind::Unmapped,
    };

    /// While the next change is under way: old content may still be there.
    pub fn changing(self) -> State {
        self.next(1, Kind::Changing)
    }

    /// While a change is under way that brings content with a past. It takes two
    /// epochs: so whoever sees but one go by knows that nothing came.
    pub fn arriving(self) -> State {
        self.next(2, Kind::Arriving)
    }

    fn next(self, epochs: u32, kind: Kind) -> State {
        assert!(self.epoch + epochs < State::MAX_EPOCH, "out of epochs");
        State {
            epoch: self.epoch + epochs,
            origin: self.origin,
            kind,
        }
    }

    /// After a change that made new content, or removed it, or brought it here.
    pub fn renewed(self, kind: Kind) -> State {
        State {
            epoch: self.epoch,
            origin: self.epoch,
            kind,
        }
    }

    /// After a change that kept the content, for example one that failed.
    pub fn kept(self, kind: Kind) -> State {
        State { kind, ..self }
    }

    pub(super) fn pack(self) -> u64 {
        let epochs = (u64::from(self.epoch) << EPOCH_BITS) | u64::from(self.origin);
        (epochs << KIND_BITS) | self.kind as u64
    }

    pub(super) fn unpack(word: u64) -> State {
        let epochs = word >> KIND_BITS;
        State {
            epoch: (epochs >> EPOCH_BITS) as u32,
            origin: epochs as u32 & (State::MAX_EPOCH - 1),
            kind: Kind::ALL[(word & ((1 << KIND_BITS) - 1)) as usize],
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} (generation {}, content of {})",
            self.kind, self.epoch, self.origin
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_packing() {
        for kind in Kind::ALL {
            for epoch in [0, 1, State::MAX_EPOCH - 1] {
                let state = State {
                    epoch,
                    origin: epoch / 2,
                    kind,
                };
                assert_eq!(State::unpack(state.pack()), state);
            }
        }
    }

    #[test]
    fn a_failed_change_keeps_the_origin() {
        let mapped = State::NEW.changing().renewed(Kind::ReadWrite);
        assert_eq!((mapped.epoch, mapped.origin), (2, 2));
        let after = mapped.changing().kept(Kind::ReadWrite);
        assert_eq!((after.epoch, after.origin), (3, 2));
    }
}
