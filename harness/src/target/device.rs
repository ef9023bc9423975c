// SPDX-License-Identifier: GPL-2.0-only
//! A space of the device as a target.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::{Features, Operations, Pages, Target, To, View};
use crate::access::Signal;
use crate::rng::Rng;
use crate::{
    Advice, Backing, PAGE_SIZE, Placement, Policy, Prot, Relocation, Source, Space, Stats, Window,
    sys,
};

/// Pages covered by one leaf of the page directory (2 MiB).
const LEAF_PAGES: u64 = 512;

/// A part of a space, and windows on it.
#[derive(Debug)]
pub struct DeviceTarget {
    space: Space,
    /// Page of the space that is page 0 of the target.
    base: u64,
    pages: u32,
    windows: Vec<Window>,
    operations: Operations,
}

impl DeviceTarget {
    /// A new space with `pages` pages under test, in the middle of which lies
    /// the border of two leaves, and `windows` windows (at least one) that
    /// overlap at various offsets.
    pub fn new(
        pages: u32,
        windows: u32,
        policy: Option<Policy>,
        rng: &mut Rng,
    ) -> io::Result<Self> {
        let space = Space::open()?;
        if let Some(policy) = policy {
            space.set_policy(policy)?;
        }
        let base = LEAF_PAGES * (64 + u64::from(pages) / LEAF_PAGES) - u64::from(pages) / 2;
        let mut target = DeviceTarget {
            operations: Operations::of_device()?,
            space,
            base,
            pages,
            windows: Vec::new(),
        };
        target.add_window(0..pages)?;
        for _ in 1..windows.max(1) {
            let first = rng.below(u64::from(pages / 2) + 1) as u32;
            let count = rng.below(u64::from(pages - first)) as u32 + 1;
            target.add_window(first..first + count)?;
        }
        Ok(target)
    }

    /// The space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Address in the space of page 0.
    pub fn first_address(&self) -> u64 {
        self.address(0)
    }

    fn add_window(&mut self, pages: Range<u32>) -> io::Result<()> {
        let window = self
            .space
            .window(self.address(pages.start), self.bytes(&pages) as usize)?;
        self.windows.push(window);
        Ok(())
    }

    fn address(&self, page: u32) -> u64 {
        (self.base + u64::from(page)) * PAGE_SIZE
    }

    fn bytes(&self, pages: &Range<u32>) -> u64 {
        u64::from(pages.end - pages.start) * PAGE_SIZE
    }

    /// The page at an address that a call answered. One outside the target is a
    /// page that nobody asked for.
    fn answer(&self, address: u64) -> u32 {
        if address < self.address(0) {
            u32::MAX
        } else {
            self.page(address)
        }
    }

    /// The page at this address, saturated at the ends of the target.
    fn page(&self, address: u64) -> u32 {
        (address / PAGE_SIZE)
            .saturating_sub(self.base)
            .min(u64::from(self.pages)) as u32
    }
}

impl Target for DeviceTarget {
    fn features(&self) -> Features {
        Features {
            placements: true,
            processes: true,
            operations: self.operations,
        }
    }

    fn pages(&self) -> u32 {
        self.pages
    }

    fn unmapped_signal(&self) -> Signal {
        Signal::Bus
    }

    fn map(
        &self,
        pages: Range<u32>,
        prot: Prot,
        placement: Placement,
        source: Source<'_>,
    ) -> io::Result<u32> {
        let (address, length) = (self.address(pages.start), self.bytes(&pages));
        let got = self
            .space
            .map_from(address, length, prot, placement, source)?;
        Ok(self.answer(got))
    }

    fn unmap(&self, pages: Range<u32>) -> io::Result<()> {
        self.space
            .unmap(self.address(pages.start), self.bytes(&pages))
    }

    fn protect(&self, pages: Range<u32>, prot: Prot) -> io::Result<()> {
        self.space
            .protect(self.address(pages.start), self.bytes(&pages), prot)
    }

    fn remap(&self, old: Range<u32>, count: u32, to: To) -> io::Result<u32> {
        let relocation = match to {
            To::Stay => Relocation::Stay,
            To::MayMove => Relocation::MayMove,
            To::Fixed(page) => Relocation::Fixed(self.address(page)),
        };
        let (address, length) = (self.address(old.start), self.bytes(&old));
        let new_length = u64::from(count) * PAGE_SIZE;
        let got = self.space.remap(address, length, new_length, relocation)?;
        Ok(self.answer(got))
    }

    fn advise(&self, pages: Range<u32>, advice: Advice) -> io::Result<()> {
        self.space
            .advise(self.address(pages.start), self.bytes(&pages), advice)
    }

    fn query(&self, page: u32) -> io::Result<Option<Pages>> {
        let region = self.space.query(self.address(page))?;
        Ok(region.map(|region| {
            let cut = match region.backing {
                Backing::ANON => 0,
                _ => self.address(0).saturating_sub(region.start),
            };
            Pages {
                range: self.page(region.start)..self.page(region.end),
                prot: region.prot,
                backing: region.backing,
                file_page: (region.offset + cut) / PAGE_SIZE,
            }
        }))
    }

    fn views(&self) -> Vec<View<'_>> {
        let windows = self.windows.iter();
        windows
            .map(|window| View {
                first: self.page(window.offset()),
                pages: (window.len() as u64 / PAGE_SIZE) as u32,
                area: window.area(),
            })
            .collect()
    }

    fn stats(&self) -> io::Result<Option<Stats>> {
        self.space.stats().map(Some)
    }

    fn hand_over(&self, socket: &UnixStream) -> io::Result<()> {
        sys::send_fd(socket, self.space.as_fd())
    }

    /// Keeps the inherited windows and maps one more, through the descriptor
    /// that came by SCM_RIGHTS; all calls go through that one from now on.
    fn take_over(&mut self, socket: &UnixStream) -> io::Result<()> {
        self.space = Space::from(sys::receive_fd(socket)?);
        self.add_window(0..self.pages)
    }
}
