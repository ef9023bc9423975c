// SPDX-License-Identifier: GPL-2.0-only

//! Points of faults and changes at which tests delay them, so that each window
//! between two is hit.
//!
//! Only the build with `--cfg faultline_test_hooks` has them. Of all who come to a
//! point that the parameter `delay_points` names by its bit, the first and one of
//! `delay_one_in` sleep for up to `delay_us`; each for just as long, if it is every
//! one. Debugfs `faultline/points` says how many came to
//! each, and how many slept there.

/// Declares the points, with the names that debugfs shows.
macro_rules! points {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A point. Whoever comes there may sleep.
        #[derive(Clone, Copy)]
        pub(crate) enum Point {
            $($(#[$doc])* $variant,)*
        }

        #[cfg(faultline_test_hooks)]
        const NAMES: [&str; [$($name),*].len()] = [$($name),*];
    };
}

points! {
    /// A speculative fault has looked at the region, or guessed.
    FaultSnapshot = "fault_snapshot",
    /// It has its page ready.
    FaultPrepared = "fault_prepared",
    /// A fault has found a leaf, which it has not locked.
    FaultFound = "fault_found",
    /// A fault has published a leaf, which it has locked.
    FaultPublished = "fault_published",
    /// A speculative fault has validated; the leaf is locked.
    FaultValidated = "fault_validated",
    /// A fault has filled the slot; the leaf is locked.
    FaultFilled = "fault_filled",
    /// A fault has installed the entry; the leaf is locked.
    FaultInstalled = "fault_installed",
    /// A speculation was given up.
    FaultAborted = "fault_aborted",
    /// A fault under a lock has looked at the region.
    FaultLocked = "fault_locked",
    /// A change has stored regions.
    ChangeStored = "change_stored",
    /// It has passed a leaf whose slots it empties.
    LeafPassed = "leaf_passed",
    /// It has zapped them.
    LeafZapped = "leaf_zapped",
    /// It has emptied them.
    LeafEmptied = "leaf_emptied",
    /// PROTECT has passed a leaf.
    RevokePassed = "revoke_passed",
    /// A replacing MAP has stored its pending region.
    ReplacePending = "replace_pending",
    /// It has settled.
    ReplaceSettled = "replace_settled",
    /// A REMAP has looked which pages there are to be moved.
    MovePrepared = "move_prepared",
    /// A REMAP has zapped the pages of a leaf that move.
    MoveZapped = "move_zapped",
    /// It has them in its buffer.
    MoveTaken = "move_taken",
    /// It has put them where they belong.
    MovePut = "move_put",
}

impl Point {
    /// Somebody is there.
    #[cfg(not(faultline_test_hooks))]
    #[inline(always)]
    pub(crate) fn reach(self) {}

    /// Somebody is there. May sleep.
    #[cfg(faultline_test_hooks)]
    pub(crate) fn reach(self) {
        hooks::reach(self as usize);
    }
}

#[cfg(faultline_test_hooks)]
pub(super) use hooks::Shown;

#[cfg(faultline_test_hooks)]
mod hooks {
    use kernel::{
        fmt,
        sync::atomic::{Atomic, Relaxed},
        time::{delay::fsleep, Delta},
    };

    use super::NAMES;
    use crate::kern::{debugfs::Text, param, random::random_below};

    static CAME: [Atomic<u64>; NAMES.len()] = [const { Atomic::new(0) }; NAMES.len()];
    static SLEPT: [Atomic<u64>; NAMES.len()] = [const { Atomic::new(0) }; NAMES.len()];

    /// So many sleep at each point, however few come there.
    const FIRST: u64 = 20;

    pub(super) fn reach(point: usize) {
        CAME[point].add(1, Relaxed);
        let (one_in, most) = (param::delay_one_in(), param::delay_us());
        let is_chosen = param::delay_points() & (1 << point) != 0;
        if !is_chosen || one_in == 0 || most == 0 {
            return;
        }
        if SLEPT[point].load(Relaxed) < FIRST || random_below(one_in) == 0 {
            SLEPT[point].add(1, Relaxed);
            let us = match one_in {
                1 => most,
                _ => random_below(most) + 1,
            };
            fsleep(Delta::from_micros(us.into()));
        }
    }

    /// The contents of debugfs `faultline/points`: a line for each point.
    pub(crate) struct Shown;

    impl Text for Shown {
        type Data = ();

        fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
            for (point, name) in NAMES.iter().enumerate() {
                let (came, slept) = (CAME[point].load(Relaxed), SLEPT[point].load(Relaxed));
                writeln!(f, "{name} {came} {slept}")?;
            }
            Ok(())
        }
    }
}
