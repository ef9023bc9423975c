// SPDX-License-Identifier: GPL-2.0-only
//! A space of the device as a side.

use std::io;

use super::call::{Call, FileName, Piece, Side, Source};
use super::files::{Files, READ_ONLY_FROM};
use crate::access::Fault;
use crate::rng::Rng;
use crate::target::{DeviceTarget, Operations, Target, View};
use crate::{Backing, PAGE_SIZE, Placement, Policy, Prot};

/// Windows on the arena.
const WINDOWS: u32 = 3;

/// An arena in a space, accessed through several windows in turn.
#[derive(Debug)]
pub struct DeviceSide {
    target: DeviceTarget,
    files: Files,
    pages: u32,
    accesses: usize,
}

impl DeviceSide {
    /// An arena of so many pages. All that lies below it is taken, so that a
    /// REMAP finds the first free place in it.
    pub fn new(pages: u32, policy: Option<Policy>, rng: &mut Rng) -> io::Result<DeviceSide> {
        let target = DeviceTarget::new(pages, WINDOWS, policy, rng)?;
        let below = target.first_address();
        target
            .space()
            .map(0, below, Prot::NONE, Placement::FixedNoreplace)?;
        Ok(DeviceSide {
            target,
            files: Files::new()?,
            pages,
            accesses: 0,
        })
    }

    /// What the module can do.
    pub fn operations(&self) -> Operations {
        self.target.features().operations
    }

    /// A window that shows the page, and the byte in it.
    fn view(&mut self, page: u32, byte: usize) -> (View<'_>, usize) {
        self.accesses += 1;
        let views = self.target.views();
        let view = views[self.accesses % views.len()];
        match view.byte(page, byte) {
            Some(at) => (view, at),
            None => (views[0], page as usize * PAGE_SIZE as usize + byte),
        }
    }
}

impl Side for DeviceSide {
    fn call(&mut self, call: &Call) -> io::Result<u32> {
        let target = &self.target;
        match call.clone() {
            Call::Map {
                pages,
                prot,
                placement,
                source,
            } => target.map(pages, prot, placement, self.files.source(source)),
            Call::Unmap { pages } => target.unmap(pages.clone()).map(|()| pages.start),
            Call::Protect { pages, prot } => {
                target.protect(pages.clone(), prot).map(|()| pages.start)
            }
            Call::Remap { old, count, to } => target.remap(old, count, to),
            Call::Advise { pages, advice } => {
                target.advise(pages.clone(), advice).map(|()| pages.start)
            }
        }
    }

    fn load(&mut self, page: u32, byte: usize) -> Result<u64, Fault> {
        let (view, at) = self.view(page, byte);
        view.area.load(at)
    }

    fn store(&mut self, page: u32, byte: usize, value: u64) -> Result<(), Fault> {
        let (view, at) = self.view(page, byte);
        view.area.store(at, value)
    }

    fn regions(&mut self) -> io::Result<Vec<Piece>> {
        let mut found = Vec::new();
        let mut next = 0;
        while next < self.pages {
            let Some(region) = self.target.query(next)? else {
                break;
            };
            if region.range.is_empty() {
                // Behind the arena, and saturated.
                break;
            }
            let page = region.file_page as u32;
            let source = match region.backing {
                Backing::ANON if region.file_page == 0 => Source::Anon,
                Backing::PRIVATE => Source::File(FileName::Private, page),
                Backing::SHARED if page >= READ_ONLY_FROM => Source::File(FileName::ReadOnly, page),
                Backing::SHARED => Source::File(FileName::Shared, page),
                _ => {
                    return Err(io::Error::other(format!(
                        "QUERY at page {next}: {region:?}"
                    )));
                }
            };
            next = region.range.end;
            found.push(Piece {
                pages: region.range,
                prot: region.prot,
                source,
            });
        }
        Ok(found)
    }

    fn file_word(&self, file: FileName, page: u32, byte: usize) -> io::Result<Option<u64>> {
        self.files.word(file, page, byte)
    }
}
