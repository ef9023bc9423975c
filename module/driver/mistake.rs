// SPDX-License-Identifier: GPL-2.0-only

//! Mistakes on purpose, to see that the tests find them.
//!
//! Only the build with `--cfg faultline_busted` can make them: the parameter
//! `busted` says which one. Each breaks a promise: see ARCHITECTURE.md.

/// A mistake. Its name as a parameter is the same in snake case.
#[derive(Clone, Copy)]
pub(crate) enum Mistake {
    /// C1: every change locks the whole space.
    LockAll,
    /// C1: what a change is done with is kept to its end.
    KeepAll,
    /// C2: translations are left in place.
    SkipZap,
    /// C2: PROTECT leaves entries that may be written.
    SkipRevoke,
    /// C2, C4: a fault does not look at the region again before it installs.
    SkipValidation,
    /// C2: entries are taken out before the leaf is passed.
    ZapBeforePass,
    /// C4: a replacing MAP can be used before the old pages are gone.
    SkipPending,
    /// C2: slots that are being emptied are used.
    SkipLeaving,
    /// C2: changes do not lock regions under `region`.
    SkipRegion,
    /// C2: changes do not lock the regions that they join.
    SkipBeside,
    /// C4: what a file has lost is copied.
    SkipFile,
    /// C4: fresh pages keep what was in them.
    SkipZero,
    /// C5: pages do not move with their regions.
    LoseMove,
    /// C5: pages that a fault adds during a move are lost.
    SkipLate,
    /// C5: a leaf that gets pages of a move goes if it loses all others meanwhile.
    SkipReserve,
    /// C5: PROTECT discards pages.
    ProtectDiscards,
    /// C6: a killed fault is to be made again.
    RetryKilled,
    /// C6: faults ask for a retry under each policy.
    RetryAlways,
    /// C7: holes are not looked for.
    SkipCover,
    /// C7: what a change will need is not reserved.
    SkipRoom,
    /// C8: a region that is removed is not freed.
    LeakRegion,
    /// C8: a memfd is thawed some time after the last region is gone.
    ThawLate,
    /// C9: the page limit is not kept.
    SkipLimit,
    /// C9: what processors have ahead is used when the limit has been lowered.
    SkipRecall,
    /// C9: pages are not charged to the memory cgroup.
    SkipCharge,
    /// C10: a fault that speculates counts itself in the space.
    SharedCount,
    /// C10: it has the lock of its region meanwhile.
    HoldRegion,
    /// C10: it counts itself in its leaf's word of a line that eight leaves share.
    ShareLine,
    /// C10: it stores what is there already.
    StoreSame,
    /// Regions are not joined with their like.
    SkipJoin,
    /// What a space has counted is forgotten when it ends.
    ForgetEnded,
    /// A region that has grown downwards is shown a second time.
    SkipClip,
}

impl Mistake {
    /// Whether it is to be made.
    #[cfg(not(faultline_busted))]
    pub(crate) const fn is_made(self) -> bool {
        false
    }

    /// Whether it is to be made.
    #[cfg(faultline_busted)]
    pub(crate) fn is_made(self) -> bool {
        crate::kern::param::busted() == self.name()
    }

    #[cfg(faultline_busted)]
    fn name(self) -> &'static kernel::str::CStr {
        match self {
            Self::LockAll => c"lock_all",
            Self::KeepAll => c"keep_all",
            Self::SkipZap => c"skip_zap",
            Self::SkipRevoke => c"skip_revoke",
            Self::SkipValidation => c"skip_validation",
            Self::ZapBeforePass => c"zap_before_pass",
            Self::SkipPending => c"skip_pending",
            Self::SkipLeaving => c"skip_leaving",
            Self::SkipRegion => c"skip_region",
            Self::SkipBeside => c"skip_beside",
            Self::SkipFile => c"skip_file",
            Self::SkipZero => c"skip_zero",
            Self::LoseMove => c"lose_move",
            Self::SkipLate => c"skip_late",
            Self::SkipReserve => c"skip_reserve",
            Self::ProtectDiscards => c"protect_discards",
            Self::RetryKilled => c"retry_killed",
            Self::RetryAlways => c"retry_always",
            Self::SkipCover => c"skip_cover",
            Self::SkipRoom => c"skip_room",
            Self::LeakRegion => c"leak_region",
            Self::ThawLate => c"thaw_late",
            Self::SkipLimit => c"skip_limit",
            Self::SkipRecall => c"skip_recall",
            Self::SkipCharge => c"skip_charge",
            Self::SharedCount => c"shared_count",
            Self::HoldRegion => c"hold_region",
            Self::ShareLine => c"share_line",
            Self::StoreSame => c"store_same",
            Self::SkipJoin => c"skip_join",
            Self::ForgetEnded => c"forget_ended",
            Self::SkipClip => c"skip_clip",
        }
    }
}

/// What [`Mistake::ShareLine`] does: nobody reads it, and no two leaves beside each other
/// have the same word.
#[cfg_attr(not(faultline_busted), allow(dead_code))]
pub(crate) fn share_line(leaf: u64) {
    use kernel::sync::atomic::{Atomic, Relaxed};

    #[repr(align(64))]
    struct Line([Atomic<u64>; 8]);
    static COUNTS: Line = Line([const { Atomic::new(0) }; 8]);

    // Relaxed: it orders nothing.
    COUNTS.0[leaf as usize % 8].fetch_add(1, Relaxed);
}
