// SPDX-License-Identifier: GPL-2.0-only
//! The files that regions are backed by: each side has its own, all alike.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use super::call::{FileName, Source, WORDS};
use crate::{PAGE_SIZE, sys};

/// Pages of each file.
pub const FILE_PAGES: u32 = 24;
/// Where the pages of the read-only file begin: so far behind all others that
/// regions of two files are never taken for one, however they grow.
pub const READ_ONLY_FROM: u32 = 1 << 24;

/// First page of a file that is used.
pub fn first_page(name: FileName) -> u32 {
    match name {
        FileName::ReadOnly => READ_ONLY_FROM,
        FileName::Shared | FileName::Private => 0,
    }
}

/// Size in bytes.
fn size(name: FileName) -> u64 {
    let pages = u64::from(first_page(name) + FILE_PAGES) * PAGE_SIZE;
    match name {
        FileName::Private => pages - PAGE_SIZE / 2,
        FileName::Shared | FileName::ReadOnly => pages,
    }
}

/// True if an access to this page of the file has nothing to find.
pub fn beyond_end(name: FileName, page: u32) -> bool {
    u64::from(page) * PAGE_SIZE >= size(name)
}

/// What a word is at first; zero where the file does not say.
pub fn initial(name: FileName, page: u32, byte: usize) -> u64 {
    let at = u64::from(page) * PAGE_SIZE + byte as u64;
    if page < first_page(name) || at >= size(name) || !WORDS.contains(&byte) {
        return 0;
    }
    0xf11e_0000_0000_0000 | ((name as u64) << 40) | at
}

/// One file of each name.
#[derive(Debug)]
pub struct Files([File; FileName::ALL.len()]);

impl Files {
    /// Makes them.
    pub fn new() -> io::Result<Files> {
        let make = |name: FileName| -> io::Result<File> {
            let file = File::from(sys::memfd(size(name))?);
            let from = first_page(name);
            for page in from..from + FILE_PAGES {
                for byte in WORDS {
                    let value = initial(name, page, byte);
                    if value != 0 {
                        let at = u64::from(page) * PAGE_SIZE + byte as u64;
                        file.write_all_at(&value.to_ne_bytes(), at)?;
                    }
                }
            }
            Ok(file)
        };
        let [shared, read_only, private] = FileName::ALL.map(make);
        let writable = read_only?;
        let path = format!("/proc/self/fd/{}", writable.as_raw_fd());
        let read_only = OpenOptions::new().read(true).open(path);
        Ok(Files([shared?, read_only?, private?]))
    }

    fn file(&self, name: FileName) -> &File {
        &self.0[name as usize]
    }

    /// The source as MAP takes it.
    pub fn source(&self, source: Source) -> crate::Source<'_> {
        match source {
            Source::Anon => crate::Source::Anon,
            Source::File(name, page) => {
                let (fd, offset) = (self.fd(name), u64::from(page) * PAGE_SIZE);
                match name {
                    FileName::Private => crate::Source::Private(fd, offset),
                    FileName::Shared | FileName::ReadOnly => crate::Source::Shared(fd, offset),
                }
            }
        }
    }

    /// The descriptor.
    pub fn fd(&self, name: FileName) -> BorrowedFd<'_> {
        self.file(name).as_fd()
    }

    /// The file with this inode number.
    pub fn find(&self, inode: u64) -> io::Result<Option<FileName>> {
        for name in FileName::ALL {
            if self.file(name).metadata()?.ino() == inode {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// A word, as read(2) gives it; `None` beyond the end.
    pub fn word(&self, name: FileName, page: u32, byte: usize) -> io::Result<Option<u64>> {
        let mut word = [0; 8];
        let at = u64::from(page) * PAGE_SIZE + byte as u64;
        match self.file(name).read_exact_at(&mut word, at) {
            Ok(()) => Ok(Some(u64::from_ne_bytes(word))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}
