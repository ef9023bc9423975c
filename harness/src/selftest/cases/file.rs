// SPDX-License-Identifier: GPL-2.0-only
//! Which descriptors MAP takes for a region over a file, and which offsets.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

use super::uapi::good_map;
use crate::selftest::check::{Outcome, Stop, ensure_eq, fails, fails_with_one_of};
use crate::selftest::files::{Scratch, holds, memfd, private, reopen, shared, stamp};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, Live, PAGE, Picture, at, bytes};
use crate::selftest::sys::call::call;
use crate::selftest::sys::erofs;
use crate::selftest::sys::file::{self, Mount};
use crate::selftest::sys::gup::pipe;
use crate::selftest::sys::memory::{Mapping, READ_WRITE};
use crate::uapi::*;
use crate::{PAGE_SIZE, Placement, Prot, Source, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "file":
    no_descriptor_is_ebadf,
    path_descriptor_is_ebadf,
    write_only_descriptor_is_eacces,
    read_only_memfd_is_eacces_to_write_shared,
    unaligned_offset_is_einval,
    end_beyond_any_file_is_eoverflow,
    last_page_of_any_file_can_be_mapped,
    only_memfds_can_be_shared,
    shared_anonymous_memory_cannot_be_shared,
    only_regular_files_can_be_private,
    files_without_pages_cannot_be_private,
    files_of_sysfs_cannot_be_private,
    secret_memory_is_refused,
    huge_pages_are_refused,
    files_without_page_cache_cannot_be_private,
    the_device_itself_is_refused,
    refused_files_are_let_go,
    mapped_files_are_let_go,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;
const BACKINGS: [u32; 2] = [FAULTLINE_BACKING_SHARED, FAULTLINE_BACKING_PRIVATE];

/// MAP of one page with these values as they are.
fn map_raw(space: &Space, backing: u32, fd: i32, offset: u64) -> io::Result<()> {
    let mut map = faultline_map {
        backing,
        fd,
        offset,
        prot: RO.bits(),
        ..good_map(BASE, FAULTLINE_MAP_FIXED)
    };
    call(space.as_fd(), &mut map)
}

fn map(space: &Space, prot: Prot, source: Source<'_>) -> io::Result<u64> {
    space.map_from(BASE, PAGE_SIZE, prot, Placement::Fixed, source)
}

/// Both kinds of region over `file`, by name.
fn both(file: &impl AsFd) -> [(&'static str, Source<'_>); 2] {
    let fd = file.as_fd();
    [
        ("SHARED", Source::Shared(fd, 0)),
        ("PRIVATE", Source::Private(fd, 0)),
    ]
}

/// Neither kind of region may be made over `file`.
fn neither(file: &impl AsFd, errno: i32, what: &str) -> Outcome {
    let arena = Arena::new(1, RW)?;
    for (kind, source) in both(file) {
        for prot in [RO, Prot::NONE] {
            let what = format!("{kind} {prot:?} over {what}");
            arena.refuses(errno, &what, |arena| map(&arena.space, prot, source))?;
        }
    }
    Ok(())
}

fn no_descriptor_is_ebadf() -> Outcome {
    let arena = Arena::new(1, RW)?;
    for backing in BACKINGS {
        for fd in [-1, -2, i32::MIN, i32::MAX, 1000] {
            let what = format!("backing {backing}, descriptor {fd}");
            arena.refuses(libc::EBADF, &what, |arena| {
                map_raw(&arena.space, backing, fd, 0)
            })?;
        }
    }
    Ok(())
}

fn path_descriptor_is_ebadf() -> Outcome {
    let path = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open("/proc/self/exe")?;
    neither(&path, libc::EBADF, "an O_PATH descriptor")
}

fn write_only_descriptor_is_eacces() -> Outcome {
    let file = memfd(1, 50)?;
    let write_only = reopen(&file, OpenOptions::new().write(true))?;
    neither(&write_only, libc::EACCES, "a write-only memfd")?;
    for (kind, source) in both(&write_only) {
        let space = Space::open()?;
        fails(map(&space, RW, source), libc::EACCES, kind)?;
    }
    Ok(())
}

fn read_only_memfd_is_eacces_to_write_shared() -> Outcome {
    let file = memfd(1, 50)?;
    let read_only = crate::selftest::files::read_only(&file)?;
    let arena = Arena::new(1, RW)?;
    for prot in [RW, Prot::WRITE] {
        arena.refuses(libc::EACCES, &format!("SHARED {prot:?}"), |arena| {
            map(&arena.space, prot, shared(&read_only, 0))
        })?;
    }
    map(&arena.space, RO, shared(&read_only, 0))?;
    map(&arena.space, RW, private(&read_only, 0))?;
    Ok(())
}

fn unaligned_offset_is_einval() -> Outcome {
    use std::os::fd::AsRawFd;
    let file = memfd(2, 50)?;
    let arena = Arena::new(1, RW)?;
    for backing in BACKINGS {
        for offset in [1, 8, 2048, 4095, PAGE_SIZE + 1] {
            let what = format!("backing {backing}, offset {offset}");
            arena.refuses(libc::EINVAL, &what, |arena| {
                map_raw(&arena.space, backing, file.as_raw_fd(), offset)
            })?;
        }
    }
    Ok(())
}

/// Offset of the last page that a file can have.
const LAST: u64 = i64::MAX as u64 / PAGE_SIZE * PAGE_SIZE;

fn end_beyond_any_file_is_eoverflow() -> Outcome {
    use std::os::fd::AsRawFd;
    let file = memfd(1, 50)?;
    let arena = Arena::new(1, RW)?;
    for backing in BACKINGS {
        for offset in [LAST + PAGE_SIZE, 1 << 63, u64::MAX - PAGE_SIZE + 1] {
            let what = format!("backing {backing}, offset {offset:#x}");
            arena.refuses(libc::EOVERFLOW, &what, |arena| {
                map_raw(&arena.space, backing, file.as_raw_fd(), offset)
            })?;
        }
    }
    // A region whose end, not its start, is too far.
    for (kind, start) in [("SHARED", shared(&file, 0)), ("PRIVATE", private(&file, 0))] {
        let far = match start {
            Source::Shared(fd, _) => Source::Shared(fd, LAST - PAGE_SIZE),
            Source::Private(fd, _) => Source::Private(fd, LAST - PAGE_SIZE),
            Source::Anon => continue,
        };
        arena.refuses(libc::EOVERFLOW, kind, |arena| {
            let (addr, place) = (at(8), Placement::Fixed);
            arena.space.map_from(addr, bytes(4), RO, place, far)
        })?;
    }
    Ok(())
}

fn last_page_of_any_file_can_be_mapped() -> Outcome {
    let file = memfd(1, 50)?;
    let arena = Arena::empty(1)?;
    let last = LAST - PAGE_SIZE;
    for source in [
        Source::Shared(file.as_fd(), last),
        Source::Private(file.as_fd(), last),
    ] {
        map(&arena.space, RO, source)?;
        let offset = arena.space.query(BASE)?.map(|region| region.offset);
        ensure_eq!(offset, Some(last), "offset");
        let loaded = arena.window.load(0);
        crate::selftest::check::raises(loaded, crate::access::Signal::Bus, "load")?;
    }
    Ok(())
}

/// A regular file whose pages are in the page cache, though not as shared memory.
fn only_memfds_can_be_shared() -> Outcome {
    let ramfs = Mount::new("ramfs", "none", "")
        .map_err(|error| Stop::skip(format!("mount of a ramfs: {error}")))?;
    let scratch = Scratch::new(ramfs.path())?;
    stamp(&scratch.file, 0, 2, 50)?;
    let arena = Arena::new(1, RW)?;
    for prot in [RO, RW, Prot::NONE] {
        arena.refuses(libc::ENODEV, &format!("{prot:?}"), |arena| {
            map(&arena.space, prot, shared(&scratch.file, 0))
        })?;
    }
    map(&arena.space, RW, private(&scratch.file, 0))?;
    Ok(())
}

/// Its file is one of the kernel's own mount, as a memfd's is.
fn shared_anonymous_memory_cannot_be_shared() -> Outcome {
    let zero = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/zero")?;
    let memory = Mapping::of(zero.as_fd(), 0, PAGE, READ_WRITE, libc::MAP_SHARED)?;
    let (start, end) = (memory.address(), memory.address() + PAGE);
    let path = format!("/proc/self/map_files/{start:x}-{end:x}");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| Stop::skip(format!("{path}: {error}")))?;
    let arena = Arena::new(1, RW)?;
    arena.refuses(libc::ENODEV, "SHARED over anonymous memory", |arena| {
        map(&arena.space, RW, shared(&file, 0))
    })?;
    // A memfd that is opened in this way is still one.
    let file = memfd(1, 50)?;
    let file = reopen(&file, OpenOptions::new().read(true))?;
    map(&arena.space, RO, shared(&file, 0)).map(drop)?;
    Ok(())
}

