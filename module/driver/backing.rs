// SPDX-License-Identifier: GPL-2.0-only

//! Backings: what the pages of a region are made of.
//!
//! | backing | a page is | its slot has | reference to the page |
//! | --- | --- | --- | --- |
//! | `ANON` | zeroed at first touch | the page | the slot's |
//! | `SHARED` | the memfd's page, looked up in its cache at each fault | a mark | each entry's |
//! | `PRIVATE` | copied from the file at first touch | the page | the slot's |
//!
//! The slot of a `SHARED` page has no reference to it: `kern/frozen.rs` says why
//! none is needed, and with one a read-only region would hold off
//! `F_SEAL_WRITE`, which waits for all references that are not entries.

use kernel::{prelude::*, sync::Arc};

use super::{directory::SpacePage, mistake::Mistake};
use crate::{
    kern::{
        frozen::{FrozenMemfd, Hold, Unheld, Writing},
        held_file::{HeldFile, ReadError, Reading, Want},
        page_ref::{FreshPage, PageRef},
        uapi,
        vm_ops::VmFault,
    },
    portable::{
        fault::Cause,
        interval::{Interval, PAGE_SHIFT},
        protection::{Access, Protection},
    },
};

/// The kinds of backings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Anon,
    Shared,
    Private,
}

impl Kind {
    /// Its name, as users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anon => "anon",
            Self::Shared => "shared",
            Self::Private => "private",
        }
    }

    /// The `FAULTLINE_BACKING_*` value.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Anon => uapi::FAULTLINE_BACKING_ANON,
            Self::Shared => uapi::FAULTLINE_BACKING_SHARED,
            Self::Private => uapi::FAULTLINE_BACKING_PRIVATE,
        }
    }
}

/// What the pages of a region are made of.
///
/// Two are equal if their regions could be parts of one region: the same open
/// file, with the same rights, each page at the same place in it.
///
/// `delta` is the page of the file minus the page of the space, wrapping: it is
/// the same for every part of a region.
#[derive(Clone)]
pub(crate) enum Backing {
    /// Zeroes.
    Anon,
    /// The pages of a memfd.
    Shared { memfd: Hold, delta: u64 },
    /// Copies of the pages of a file.
    Private { file: Arc<HeldFile>, delta: u64 },
}

/// The last byte of any file, and one more.
const FILE_END: u64 = i64::MAX as u64;

/// A part of a file that is to back a region, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct FileRange {
    pub(crate) fd: i32,
    /// Page aligned.
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl FileRange {
    /// The file, open for reading. `EBADF`, `EACCES`, or what `verify` says. May
    /// sleep.
    fn open(self) -> Result<HeldFile> {
        let file = HeldFile::from_fd(self.fd)?;
        if !file.is_open_for(Want::Read) {
            return Err(EACCES);
        }
        verify(&file, Want::Read, self.offset, self.length)?;
        Ok(file)
    }

    /// The delta of a region at page 0.
    fn delta(self) -> u64 {
        self.offset >> PAGE_SHIFT
    }
}

/// `EOVERFLOW` if the bytes are beyond any file, or what security modules say.
/// May sleep.
fn verify(file: &HeldFile, want: Want, offset: u64, length: u64) -> Result {
    let end = offset.checked_add(length);
    if end.is_none_or(|end| end > FILE_END) {
        return Err(EOVERFLOW);
    }
    file.verify(want, offset, length)
}

impl Backing {
    /// The pages of a memfd, for a region at page 0 with `protection`: see the
    /// errors of MAP. May sleep; the caller holds nothing that a fault takes.
    pub(crate) fn shared(range: FileRange, protection: Protection) -> Result<Self> {
        let file = range.open()?;
        if !file.is_memfd() {
            return Err(ENODEV);
        }
        let writing = if protection.allows(Access::Write) {
            verify(&file, Want::Write, range.offset, range.length)?;
            Writing::Needed
        } else {
            Writing::IfAllowed
        };
        Ok(Self::Shared {
            memfd: Hold::new(file, writing)?,
            delta: range.delta(),
        })
    }

    /// Copies of a file's pages, for a region at page 0: see the errors of MAP.
    /// May sleep.
    pub(crate) fn private(range: FileRange) -> Result<Self> {
        let file = range.open()?;
        if !file.has_cached_pages() {
            return Err(ENODEV);
        }
        Ok(Self::Private {
            file: Arc::new(file, GFP_KERNEL_ACCOUNT)?,
            delta: range.delta(),
        })
    }

