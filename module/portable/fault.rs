// SPDX-License-Identifier: GPL-2.0-only

//! How a fault gets its page, under a lock or by speculation, and how a change
//! empties a leaf beside it.
//!
//! ```text
//!  fault:  snapshot -> prepare -> lock the leaf -> validate -> commit
//!  change: store the regions -> pass each leaf -> zap -> empty the slots
//! ```
//!
//! A fault under a lock of the space knows that its region stays; its `validate`
//! has nothing to look at. One that speculates holds nothing: what it has seen
//! of the region is only good for getting a page ready. With the leaf locked it
//! looks again, and goes by what it sees then.
//!
//! # Why that is enough
//!
//! Of a change and a commit of one page, one has the leaf's lock first.
//!
//! - The commit: the change finds the page in its slot when it passes the leaf,
//!   and zaps the entry behind it.
//! - The change: what it has stored before is seen by `validate`, which looks
//!   with the leaf locked.
//!
//! *Absent leaves.* A change passes over a leaf that is not there. Then the fault
//! that makes it must see what the change has stored: the change stores regions,
//! then looks for leaves; the fault publishes the leaf, then looks at regions.
//! Each has a full barrier in between ([`full_barrier`]), so one sees the other.
//! A leaf is published locked, so a change that finds it waits for the commit, and a
//! fault that finds one which a REMAP has published has that barrier behind it.
//!
//! *Guesses.* As what is seen before the leaf is locked decides nothing, it need not
//! be seen. A leaf knows what it was filled with last; a fault that finds its slot
//! empty gets another page of that kind ready and looks at the region once, with the
//! leaf locked. If that is of another kind, it begins anew, and looks first; and so it
//! does if the page is not to be had at once: a wrong guess must not cost more than
//! time. Behind a fault that has failed nothing is guessed until a slot is filled.
//!
//! *Copies.* What a page has of a file is read with the leaf locked, and once the
//! page is found to be the file's: read before, it could be older than a change that
//! has emptied the slot meanwhile. The file may lose the page during the copy. It is
//! referenced, so it becomes no other page, and each byte of the copy that is within the
//! file is one that this had when the leaf was locked, or has got since. What a mapping
//! stores beyond an end that moves meanwhile may be seen, as by read(2) and by a fault
//! under a lock, which look only before they copy, too.
//!
//! *Slots.* A change that leaves the region as it is (DONTNEED) marks the slots
//! that it is about to empty when it passes the leaf. Nothing is installed from
//! such a slot, and what is put into others of the range meanwhile is younger
//! than the change. A change that puts another region in place of one that has
//! pages stores it *pending* until the slots are empty; nothing is installed
//! for a pending region. So what is in a slot that is not marked always belongs
//! to the region that is there, if that is not pending.
//!
//! *W, R, W.* A protection that changes and changes back while a fault is in
//! flight does no harm: nothing that the fault has seen before the leaf is locked
//! decides what is installed, and the page is that in the slot.
//!
//! *Lifetime.* What is validated is looked up anew, under RCU: no count in an
//! object that may have been freed.

use super::{
    bug::Bug,
    sync::{full_barrier, is_busted},
};

/// Declares the causes with the names that people and events know them by.
macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a speculation was given up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Cause {
            $($(#[$doc])* $variant,)*
        }

        impl Cause {
            /// Every cause, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

causes! {
    /// A change of the page is under way.
    WriterActive = "writer_active",
    /// There is no region, or none yet.
    NoRegion = "no_region",
    /// Only the locked path can do that.
    NotSpeculable = "not_speculable",
    /// The page is made of something else than when it was looked at first.
    Stale = "stale",
    /// The region forbids the access.
    Denied = "denied",
    /// The leaf has been removed, again and again.
    Detached = "detached",
    /// The file's page is not in the page cache, or busy.
    NotCached = "not_cached",
    /// The wait for the leaf was killed.
    LeafBusy = "leaf_busy",
    /// The page, or its page table, has gone meanwhile.
    Raced = "raced",
    /// There is no memory, or as many pages as there may be.
    NoMemory = "no_memory",
}

/// What a fault needs of its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Only what the slot has.
    Slot,
    /// A page for the slot, or from a page cache.
    Page,
}

/// What was got ready for a slot.
#[derive(Debug)]
pub enum Prepared<P> {
    /// A page.
    Page(P),
    /// Nothing: there are as many pages as there may be, if the slot is empty.
    NoRoom,
}

/// Whether a page that was got ready is of the kind that the region has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is, or none was.
    Fits,
    /// It was a guess, and wrong.
    Misguessed,
}

/// What a slot has. The leaf is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing.
    Empty,
    /// A page, or the mark that entries for one may be installed.
    Full,
    /// As `Full`, but a change is about to empty it.
    Leaving,
}

