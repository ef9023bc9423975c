// SPDX-License-Identifier: GPL-2.0-only
//! Files with known contents, for regions that are backed by them.

use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::check::{Outcome, Stop, ensure_eq};
use super::state::{PAGE, bytes};
use crate::Source;

/// A memfd of `pages` pages with `base + page` in the first word of each; it
/// can be sealed.
pub(crate) fn memfd(pages: usize, base: u64) -> Result<File, Stop> {
    let file = File::from(crate::sys::memfd(bytes(pages))?);
    stamp(&file, 0, pages, base)?;
    Ok(file)
}

/// Stores a word at byte `at` of a file.
pub(crate) fn put(file: &File, at: usize, word: u64) -> Outcome {
    Ok(file.write_all_at(&word.to_ne_bytes(), at as u64)?)
}

/// Loads the word at byte `at` of a file.
pub(crate) fn get(file: &File, at: usize) -> Result<u64, Stop> {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, at as u64)?;
    Ok(u64::from_ne_bytes(word))
}

/// Stores `base + page` into each of the pages `[from, from + pages)` of a file.
pub(crate) fn stamp(file: &File, from: usize, pages: usize, base: u64) -> Outcome {
    (from..from + pages).try_for_each(|page| put(file, page * PAGE, base + page as u64))
}

/// What `stamp` stored must be in the file.
#[track_caller]
pub(crate) fn holds(file: &File, from: usize, pages: usize, base: u64, what: &str) -> Outcome {
    for page in from..from + pages {
        let seen = get(file, page * PAGE)?;
        ensure_eq!(seen, base + page as u64, "{what}: page {page} of the file");
    }
    Ok(())
}

/// The file from this page on, as SHARED memory.
pub(crate) fn shared(file: &File, page: usize) -> Source<'_> {
    Source::Shared(file.as_fd(), bytes(page))
}

/// The file from this page on, as PRIVATE memory.
pub(crate) fn private(file: &File, page: usize) -> Source<'_> {
    Source::Private(file.as_fd(), bytes(page))
}

/// Opens the same file once more, in another mode.
pub(crate) fn reopen(file: &File, options: &OpenOptions) -> Result<File, Stop> {
    Ok(options.open(format!("/proc/self/fd/{}", file.as_raw_fd()))?)
}

/// As [`reopen`], for reading only.
pub(crate) fn read_only(file: &File) -> Result<File, Stop> {
    reopen(file, OpenOptions::new().read(true))
}

/// A file with a name, which goes when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Scratch {
    /// An empty file in `dir`.
    pub(crate) fn new(dir: &Path) -> Result<Scratch, Stop> {
        // Relaxed: only that no two are equal matters.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("faultline-{}-{number}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Scratch { file, path })
    }

    /// A file of `pages` pages, stamped as in [`memfd`], in /tmp.
    pub(crate) fn stamped(pages: usize, base: u64) -> Result<Scratch, Stop> {
        let scratch = Scratch::new(Path::new("/tmp"))?;
        stamp(&scratch.file, 0, pages, base)?;
        scratch.file.set_len(bytes(pages))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