    /// The backing of the same pages of the file, `pages` further up in the
    /// space; down, as a wrapped negative number.
    pub(crate) fn moved_up(&self, pages: u64) -> Self {
        let mut moved = self.clone();
        match &mut moved {
            Self::Anon => (),
            Self::Shared { delta, .. } | Self::Private { delta, .. } => {
                *delta = delta.wrapping_sub(pages);
            }
        }
        moved
    }

    /// Asks for more pages of the file, those that would stand at `pages` of the
    /// space, as MAP does. `EOVERFLOW` if they are beyond any file, and what
    /// security modules say. May sleep.
    pub(crate) fn verify(&self, pages: Interval, protection: Protection) -> Result {
        let offset = self.file_page(pages.start()) << PAGE_SHIFT;
        let length = pages.pages() << PAGE_SHIFT;
        match self {
            Self::Anon => Ok(()),
            Self::Shared { memfd, .. } => {
                if protection.allows(Access::Write) {
                    verify(memfd.file(), Want::Write, offset, length)?;
                }
                verify(memfd.file(), Want::Read, offset, length)
            }
            Self::Private { file, .. } => verify(file, Want::Read, offset, length),
        }
    }

    /// What is equal to this, but holds nothing of the file: not for a region.
    pub(crate) fn without_hold(&self) -> Self {
        match self {
            Self::Shared { memfd, delta } => Self::Shared {
                memfd: memfd.without_hold(),
                delta: *delta,
            },
            Self::Anon | Self::Private { .. } => self.clone(),
        }
    }

    /// Whether a region with this backing may have `protection`.
    pub(crate) fn may_have(&self, protection: Protection) -> bool {
        match self {
            Self::Shared { memfd, .. } => memfd.may_write() || !protection.allows(Access::Write),
            Self::Anon | Self::Private { .. } => true,
        }
    }

    /// The page of the file that stands at page `page` of the space; 0 for `Anon`.
    pub(crate) fn file_page(&self, page: u64) -> u64 {
        match self {
            Self::Anon => 0,
            Self::Shared { delta, .. } | Self::Private { delta, .. } => page.wrapping_add(*delta),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Anon => Kind::Anon,
            Self::Shared { .. } => Kind::Shared,
            Self::Private { .. } => Kind::Private,
        }
    }

    /// Where page `page` of the space comes from. Does not sleep, so it can be
    /// asked under RCU; what is returned can be used behind it.
    pub(crate) fn source(&self, page: u64) -> Source {
        let index = self.file_page(page);
        match self {
            Self::Anon => Source::Zero,
            Self::Shared { memfd, .. } => Source::Shared(memfd.memfd().clone(), index),
            Self::Private { file, .. } => Source::Private(file.clone(), index, Reading::Allowed),
        }
    }

    /// What a speculative fault needs to get page `page` of the space ready, whose
    /// slot `seems_empty`. Does not sleep, and takes no reference but to pages:
    /// to be asked under RCU.
    pub(crate) fn look(
        &self,
        page: u64,
        access: Access,
        seems_empty: bool,
    ) -> Result<Sight, Cause> {
        let index = self.file_page(page);
        match self {
            Self::Shared { memfd: hold, .. } => {
                let memfd = hold.memfd();
                if access == Access::Write && !memfd.times_are_current() {
                    return Err(Cause::NotSpeculable);
                }
                // A large folio may reach beyond the end of the file.
                hold.file().valid_bytes(index).ok_or(Cause::NotCached)?;
                let page = memfd.cached_page(index).ok_or(Cause::NotCached)?;
                Ok(Sight::Cached(Some(page)))
            }
            Self::Anon | Self::Private { .. } if !seems_empty => Ok(Sight::Slot),
            Self::Anon => Ok(Sight::Zero),
            Self::Private { file, .. } => file
                .cached_page(index)
                .map(Sight::Copy)
                .ok_or(Cause::NotCached),
        }
    }

    /// Whether what was seen before is what page `page` of the space is made of;
    /// `new` is what was got ready for it. If so, how many bytes of it are those of
    /// a file; none of one that is not copied. Asked under RCU, with the leaf locked:
    /// a region that is found stays until that is unlocked.
    pub(crate) fn still_has(
        &self,
        page: u64,
        sight: &Sight,
        new: Option<&NewPage>,
    ) -> Option<usize> {
        let index = self.file_page(page);
        match (self, sight, new) {
            (Self::Anon | Self::Private { .. }, Sight::Slot, _) => Some(0),
            (Self::Anon, Sight::Zero, _) => Some(0),
            (Self::Private { file, .. }, Sight::Copy(from), _) => {
                // The end first: one that comes with another page is not this page's.
                let valid = file.valid_bytes(index)?;
                let has_page = file.has_page(from, index) || Mistake::SkipFile.is_made();
                has_page.then_some(valid)
            }
            // The memfd is frozen as long as the region stays, so that the page does,
            // and the end of the file.
            (Self::Shared { memfd, .. }, _, Some(NewPage::Cached(page))) => {
                let file = memfd.file();
                let is_there = file.has_page(page, index) && file.valid_bytes(index).is_some();
                is_there.then_some(0)
            }
            _ => None,
        }
    }

