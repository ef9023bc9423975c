// SPDX-License-Identifier: GPL-2.0-only
//! What all threads and processes of a run share.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;

use super::layout::{self, Area};
use super::{Counters, Options};
use crate::oracle::{Mismatches, Shadow, Trail, pattern};
use crate::rng::Rng;
use crate::shared::SharedWords;
use crate::target::{Operation, Operations};
use crate::{PAGE_SIZE, sys};

/// A run. Everything in it that changes is shared memory.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) seed: u64,
    pub(super) areas: Vec<Area>,
    pub(super) shadow: Shadow,
    pub(super) trail: Trail,
    pub(super) counters: Counters,
    pub(super) mismatches: Mismatches,
    /// What remappers may do.
    pub(super) operations: Operations,
    /// For each space, the files its regions may have.
    pub(super) files: Vec<Files>,
    /// For each remapper, a page it changed lately.
    recent: SharedWords,
}

/// The files of one space: page `n` of it shows page `n` of them.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// For SHARED regions: zeroes at first.
    pub(super) shared: Option<File>,
    /// For PRIVATE regions: nobody writes to it.
    pub(super) private: Option<File>,
}

impl Files {
    fn new(pages: u32, operations: Operations) -> io::Result<Files> {
        let length = u64::from(pages) * PAGE_SIZE;
        let mut files = Files::default();
        if operations.has(Operation::Shared) {
            files.shared = Some(sys::memfd(length)?.into());
        }
        if operations.has(Operation::Private) {
            let file = File::from(sys::memfd(length)?);
            for page in 0..pages {
                let words = (0..PAGE_SIZE as usize).step_by(8);
                let bytes: Vec<u8> = words
                    .flat_map(|byte| pattern(page, byte).to_ne_bytes())
                    .collect();
                file.write_all_at(&bytes, u64::from(page) * PAGE_SIZE)?;
            }
            files.private = Some(file);
        }
        Ok(files)
    }
}

impl World {
    pub(super) fn new(options: &Options, seed: u64, able: Operations) -> io::Result<World> {
        let threads = options.total_threads() as usize;
        let mut rng = Rng::new(seed, 0x6c61_796f);
        let operations = options.operations().and(able);
        let files = (0..options.spaces).map(|_| Files::new(options.pages, operations));
        Ok(World {
            areas: layout::cut(options.spaces, options.pages, options.remappers, &mut rng),
            shadow: Shadow::new(options.spaces * options.pages, options.threads, seed)?,
            trail: Trail::new(threads)?,
            counters: Counters::new(threads)?,
            mismatches: Mismatches::new(seed)?,
            recent: SharedWords::new(options.remappers as usize)?,
            files: files.collect::<io::Result<_>>()?,
            operations,
            options: options.clone(),
            seed,
        })
    }

    /// The number of a page over all spaces.
    pub(super) fn page(&self, space: u32, page: u32) -> u32 {
        space * self.options.pages + page
    }

    /// The numbers of these pages over all spaces.
    pub(super) fn pages(&self, space: u32, pages: &Range<u32>) -> Range<u32> {
        self.page(space, pages.start)..self.page(space, pages.end)
    }

    /// The space and the page in it, the inverse of [`page`](World::page).
    pub(super) fn place(&self, page: u32) -> (u32, u32) {
        (page / self.options.pages, page % self.options.pages)
    }

    /// Points accessors in all processes at a page that was just changed, where
    /// a mistake is most likely to show.
    pub(super) fn set_recent(&self, remapper: u32, page: u32) {
        // Relaxed: a hint.
        self.recent[remapper as usize].store(u64::from(page), Relaxed);
    }

    /// A page that some remapper changed lately.
    pub(super) fn recent(&self, rng: &mut Rng) -> u32 {
        self.recent[rng.below(self.recent.len() as u64) as usize].load(Relaxed) as u32
    }

    /// "thread 3 (remapper 1, process 1)".
    pub(super) fn name_of(&self, thread: usize) -> String {
        let (threads, procs) = (self.options.threads as usize, self.options.procs as usize);
        let (role, number) = if thread < threads {
            ("accessor", thread)
        } else {
            ("remapper", thread - threads)
        };
        format!(
            "thread {thread} ({role} {number}, process {})",
            number % procs
        )
    }
}
