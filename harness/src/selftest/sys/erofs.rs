// SPDX-License-Identifier: GPL-2.0-only
//! The smallest EROFS: one directory with one regular file. It stands for file
//! systems on a disk, and is the one that needs no tool to be made.
//!
//! Layout after the kernel's `fs/erofs/erofs_fs.h`; blocks are pages.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::PAGE_SIZE;

/// Name of the file.
pub(crate) const NAME: &str = "file";

/// Where the superblock is, in bytes; both inodes are behind it.
const SUPER: usize = 1024;
const ROOT: u16 = 40;
const FILE: u16 = 41;
/// Bytes of a compact inode; a node's number is its place in such steps.
const SLOT: usize = 32;
/// The block of the directory's entries, behind that of the superblock and the
/// inodes.
const ENTRIES: u32 = 1;
/// The first block of the file, to the end.
pub(crate) const CONTENTS: u32 = 2;

/// Makes the file system on `device`. The file has `pages` pages, with
/// `base + page` in the first word of each.
pub(crate) fn format(device: &File, pages: u32, base: u64) -> io::Result<()> {
    let block = PAGE_SIZE as usize;
    let mut image = vec![0; block * (CONTENTS + pages) as usize];
    superblock(&mut image[SUPER..], CONTENTS + pages);
    let (meta, rest) = image.split_at_mut(block);
    let (entries, contents) = rest.split_at_mut(block);
    let used = directory(entries);
    let directory = libc::S_IFDIR | 0o755;
    inode(slot(meta, ROOT), directory, 2, used, ENTRIES);
    inode(
        slot(meta, FILE),
        libc::S_IFREG | 0o644,
        1,
        contents.len(),
        CONTENTS,
    );
    for (page, bytes) in (0..).zip(contents.chunks_mut(block)) {
        put(bytes, 0, &u64::to_ne_bytes(base + page));
    }
    device.write_all_at(&image, 0)?;
    device.sync_all()
}

fn superblock(at: &mut [u8], blocks: u32) {
    put(at, 0, &0xe0f5_e1e2_u32.to_le_bytes());
    put(at, 12, &[PAGE_SIZE.ilog2() as u8]);
    put(at, 14, &ROOT.to_le_bytes());
    put(at, 16, &2_u64.to_le_bytes());
    put(at, 36, &blocks.to_le_bytes());
}

/// An uncompressed file whose contents are the blocks from `start` on.
fn inode(at: &mut [u8], mode: libc::mode_t, links: u16, size: usize, start: u32) {
    put(at, 4, &(mode as u16).to_le_bytes());
    put(at, 6, &links.to_le_bytes());
    put(at, 8, &(size as u32).to_le_bytes());
    put(at, 16, &start.to_le_bytes());
}

/// Writes the entries, in the order of their names, and gives their length.
fn directory(at: &mut [u8]) -> usize {
    const ENTRY: usize = 12;
    let entries = [(".", ROOT, 2), ("..", ROOT, 2), (NAME, FILE, 1)];
    let mut end = entries.len() * ENTRY;
    for (index, (name, node, kind)) in entries.into_iter().enumerate() {
        put(at, index * ENTRY, &u64::from(node).to_le_bytes());
        put(at, index * ENTRY + 8, &(end as u16).to_le_bytes());
        put(at, index * ENTRY + 10, &[kind]);
        put(at, end, name.as_bytes());
        end += name.len();
    }
    end
}

fn slot(meta: &mut [u8], node: u16) -> &mut [u8] {
    &mut meta[usize::from(node) * SLOT..][..SLOT]
}

fn put(at: &mut [u8], offset: usize, bytes: &[u8]) {
    at[offset..][..bytes.len()].copy_from_slice(bytes);
}