fn only_regular_files_can_be_private() -> Outcome {
    let (read, _write) = pipe()?;
    let (socket, _other) = UnixStream::pair()?;
    neither(&read, libc::ENODEV, "a pipe")?;
    neither(&socket, libc::ENODEV, "a socket")?;
    for path in ["/", "/tmp", "/proc", "/dev/zero", "/dev/null", "/dev/ram0"] {
        match File::open(path) {
            Ok(file) => neither(&file, libc::ENODEV, path)?,
            // The disk is a matter of configuration.
            Err(error) if path != "/dev/ram0" => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Files whose contents are made up as they are read have nothing to copy.
fn files_without_pages_cannot_be_private() -> Outcome {
    ["/proc/self/maps", "/proc/version"]
        .into_iter()
        .try_for_each(|path| neither(&File::open(path)?, libc::ENODEV, path))
}

/// The page cache of sysfs has pages, though not those of the file.
fn files_of_sysfs_cannot_be_private() -> Outcome {
    let path = "/sys/kernel/notes";
    let file = File::open(path).map_err(|error| Stop::skip(format!("{path}: {error}")))?;
    neither(&file, libc::ENODEV, path)
}

fn secret_memory_is_refused() -> Outcome {
    let secret = match file::secret() {
        Ok(secret) => secret,
        Err(error) => return Err(Stop::skip(format!("memfd_secret: {error}"))),
    };
    secret.set_len(bytes(2))?;
    neither(&secret, libc::ENODEV, "secret memory")
}

fn huge_pages_are_refused() -> Outcome {
    let huge = match file::huge() {
        Ok(huge) => huge,
        Err(error) => return Err(Stop::skip(format!("memfd of huge pages: {error}"))),
    };
    huge.set_len(2 << 20)?;
    neither(&huge, libc::ENODEV, "a memfd of huge pages")
}

/// The same file with a page cache can be mapped: DAX is why it cannot.
fn files_without_page_cache_cannot_be_private() -> Outcome {
    const PAGES: usize = 4;
    let path = "/dev/pmem0";
    let disk = OpenOptions::new().write(true).open(path);
    let disk = disk.map_err(|error| Stop::skip(format!("{path}: {error}")))?;
    erofs::format(&disk, PAGES as u32, 50)?;
    drop(disk);
    for (option, dax) in [("dax=never", false), ("dax=always", true)] {
        let mount = Mount::new("erofs", path, option)
            .map_err(|error| Stop::fail(format!("mount of an EROFS, {option}: {error}")))?;
        let file = File::open(mount.path().join(erofs::NAME))?;
        ensure_eq!(file::is_dax(&file)?, dax, "{option}: DAX");
        holds(&file, 0, PAGES, 50, option)?;
        if dax {
            neither(&file, libc::ENODEV, "a DAX file")?;
        } else {
            let arena = Arena::backed(PAGES, RO, private(&file, 0))?;
            Arena::holds(&arena.window, 0, PAGES, 50, option)?;
        }
        drop(file);
        mount
            .unmount()
            .map_err(|error| Stop::fail(format!("{option}: umount: {error}")))?;
    }
    Ok(())
}

fn the_device_itself_is_refused() -> Outcome {
    let other = Space::open()?;
    neither(&other, libc::ENODEV, "another space")?;
    let arena = Arena::new(1, RW)?;
    for (kind, source) in both(&arena.space) {
        arena.refuses(libc::ENODEV, kind, |arena| map(&arena.space, RO, source))?;
    }
    Ok(())
}

/// A pipe knows when its last reader has gone.
fn refused_files_are_let_go() -> Outcome {
    let arena = Arena::new(1, RW)?;
    let before = Picture::take(&arena.space)?;
    let (read, mut write) = pipe()?;
    for (kind, source) in both(&read) {
        for _ in 0..10 {
            fails(map(&arena.space, RO, source), libc::ENODEV, kind)?;
        }
    }
    before.must_hold(&arena.space, "refused MAPs")?;
    drop(read);
    fails(
        write.write(&[0]),
        libc::EPIPE,
        "write to a pipe nobody reads",
    )
}

/// A file system cannot be unmounted while a file of it is held.
fn mapped_files_are_let_go() -> Outcome {
    let before = Live::required()?;
    let mount = Mount::new("ramfs", "none", "")
        .map_err(|error| Stop::skip(format!("mount of a ramfs: {error}")))?;
    for also_unmap in [true, false] {
        let scratch = Scratch::new(mount.path())?;
        stamp(&scratch.file, 0, 8, 50)?;
        let arena = Arena::backed(8, RW, private(&scratch.file, 0))?;
        arena.protect(2, 2, RO)?;
        arena.stamp(4, 2, 10)?;
        drop(scratch);
        fails_with_one_of(mount.unmount(), &[libc::EBUSY], "umount")?;
        ensure_eq!(arena.window.load(0)?, 50, "first page");
        if also_unmap {
            arena.unmap(0, 8)?;
        }
    }
    before.must_return("live objects")?;
    mount
        .unmount()
        .map_err(|error| Stop::fail(format!("umount at last: {error}")))
}