/// The steps of a fault, which a kind of fault supplies.
pub trait Steps {
    /// How it fails.
    type Error;
    /// A page that has been got ready.
    type Page;
    /// A reference to a leaf.
    type Leaf;
    /// A leaf that is locked.
    type Locked<'l>;

    /// The leaf of the page, if it is there.
    fn find_leaf(&self) -> Option<Self::Leaf>;
    /// Whether the slot had nothing a moment ago.
    fn seems_empty(&self, leaf: &Self::Leaf) -> bool;
    /// Looks at the region, for what the page is made of; or guesses it from the
    /// leaf, if the slot `seems_empty` and no guess was wrong before.
    fn snapshot(
        &mut self,
        leaf: Option<&Self::Leaf>,
        seems_empty: bool,
    ) -> Result<Need, Self::Error>;
    /// Gets the page ready, and looks at the region if what was guessed is not to be had.
    /// No leaf is locked; may sleep.
    fn prepare(&mut self, seems_empty: bool) -> Result<Prepared<Self::Page>, Self::Error>;
    /// A new leaf, in no directory.
    fn make_leaf(&self) -> Result<Self::Leaf, Self::Error>;
    /// Puts the leaf into the directory, locked. `None` if there is one already.
    fn publish<'l>(&self, leaf: &'l Self::Leaf) -> Result<Option<Self::Locked<'l>>, Self::Error>;
    /// Locks the leaf. `None` if it has been removed from the directory.
    fn lock<'l>(&self, leaf: &'l Self::Leaf) -> Result<Option<Self::Locked<'l>>, Self::Error>;
    /// Looks at the region again: whether the page that was got ready may be
    /// installed, or, if none was, that in the slot. What the page has of a file is
    /// copied into it only now. The leaf is locked.
    fn validate(&mut self, page: Option<&mut Self::Page>) -> Result<Fit, Self::Error>;
    /// What the slot has.
    fn slot(&self, locked: &Self::Locked<'_>) -> Slot;
    /// Puts the page into the slot, if it is empty, and installs the entry: for the
    /// page from a page cache, else for that in the slot. Without a page the slot
    /// is full.
    fn commit(
        &mut self,
        locked: &mut Self::Locked<'_>,
        page: Option<Self::Page>,
    ) -> Result<(), Self::Error>;
    /// Removes the leaf again if it is empty: the fault has failed, or begins anew.
    fn abort(&self, leaf: &Self::Leaf, locked: Self::Locked<'_>);
    /// The fault has to begin anew: for which it may be tired.
    fn again(&mut self, why: Again) -> Result<(), Self::Error>;
    /// The error of one that must not be installed because of this.
    fn refused(&self, why: Refusal) -> Self::Error;
}

/// Why a fault begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The leaf is not in the directory any more, or another is.
    Detached,
    /// The slot was not as it seemed.
    Raced,
    /// A guess was wrong, for the first time.
    Misguessed,
}

/// How often a speculation has begun anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries(u32);

impl Tries {
    /// So often it is tried before it is given up.
    const MOST: u32 = 3;

    /// Once more, or the cause if that was the last. See [`Steps::again`].
    pub fn again(&mut self, why: Again) -> Result<(), Cause> {
        let cause = match why {
            // Not twice.
            Again::Misguessed => return Ok(()),
            Again::Detached => Cause::Detached,
            Again::Raced => Cause::Raced,
        };
        self.0 += 1;
        (self.0 < Self::MOST).then_some(()).ok_or(cause)
    }
}

/// Why nothing is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There would be too many pages.
    NoRoom,
    /// The slot is about to be emptied.
    Leaving,
}

