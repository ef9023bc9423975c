// SPDX-License-Identifier: GPL-2.0-only
//! What can be seen of a space and of the module from outside, and the places
//! that tests work in.

use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::check::{Outcome, Stop, ensure_eq, fails};
use super::sys::memory::{Mapping, READ_WRITE, wait_for_grace_period};
use crate::{Advice, PAGE_SIZE, Placement, Prot, Region, Relocation, Source, Space};

/// How long anything that is not measured may take.
pub(crate) const AMPLE: Duration = Duration::from_secs(20);

/// Size of a page in bytes.
pub(crate) const PAGE: usize = PAGE_SIZE as usize;
/// Where tests map by default: the last page below a 2 MiB boundary, so that
/// already two pages lie in two leaves.
pub(crate) const BASE: u64 = (256 << 20) - PAGE_SIZE;

/// Address of page `page` of an [`Arena`].
pub(crate) const fn at(page: usize) -> u64 {
    BASE + bytes(page)
}

/// Bytes of `pages` pages, in the space.
pub(crate) const fn bytes(pages: usize) -> u64 {
    pages as u64 * PAGE_SIZE
}

/// Live objects of the module, over all spaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) spaces: u64,
    pub(crate) regions: u64,
    pub(crate) leaves: u64,
    pub(crate) pages: u64,
}

impl Live {
    const FILE: &str = "/sys/kernel/debug/faultline/live";

    /// The counters now, if the module shows them.
    pub(crate) fn now() -> Option<Live> {
        let text = fs::read_to_string(Live::FILE).ok()?;
        let mut live = Live::default();
        for line in text.lines() {
            let (name, count) = line.split_once(' ')?;
            let count = count.trim().parse().ok()?;
            match name {
                "spaces" => live.spaces = count,
                "regions" => live.regions = count,
                "leaves" => live.leaves = count,
                "pages" => live.pages = count,
                // One that a later version may have.
                _ => {}
            }
        }
        Some(live)
    }

    /// The counters, for a test that is about them.
    pub(crate) fn required() -> Result<Live, Stop> {
        if !Path::new("/sys/kernel/debug")
            .read_dir()
            .is_ok_and(|mut dir| dir.next().is_some())
        {
            return Err(Stop::skip("debugfs is not mounted"));
        }
        Live::now().ok_or_else(|| Stop::fail(format!("{} cannot be read", Live::FILE)))
    }

    /// Waits until what was freed before is gone: that is after a grace period,
    /// and when the callbacks have had their turn.
    pub(crate) fn settle() {
        const QUIET: u32 = 3;
        wait_for_grace_period();
        let (mut last, mut quiet) = (Live::now(), 0);
        let deadline = Instant::now() + Duration::from_secs(1);
        while quiet < QUIET && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(8));
            let now = Live::now();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
    }

    /// Waits until the counters are back at `self`: objects are freed after a
    /// grace period. Gives what they are after `limit` otherwise.
    pub(crate) fn returns(self, limit: Duration) -> Result<(), Live> {
        let deadline = Instant::now() + limit;
        loop {
            match Live::now() {
                Some(live) if live != self && Instant::now() > deadline => return Err(live),
                Some(live) if live != self => thread::sleep(Duration::from_millis(10)),
                _ => return Ok(()),
            }
        }
    }

    /// As `returns`, for a test.
    #[track_caller]
    pub(crate) fn must_return(self, what: &str) -> Outcome {
        self.returns(Duration::from_secs(5))
            .map_err(|live| Stop::fail(format!("{what}: expected {self:?}, seen {live:?}")))
    }
}

/// All regions of a space, in order.
pub(crate) fn regions(space: &Space) -> Result<Vec<Region>, Stop> {
    let mut found = Vec::new();
    let mut next = 0;
    while next < SPACE_SIZE {
        let Some(region) = space.query(next)? else {
            break;
        };
        let sane = region.start < region.end
            && region.end > next
            && region.end <= SPACE_SIZE
            && (region.start | region.end) % PAGE_SIZE == 0
            && (next == 0 || region.start >= next);
        if !sane {
            return Err(Stop::fail(format!("QUERY at {next:#x}: {region:x?}")));
        }
        next = region.end;
        found.push(region);
    }
    Ok(found)
}

/// Size of a space in bytes.
pub(crate) const SPACE_SIZE: u64 = crate::uapi::FAULTLINE_SPACE_SIZE;

/// Start, end and protection of all regions, where neighbours of one
/// protection count as one, whatever backs them.
pub(crate) fn layout(space: &Space) -> Result<Vec<(u64, u64, Prot)>, Stop> {
    let mut layout: Vec<(u64, u64, Prot)> = Vec::new();
    for region in regions(space)? {
        match layout.last_mut() {
            Some(last) if last.1 == region.start && last.2 == region.prot => last.1 = region.end,
            _ => layout.push((region.start, region.end, region.prot)),
        }
    }
    Ok(layout)
}

/// All that a refused call must leave as it was.
#[derive(Debug)]
pub(crate) struct Picture {
    regions: Vec<Region>,
    stats: String,
    live: Option<Live>,
}

impl Picture {
    /// The space as it is, once everything that went before is freed.
    pub(crate) fn take(space: &Space) -> Result<Picture, Stop> {
        Live::settle();
        Picture::look(space)
    }

    fn look(space: &Space) -> Result<Picture, Stop> {
        Ok(Picture {
            regions: regions(space)?,
            stats: format!("{:?}", space.stats()?),
            live: Live::now(),
        })
    }

