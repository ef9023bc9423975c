// SPDX-License-Identifier: GPL-2.0-only
//! Targets that are broken on purpose, each in one way. The oracle must catch
//! every one of them.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Features, LinuxTarget, Pages, Target, View};
use crate::access::Signal;
use crate::{Placement, Prot, Source};

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
            for byte in (0..4096).step_by(8) {
                self.set_word(last, byte, self.word(from, byte));
            }
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

    fn query(&self, page: u32) -> io::Result<Option<Pages>> {
        self.inner.query(page)
    }

    fn views(&self) -> Vec<View<'_>> {
        self.inner.views()
    }
}
