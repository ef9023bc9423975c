// SPDX-License-Identifier: GPL-2.0-only
//! Targets that are broken on purpose, each in one way. The oracle must catch
//! every one of them.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Features, LinuxTarget, Pages, Target, To, View};
use crate::access::Signal;
use crate::{Advice, Placement, Prot, Source};

/// How it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    Nothing,
    /// UNMAP leaves the last page mapped (C2).
    SkipsUnmap,
    /// A replacing MAP leaves the old pages (C4).
    SkipsReplace,
    /// A fresh page is not zero (C4).
    MapsDirty,
    /// A fresh page has the content of another page (C4).
    MapsRecycled,
    /// A change also empties the page after it (C5).
    LosesNeighbour,
    /// A region for loads can be stored to (C2).
    IgnoresProtection,
    /// The last page of a MAP is not there (C3).
    MapsShort,
    /// A SHARED region is anonymous memory (C5).
    SharesNothing,
    /// A PRIVATE region is a SHARED one.
    SharesPrivate,
    /// A PRIVATE region is anonymous memory (C4).
    ForgetsFile,
    /// PROTECT leaves the last page as it was (C2).
    ProtectsShort,
    /// PROTECT empties the last page (C5).
    ProtectEmpties,
    /// PROTECT changes what comes before a hole, and then fails (C7).
    ProtectStops,
    /// DONTNEED leaves the last page (C4).
    DiscardsShort,
    /// DONTNEED discards what comes before a hole, and then fails (C7).
    DiscardStops,
    /// WILLNEED empties the last page (C5).
    FillEmpties,
    /// Shrinking leaves the last page mapped (C2).
    ShrinksShort,
    /// What a region grows by has the content of its last page (C4).
    GrowsRecycled,
    /// A move leaves something mapped where the first page was (C2).
    MoveLeaves,
    /// A move loses the content of the first page (C5).
    MoveEmpties,
    /// A move mixes up the first two pages (C4).
    MoveSwaps,
    /// A move forgets the protection (C2).
    MoveUnprotects,
}

/// Linux's memory, with one fault, at one call in `1/one_in`.
#[derive(Debug)]
pub struct Busted {
    inner: LinuxTarget,
    fault: Fault,
    one_in: u64,
    calls: AtomicU64,
}

impl Busted {
    /// `pages` pages with this fault.
    pub fn new(pages: u32, fault: Fault, one_in: u64) -> io::Result<Busted> {
        let inner = LinuxTarget::new(pages)?;
        Ok(Busted {
            inner,
            fault,
            one_in,
            calls: AtomicU64::new(0),
        })
    }

    /// True if this is a call at which `fault` strikes.
    fn strikes(&self, fault: Fault) -> bool {
        self.fault == fault && self.calls.fetch_add(1, Relaxed) % self.one_in == 0
    }

    /// Empties the page, unless it is a memfd's.
    fn clear(&self, page: u32) {
        let _ = self.inner.advise(page..page + 1, Advice::DontNeed);
    }

    fn copy(&self, from: u32, to: u32) {
        for byte in (0..4096).step_by(8) {
            self.set_word(to, byte, self.word(from, byte));
        }
    }

    fn swap(&self, a: u32, b: u32) {
        for byte in (0..4096).step_by(8) {
            let word = self.word(a, byte);
            self.set_word(a, byte, self.word(b, byte));
            self.set_word(b, byte, word);
        }
    }

    fn has_no_hole(&self, pages: &Range<u32>) -> bool {
        self.inner.advise(pages.clone(), Advice::WillNeed).is_ok()
    }

    /// The pages before the first hole, if there are any.
    fn head(&self, pages: Range<u32>) -> Option<Range<u32>> {
        let hole = |page: &u32| {
            self.inner
                .advise(*page..page + 1, Advice::WillNeed)
                .is_err()
        };
        let hole = pages.clone().find(hole)?;
        (hole > pages.start).then_some(pages.start..hole)
    }

    /// The source of a MAP, or what it is taken for.
    fn source<'fd>(&self, source: Source<'fd>) -> Source<'fd> {
        match source {
            Source::Shared(..) if self.strikes(Fault::SharesNothing) => Source::Anon,
            Source::Private(..) if self.strikes(Fault::ForgetsFile) => Source::Anon,
            Source::Private(fd, at) if self.strikes(Fault::SharesPrivate) => Source::Shared(fd, at),
            source => source,
        }
    }

    fn word(&self, page: u32, byte: usize) -> u64 {
        let view = self.inner.views()[0];
        view.area
            .load(view.byte(page, byte).expect("a page"))
            .unwrap_or(0)
    }

    fn set_word(&self, page: u32, byte: usize, value: u64) {
        let view = self.inner.views()[0];
        // An unmapped or read-only page stays as it is.
        let _ = view
            .area
            .store(view.byte(page, byte).expect("a page"), value);
    }
}