    /// The space must look the same now.
    #[track_caller]
    pub(crate) fn must_hold(&self, space: &Space, what: &str) -> Outcome {
        let now = Picture::look(space)?;
        if now.regions != self.regions {
            let (then, now) = (&self.regions, now.regions);
            return Err(Stop::fail(format!(
                "{what}: regions were {then:x?}, are {now:x?}"
            )));
        }
        if now.stats != self.stats {
            return Err(Stop::fail(format!(
                "{what}: was {}, is {}",
                self.stats, now.stats
            )));
        }
        match self.live {
            Some(live) => live.must_return(&format!("{what}: live objects")),
            None => Ok(()),
        }
    }
}

/// A space with one region at `BASE` and a window that shows it.
#[derive(Debug)]
pub(crate) struct Arena {
    pub(crate) space: Space,
    pub(crate) window: Mapping,
}

impl Arena {
    /// A region of `pages` pages.
    pub(crate) fn new(pages: usize, prot: Prot) -> Result<Arena, Stop> {
        let arena = Arena::empty(pages)?;
        arena
            .space
            .map(BASE, bytes(pages), prot, Placement::FixedNoreplace)?;
        Ok(arena)
    }

    /// No region yet, a window of `pages` pages.
    pub(crate) fn empty(pages: usize) -> Result<Arena, Stop> {
        let space = Space::open()?;
        let window = window(&space, BASE, pages)?;
        Ok(Arena { space, window })
    }

    /// A region of `pages` pages that come from `source`.
    pub(crate) fn backed(pages: usize, prot: Prot, source: Source<'_>) -> Result<Arena, Stop> {
        let arena = Arena::empty(pages)?;
        arena.place(0, pages, prot, source)?;
        Ok(arena)
    }

    /// Maps pages `[from, from + pages)` anew, whatever is there.
    pub(crate) fn remap(&self, from: usize, pages: usize, prot: Prot) -> Outcome {
        self.place(from, pages, prot, Source::Anon)
    }

    /// As `remap`, with pages that come from `source`.
    pub(crate) fn place(
        &self,
        from: usize,
        pages: usize,
        prot: Prot,
        source: Source<'_>,
    ) -> Outcome {
        let addr = at(from);
        let length = bytes(pages);
        let got = self
            .space
            .map_from(addr, length, prot, Placement::Fixed, source)?;
        ensure_eq!(got, addr, "address of a FIXED mapping");
        Ok(())
    }

    /// PROTECT of pages `[from, from + pages)`.
    pub(crate) fn protect(&self, from: usize, pages: usize, prot: Prot) -> io::Result<()> {
        self.space.protect(at(from), bytes(pages), prot)
    }

    /// ADVISE about pages `[from, from + pages)`.
    pub(crate) fn advise(&self, from: usize, pages: usize, advice: Advice) -> io::Result<()> {
        self.space.advise(at(from), bytes(pages), advice)
    }

    /// REMAP of `old` pages from `from` on, to `new` pages: their address.
    pub(crate) fn resize(
        &self,
        from: usize,
        old: usize,
        new: usize,
        relocation: Relocation,
    ) -> io::Result<u64> {
        self.space
            .remap(at(from), bytes(old), bytes(new), relocation)
    }

    /// REMAP of pages `[from, from + pages)` to page `to`.
    pub(crate) fn shift(&self, from: usize, pages: usize, to: usize) -> Outcome {
        let got = self.resize(from, pages, pages, Relocation::Fixed(at(to)))?;
        ensure_eq!(got, at(to), "address after a FIXED move");
        Ok(())
    }

    /// The regions one by one: first page, end and protection of each.
    pub(crate) fn shape(&self) -> Result<Vec<(usize, usize, Prot)>, Stop> {
        let page = |addr: u64| (addr.wrapping_sub(BASE) / PAGE_SIZE) as usize;
        let shape = |region: &Region| (page(region.start), page(region.end), region.prot);
        Ok(regions(&self.space)?.iter().map(shape).collect())
    }

    /// `call` must fail with `errno` and change nothing.
    #[track_caller]
    pub(crate) fn refuses<T: Debug>(
        &self,
        errno: i32,
        what: &str,
        call: impl FnOnce(&Arena) -> io::Result<T>,
    ) -> Outcome {
        let before = Picture::take(&self.space)?;
        fails(call(self), errno, what)?;
        before.must_hold(&self.space, what)
    }

    /// Unmaps pages `[from, from + pages)`.
    pub(crate) fn unmap(&self, from: usize, pages: usize) -> Outcome {
        Ok(self.space.unmap(at(from), bytes(pages))?)
    }

    /// Stores `base + page` into each of pages `[from, from + pages)`.
    pub(crate) fn stamp(&self, from: usize, pages: usize, base: u64) -> Outcome {
        for page in from..from + pages {
            self.window.store(page * PAGE, base + page as u64)?;
        }
        Ok(())
    }

    /// What `stamp` stored must be there, seen through `window`.
    #[track_caller]
    pub(crate) fn holds(
        window: &Mapping,
        from: usize,
        pages: usize,
        base: u64,
        what: &str,
    ) -> Outcome {
        for page in from..from + pages {
            let what = format!("{what}, page {page}");
            super::check::reads(window.load(page * PAGE), base + page as u64, &what)?;
        }
        Ok(())
    }
}

/// A shared, readable and writable window of `pages` pages.
pub(crate) fn window(space: &Space, offset: u64, pages: usize) -> Result<Mapping, Stop> {
    Ok(Mapping::of(
        space.as_fd(),
        offset,
        pages * PAGE,
        READ_WRITE,
        libc::MAP_SHARED,
    )?)
}

/// A counter of `/proc/vmstat`; `None` if the kernel does not have it.
pub(crate) fn vmstat(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/vmstat").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}