    /// Gives up what the region of this backing holds of its file, to be called
    /// once the region is removed and its pages are discarded. Returns what is
    /// to be thawed then. Without it, that is done when the region is freed, a
    /// moment later.
    pub(crate) fn give_up(&self) -> Option<Unheld> {
        match self {
            Self::Shared { memfd, .. } => memfd.give_up(),
            Self::Anon | Self::Private { .. } => None,
        }
    }

    /// As `give_up`, and thaws it. May sleep; the caller holds nothing that a
    /// fault takes.
    pub(crate) fn release(&self) {
        if let Some(unheld) = self.give_up() {
            unheld.thaw();
        }
    }
}

impl PartialEq for Backing {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anon, Self::Anon) => true,
            (Self::Shared { memfd: a, delta: x }, Self::Shared { memfd: b, delta: y }) => {
                a.is_alike(b) && x == y
            }
            (Self::Private { file: a, delta: x }, Self::Private { file: b, delta: y }) => {
                a.is_same_open(b) && x == y
            }
            _ => false,
        }
    }
}

/// Where one page of a region comes from.
pub(crate) enum Source {
    /// Zeroes.
    Zero,
    /// A page of a memfd.
    Shared(Arc<FrozenMemfd>, u64),
    /// A copy of a page of a file.
    Private(Arc<HeldFile>, u64, Reading),
}

/// A page for a slot.
pub(crate) enum NewPage {
    /// To be put into the slot.
    Own(SpacePage),
    /// A page of a memfd: the slot is only marked.
    Cached(PageRef),
    /// To become `Own` with what a page of a file has then.
    Blank(Option<FreshPage>),
}

/// What a speculative fault has seen of a region.
pub(crate) enum Sight {
    /// Its page is in the slot.
    Slot,
    /// Zeroes.
    Zero,
    /// The page of a memfd; none any more when it has been got ready.
    Cached(Option<PageRef>),
    /// A page of a file, to be copied.
    Copy(PageRef),
}

impl Sight {
    /// The page. May sleep, but does no I/O. Charged to the memory cgroup.
    pub(crate) fn get_ready(&mut self) -> Result<NewPage, Cause> {
        match self {
            // Nothing is needed.
            Self::Slot => Err(Cause::Raced),
            Self::Zero => SpacePage::zeroed()
                .map(NewPage::Own)
                .map_err(|_| Cause::NoMemory),
            Self::Cached(page) => page.take().map(NewPage::Cached).ok_or(Cause::Raced),
            Self::Copy(_) => FreshPage::alloc(GFP_KERNEL_ACCOUNT)
                .map(|page| NewPage::Blank(Some(page)))
                .map_err(|_| Cause::NoMemory),
        }
    }
}

fn want(access: Access) -> Want {
    match access {
        Access::Read => Want::Read,
        Access::Write => Want::Write,
    }
}

impl Source {
    /// The kind of the backing it is of.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Zero => Kind::Anon,
            Self::Shared(..) => Kind::Shared,
            Self::Private(..) => Kind::Private,
        }
    }

    /// Whether the page belongs to the page cache, which has to be asked for it
    /// at each fault.
    pub(crate) fn is_cached(&self) -> bool {
        matches!(self, Self::Shared(..))
    }

    /// The same, which says `NotCached` rather than read a file.
    pub(crate) fn without_reading(self) -> Self {
        match self {
            Self::Private(file, index, _) => Self::Private(file, index, Reading::Refused),
            other => other,
        }
    }

    /// Has the fault made again when what was `NotCached` is read.
    pub(crate) fn read_and_retry(self, fault: &mut VmFault<'_>) {
        if let Self::Private(file, index, _) = self {
            fault.retry_behind_read(file, index);
        }
    }

    /// The page, which `access` can be made to. May sleep and do I/O: the
    /// caller has locked the page in the space, so that its region stays, but
    /// no leaf. Charged to the memory cgroup.
    pub(crate) fn get(&self, access: Access) -> Result<NewPage, ReadError> {
        match self {
            Self::Zero => SpacePage::zeroed()
                .map(NewPage::Own)
                .map_err(|_| ReadError::NoMemory),
            Self::Shared(memfd, index) => memfd.page(*index, want(access)).map(NewPage::Cached),
            Self::Private(file, index, reading) => file
                .copy_page(*index, *reading)
                .map(|page| NewPage::Own(SpacePage::new(page))),
        }
    }
}