/// Handles a fault. Once it returns without an error, the entry is installed.
///
/// A leaf is only made for a page that there is, and does not stay if it gets none.
pub fn handle<S: Steps>(steps: &mut S) -> Result<(), S::Error> {
    let mut prepared = None;
    loop {
        let mut found = steps.find_leaf();
        let seems_empty = found.as_ref().is_none_or(|leaf| steps.seems_empty(leaf));
        if prepared.is_none() && steps.snapshot(found.as_ref(), seems_empty)? == Need::Page {
            prepared = Some(steps.prepare(seems_empty)?);
            // It may have been made meanwhile, with the page that found no room.
            if !is_busted(Bug::NoSecondLook) {
                found = found.or_else(|| steps.find_leaf());
            }
        }
        let is_new = found.is_none();
        let leaf = match (found, &prepared) {
            (Some(leaf), _) => leaf,
            (None, Some(Prepared::Page(_))) => steps.make_leaf()?,
            (None, Some(Prepared::NoRoom)) => return Err(steps.refused(Refusal::NoRoom)),
            (None, None) => {
                steps.again(Again::Raced)?;
                continue;
            }
        };
        let locked = if is_new {
            let locked = steps.publish(&leaf)?;
            behind_publish();
            locked
        } else {
            steps.lock(&leaf)?
        };
        let Some(mut locked) = locked else {
            steps.again(Again::Detached)?;
            continue;
        };
        let page = match &mut prepared {
            Some(Prepared::Page(page)) => Some(page),
            Some(Prepared::NoRoom) | None => None,
        };
        let validated = match is_busted(Bug::NoValidation) {
            true => Ok(Fit::Fits),
            false => steps.validate(page),
        };
        let committed = validated.and_then(|fit| {
            if fit == Fit::Misguessed {
                prepared = None;
                return Ok(Some(Again::Misguessed));
            }
            let page = match (steps.slot(&locked), prepared.take()) {
                (Slot::Leaving, _) if !is_busted(Bug::InstallLeaving) => {
                    return Err(steps.refused(Refusal::Leaving));
                }
                (Slot::Empty, Some(Prepared::NoRoom)) => {
                    return Err(steps.refused(Refusal::NoRoom));
                }
                (Slot::Empty, None) | (_, Some(Prepared::NoRoom)) => {
                    return Ok(Some(Again::Raced));
                }
                (_, Some(Prepared::Page(page))) => Some(page),
                (_, None) => None,
            };
            steps.commit(&mut locked, page).map(|()| None)
        });
        let why = match committed {
            Ok(None) => return Ok(()),
            Ok(Some(why)) => Ok(why),
            Err(error) => Err(error),
        };
        // It may be new, and get nothing.
        if !is_busted(Bug::KeepEmptyLeaf) {
            steps.abort(&leaf, locked);
        }
        steps.again(why?)?;
    }
}

/// Between the publication of a leaf and what is looked at of regions. Who
/// publishes one on behalf of faults to come has it locked meanwhile.
pub fn behind_publish() {
    if !is_busted(Bug::NoBarrierAtPublish) {
        // Pairs with the one in `before_leaves`.
        full_barrier();
    }
}

/// Between what a change stores of the regions and what it looks for of leaves.
pub fn before_leaves() {
    if !is_busted(Bug::NoBarrierBeforeLeaves) {
        // Pairs with the one in `behind_publish`.
        full_barrier();
    }
}

/// The steps of a change that empties slots of one leaf.
pub trait Emptying {
    /// Slots of the leaf that have something.
    type Bounds;

    /// Locks the leaf, marks the slots that are to be emptied as leaving, and
    /// unlocks it. Returns where they are, if there are any.
    fn pass(&mut self) -> Option<Self::Bounds>;
    /// Takes their entries out of every page table: when it has returned, no CPU
    /// has a translation of them.
    fn zap(&mut self, bounds: &Self::Bounds);
    /// Locks the leaf, empties the slots that `pass` has marked, and unlocks it.
    fn empty(&mut self, bounds: Option<Self::Bounds>);
}

/// Empties slots of a leaf. Whatever a fault had installed of them is in no page
/// table then, and nothing is in a slot twice.
pub fn empty<E: Emptying>(steps: &mut E) {
    let bounds = steps.pass();
    if let Some(bounds) = &bounds {
        steps.zap(bounds);
    }
    steps.empty(bounds);
}
