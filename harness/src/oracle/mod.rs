// SPDX-License-Identifier: GPL-2.0-only
//! The oracle: what an access to a page may see, and what it must not.
//!
//! # Roles
//! The pages under test are cut into *areas*. Each area is changed (mapped,
//! unmapped) by one *remapper* only; any *accessor* loads from and stores to
//! any page at any time. Accessor `t` is the only one that stores to its own
//! word of a page; words without a writer stay zero for ever.
//!
//! # The state of a page
//! One atomic word per page ([`State`]): an *epoch* that grows with every
//! change, the *origin* (the epoch of the change that made the page's present
//! content, or brought it here) and a kind. It never takes the same value twice,
//! because the epoch only grows, and within an epoch the kind goes from
//! `Changing` or `Arriving` to one other and stays.
//!
//! A remapper
//!
//! 1. sets all pages of the range to `Changing` with the next epoch, or to
//!    `Arriving` with the one after it where content with a past will come to
//!    the page (a move, a memfd), and passes a full fence (R1);
//! 2. makes the call;
//! 3. notes what the contents are now, and then sets the pages to what they are
//!    now, with release (R2).
//!
//! PROTECT keeps the origin, and DONTNEED the kind. What must change nothing is
//! not announced at all: WILLNEED, and calls that must fail (C7). So any access
//! that sees something of them is judged under a constant state.
//!
//! An accessor reads the state with acquire (A1), accesses the page, passes a
//! full fence if that was a store, and reads the state again (A2).
//!
//! *Both reads give the same word, not `Changing`.* Then the whole access lay
//! between the end of the change that published the state and the start of the
//! next: A1 reads R2's word, so the call that came before it is over. A2 does
//! not see the next R1. For a store this needs the two fences, as in Dekker's
//! algorithm: either A2 sees R1, or the store was visible to all before the
//! next call began. A load is never reordered with the later load A2 (x86). So
//! the page had exactly this state all through the access, and what it must do
//! is known ([`judge_outcome`]): succeed, SIGSEGV, or SIGBUS. This is how C2 is
//! tested: a translation left behind makes an access succeed under `Unmapped`.
//!
//! *The words differ, or are `Changing`.* Then whether the access faults is
//! open (counted as undecided), but what a load saw is still judged against
//! what is known of the page's past.
//!
//! # The content of a page
//! A stamp names the page that it was stored through, writer and a sequence number per page and writer. For
//! each page and writer three words are kept, written by the writer only:
//!
//! * `begun`: the last sequence number it may have stored, written before the
//!   store; a stamp above it comes out of nowhere.
//! * `ended`: the last store that is over, with the epoch seen at A2: it did
//!   not land in any content whose origin is later (R1 of that origin was not
//!   yet visible, so by the same fences the call had not begun).
//! * `sure`: the last store that succeeded under one constant state, with its
//!   epoch: it landed in the content the page had then.
//!
//! A loader reads `sure` and `ended` between A1 and the load, `begun` between
//! the load and A2; each pairs its acquire with the writer's release.
//!
//! * C5, lost write: the state was constant with origin `o`, and `sure` has an
//!   epoch of `o` or later: no change discarded that store, so its stamp or a
//!   later one must be there.
//! * C4, stale data: a stamp whose store ended in an epoch before the origin of
//!   the content that can have been loaded (at least the origin at A1). A store
//!   earlier than `ended` was over when `ended`'s began, so it has at most that
//!   epoch.
//! * C4, foreign data: no stamp at all, a stamp of another page, writer or run,
//!   or anything but zero in a word that nobody writes.
//!
//! What is not proved is not reported: a store in flight across a change may
//! land before or after it, and such a stamp is accepted in both.
//!
//! # Contents with a past
//! A [`Content`] knows what its words are that nobody stored to (zero, or those
//! of a file), and the last two pages it was moved from. Since a stamp names the
//! page it was stored through, whatever was mapped there, stamps that may be in
//! a content are those of its page, and of the pages it had before. For each
//! writer there is a *floor*: a store that the content had for sure when it came
//! here, taken from `sure` by the remapper that moves it. Under a constant state
//! this must be there, or a later one: through this page, through the same one,
//! or through one that the content had after that.
//!
//! The content of a memfd stays when its region goes, and is at one page only
//! (page `n` of the space shows page `n` of the file, and is not moved); its
//! floor waits in the shadow for the next region that shows it, and for the end
//! of the run, when the file is read.
//!
//! All this is constant under a constant state. A loader that saw no more than
//! one epoch go by, and no `Arriving`, knows that nothing came: the content is
//! what it read before the load, or fresh. It reads it between A1 and the load,
//! so it is not younger than what the load saw. Otherwise only impossible data
//! are reported: no stamp, or one that its writer has not begun.
//!
//! # What it cannot see
//! * A stamp of a page that the content has left, stored there after it left
//!   (an old translation that can still be written): unless the store itself was
//!   judged, which it is under a constant state.
//! * A stale stamp in a content that was at the same page before, or at more
//!   than two: floors are judged there, ages are not.
//! * A store to the same page under another region that shows up in a memfd.
//! * Moves to a place of the module's choice (MAYMOVE), moves of memfds, and the
//!   page limit are left to other tests.
//!
//! # What a remapper knows
//! It alone changes its pages, so between steps 2 and 3 it may judge its own
//! accesses as if the new state were published already.

mod content;
mod judge;
mod mismatch;
mod shadow;
mod stamp;
mod state;
mod trail;

pub use content::{Content, Fresh, pattern};
pub use judge::{Expected, Look, Writer, Wrong, judge_outcome, judge_value};
pub use mismatch::{Evidence, Mismatches};
pub use shadow::{Known, Shadow};
pub use stamp::Stamp;
pub use state::{Kind, State};
pub use trail::{Cursor, Event, Op, Trail};
