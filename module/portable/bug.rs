// SPDX-License-Identifier: GPL-2.0-only

//! Bugs that can be put into the algorithms, to see that their tests catch
//! them: `sync::is_busted` says which one is in, if any.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Small requests do not look at the places of larger ones.
    OwnPlaceOnly,
    /// A large request takes its first spin lock only.
    FirstSpinLockOnly,
    /// Who lets others pass does not look at who came first.
    NoArrivalOrder,
    /// Who is killed leaves the line although just granted.
    LeaveWhenGranted,
    /// The count of what is in the way is set when others can already see it.
    PendingSetLate,
    /// A request is touched when it has been granted.
    TouchAfterGrant,
    /// A request is granted without a release.
    GrantedStoreRelaxed,
    /// The grant is seen without an acquire.
    GrantedLoadRelaxed,
    /// The count goes down without passing on what others did before.
    PendingSubRelaxed,
    /// A partial release wakes nobody.
    TrimForgets,
    /// A partial release lets those pass that want what is still held.
    TrimLetsAllPass,
    /// A downgrade lets no reader pass.
    DowngradeForgets,
    /// A downgrade lets writers pass too.
    DowngradeLetsAllPass,
    /// Requests that wait do not mark what is in their way.
    NoMark,
    /// A reader does not mind that a change waits for those that are left.
    IgnoreDraining,
    /// A reader does not look which change has locked the object last.
    IgnoreNumber,
    /// A reader does not mind that a change has begun or ended behind its first look.
    OneLookOnly,
    /// The last reader does not say that it is.
    LastIsSilent,
    /// A change stores an object that it has not locked.
    NewNotLocked,
    /// A reader looks at the sequence first without an acquire.
    FirstLookRelaxed,
    /// A reader counts itself in without an acquire.
    CountInRelaxed,
    /// A reader counts itself out without a release.
    CountOutRelaxed,
    /// A change that finds no readers sees it without an acquire.
    DrainRelaxed,
    /// A change that has waited for the readers sees them gone without an acquire.
    DrainedRelaxed,
    /// A change lets readers in again without a release.
    DrainEndRelaxed,
    /// A change begins without a release.
    BeginRelaxed,
    /// A change ends without a release.
    EndRelaxed,
    /// A reader finds objects without an acquire.
    FindRelaxed,
    /// A change frees the object that it has replaced beside who has just found it.
    FreeAtOnce,
    /// A fault installs what it has got ready without looking at the region again.
    NoValidation,
    /// A fault installs what is in a slot that is about to be emptied.
    InstallLeaving,
    /// A fault that publishes a leaf may look at the region before.
    NoBarrierAtPublish,
    /// A change may look for leaves before its stores are seen.
    NoBarrierBeforeLeaves,
    /// A fault that finds no room does not look for the leaf again.
    NoSecondLook,
    /// A fault that fails leaves the leaf that it has made, empty.
    KeepEmptyLeaf,
    /// A fault commits without the leaf's lock.
    NoLeafLock,
    /// A fault fills a leaf that is not in the directory any more.
    FillDeadLeaf,
    /// A fault installs what it has guessed of the region, whatever that is.
    TrustGuess,
    /// A fault looks for changes in the region that it has seen first, which may
    /// have been freed.
    CountInFreed,
    /// A fault does not get through beside a change of another page of the leaf.
    LeafLeaves,
    /// A change takes entries out of page tables before it passes the leaf.
    ZapBeforePass,
    /// A change empties slots before it takes their entries out of page tables.
    EmptyBeforeZap,
    /// A change empties slots too that were filled after it has passed the leaf.
    EmptyYounger,
    /// A change stores the regions after it has passed the leaves.
    StoreLate,
    /// A region is in use before the pages of another are out of its place.
    ReplaceAtOnce,
    /// A move has no place for a page that came when it had looked which there are.
    NoLateLeaf,
    /// A leaf that a move is about to put a page into goes with its last page.
    NoReserve,
    /// A move unlocks a leaf that it publishes before others may look at regions.
    UnlockEarly,
    /// Stocks that are open are looked at, to say that a count is full.
    LookAtOpenStocks,
    /// The total is not asked again behind the stocks.
    AskTotalOnce,
    /// Stocks of others are not used at the limit.
    KeepStocks,
    /// A lowered limit leaves stocks as they are.
    RecallNothing,
    /// What somebody else has reserved is changed.
    IgnoreReserved,
    /// Who waits has not said that nobody may change anything.
    ReserveNothing,
    /// Who may have to wait does not queue for it.
    NoQueue,
    /// Who has queued because something was reserved does not stay in the line.
    LetQueueGo,
    /// Who waits keeps the lock.
    KeepLock,
}

impl Bug {
    /// Those of the count of pages.
    pub const OF_COUNT: [Self; 4] = [
        Self::LookAtOpenStocks,
        Self::AskTotalOnce,
        Self::KeepStocks,
        Self::RecallNothing,
    ];

    /// Those of what can be reserved.
    pub const OF_RESERVE: [Self; 5] = [
        Self::IgnoreReserved,
        Self::ReserveNothing,
        Self::NoQueue,
        Self::LetQueueGo,
        Self::KeepLock,
    ];

    /// Those of the range lock.
    pub const OF_RANGE_LOCK: [Self; 14] = [
        Self::OwnPlaceOnly,
        Self::FirstSpinLockOnly,
        Self::NoArrivalOrder,
        Self::LeaveWhenGranted,
        Self::PendingSetLate,
        Self::TouchAfterGrant,
        Self::GrantedStoreRelaxed,
        Self::GrantedLoadRelaxed,
        Self::PendingSubRelaxed,
        Self::TrimForgets,
        Self::TrimLetsAllPass,
        Self::DowngradeForgets,
        Self::DowngradeLetsAllPass,
        Self::NoMark,
    ];

    /// Those of the locks of objects. From [`Self::FindRelaxed`] on they are in the steps
    /// of the models.
    pub const OF_LOCK_SETS: [Self; 15] = [
        Self::IgnoreDraining,
        Self::IgnoreNumber,
        Self::OneLookOnly,
        Self::LastIsSilent,
        Self::NewNotLocked,
        Self::FirstLookRelaxed,
        Self::CountInRelaxed,
        Self::CountOutRelaxed,
        Self::DrainRelaxed,
        Self::DrainedRelaxed,
        Self::DrainEndRelaxed,
        Self::BeginRelaxed,
        Self::EndRelaxed,
        Self::FindRelaxed,
        Self::FreeAtOnce,
    ];

    /// Those of faults, and of changes beside them. From [`Self::NoLeafLock`] on they
    /// are in the steps of the models.
    pub const OF_FAULTS: [Self; 19] = [
        Self::NoValidation,
        Self::InstallLeaving,
        Self::NoBarrierAtPublish,
        Self::NoBarrierBeforeLeaves,
        Self::NoSecondLook,
        Self::KeepEmptyLeaf,
        Self::NoLeafLock,
        Self::FillDeadLeaf,
        Self::TrustGuess,
        Self::CountInFreed,
        Self::LeafLeaves,
        Self::ZapBeforePass,
        Self::EmptyBeforeZap,
        Self::EmptyYounger,
        Self::StoreLate,
        Self::ReplaceAtOnce,
        Self::NoLateLeaf,
        Self::NoReserve,
        Self::UnlockEarly,
    ];
}