impl Target for Busted {
    fn features(&self) -> Features {
        self.inner.features()
    }

    fn pages(&self) -> u32 {
        self.inner.pages()
    }

    fn unmapped_signal(&self) -> Signal {
        self.inner.unmapped_signal()
    }

    fn map(
        &self,
        pages: Range<u32>,
        prot: Prot,
        placement: Placement,
        source: Source<'_>,
    ) -> io::Result<u32> {
        let source = self.source(source);
        if self.strikes(Fault::SkipsReplace) {
            return Ok(pages.start);
        }
        if self.strikes(Fault::IgnoresProtection) {
            return self.inner.map(pages, Prot::READ_WRITE, placement, source);
        }
        self.inner.map(pages.clone(), prot, placement, source)?;
        let last = pages.end - 1;
        if self.strikes(Fault::MapsShort) {
            self.inner.unmap(last..pages.end)?;
        }
        if self.strikes(Fault::MapsDirty) {
            self.set_word(last, 4088, 0x0123_4567_89ab_cdef);
        }
        if self.strikes(Fault::MapsRecycled) {
            let from = if pages.start > 0 {
                pages.start - 1
            } else {
                pages.end % self.pages()
            };
            self.copy(from, last);
        }
        if self.strikes(Fault::LosesNeighbour) {
            for byte in (0..4096).step_by(8) {
                self.set_word(pages.end % self.pages(), byte, 0);
            }
        }
        Ok(pages.start)
    }

    fn unmap(&self, pages: Range<u32>) -> io::Result<()> {
        let cut = u32::from(self.strikes(Fault::SkipsUnmap));
        if pages.end - cut == pages.start {
            return Ok(());
        }
        self.inner.unmap(pages.start..pages.end - cut)
    }

    fn protect(&self, pages: Range<u32>, prot: Prot) -> io::Result<()> {
        if let (true, Some(head)) = (self.fault == Fault::ProtectStops, self.head(pages.clone())) {
            self.inner.protect(head, prot)?;
        }
        let last = pages.end - 1;
        let more = last > pages.start && self.has_no_hole(&pages);
        if more && self.strikes(Fault::ProtectsShort) {
            return self.inner.protect(pages.start..last, prot);
        }
        self.inner.protect(pages, prot)?;
        if self.strikes(Fault::ProtectEmpties) {
            self.clear(last);
        }
        Ok(())
    }

    fn remap(&self, old: Range<u32>, count: u32, to: To) -> io::Result<u32> {
        let first = self.inner.remap(old.clone(), count, to)?;
        let length = old.end - old.start;
        let rw = Prot::READ_WRITE;
        if let To::Fixed(new) = to {
            if self.strikes(Fault::MoveLeaves) {
                let page = old.start..old.start + 1;
                self.inner.map(page, rw, Placement::Fixed, Source::Anon)?;
            }
            if self.strikes(Fault::MoveEmpties) {
                self.clear(new);
            }
            if count > 1 && self.strikes(Fault::MoveSwaps) {
                self.swap(new, new + 1);
            }
            if self.strikes(Fault::MoveUnprotects) {
                self.inner.protect(new..new + 1, rw)?;
            }
        } else if count < length && self.strikes(Fault::ShrinksShort) {
            let page = old.end - 1..old.end;
            self.inner.map(page, rw, Placement::Fixed, Source::Anon)?;
        } else if count > length && self.strikes(Fault::GrowsRecycled) {
            self.copy(old.end - 1, old.end);
        }
        Ok(first)
    }

    fn advise(&self, mut pages: Range<u32>, advice: Advice) -> io::Result<()> {
        if advice == Advice::WillNeed {
            self.inner.advise(pages.clone(), advice)?;
            if self.strikes(Fault::FillEmpties) {
                self.clear(pages.end - 1);
            }
            return Ok(());
        }
        if let (true, Some(head)) = (self.fault == Fault::DiscardStops, self.head(pages.clone())) {
            self.inner.advise(head, advice)?;
        }
        let more = pages.end - pages.start > 1 && self.has_no_hole(&pages);
        if more && self.strikes(Fault::DiscardsShort) {
            pages.end -= 1;
        }
        self.inner.advise(pages, advice)
    }

    fn query(&self, page: u32) -> io::Result<Option<Pages>> {
        self.inner.query(page)
    }

    fn views(&self) -> Vec<View<'_>> {
        self.inner.views()
    }
}
