// SPDX-License-Identifier: GPL-2.0-only
//! System calls by which the kernel, or another process, reaches into memory
//! without its own page tables (get_user_pages).

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::check;
use super::memory::Mapping;

/// process_vm_readv: reads `length` bytes at `address` of another process.
pub(crate) fn read_remote(pid: i32, address: usize, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    let local = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: length,
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: length,
    };
    // SAFETY: The local vector is ours; the remote one is only an address.
    let got = check(unsafe { libc::process_vm_readv(pid, &local, 1, &remote, 1, 0) } as _)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// process_vm_writev: how much was written at `address` of another process,
/// whose memory there must hold no Rust object.
pub(crate) fn write_remote(pid: i32, address: usize, bytes: &[u8]) -> io::Result<usize> {
    let local = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let remote = libc::iovec {
        iov_base: address as *mut libc::c_void,
        iov_len: bytes.len(),
    };
    // SAFETY: As in `read_remote`; the kernel only reads the local vector.
    check(unsafe { libc::process_vm_writev(pid, &local, 1, &remote, 1, 0) } as _)
}

/// Attaches to a child of ours and waits until it has stopped.
pub(crate) fn attach(pid: i32) -> io::Result<()> {
    // SAFETY: No memory is passed.
    check(unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, 0usize, 0usize) })?;
    // SAFETY: No status is asked for.
    check(unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) }.into()).map(drop)
}

/// Writes a word at `address` of an attached process, as a debugger does. There
/// must be no Rust object there.
pub(crate) fn poke(pid: i32, address: usize, value: u64) -> io::Result<()> {
    // SAFETY: Only the other process's memory is written.
    check(unsafe { libc::ptrace(libc::PTRACE_POKEDATA, pid, address, value) }).map(drop)
}

/// Lets an attached process go.
pub(crate) fn detach(pid: i32) -> io::Result<()> {
    // SAFETY: No memory is passed.
    check(unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0usize, 0usize) }).map(drop)
}

/// A pipe.
pub(crate) fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: There is room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: The kernel made it for us.
    let read = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: As above.
    Ok((read, unsafe { File::from_raw_fd(ends[1]) }))
}

/// Puts the pages of `[at, at + length)` themselves into a pipe (vmsplice).
/// How many bytes got there.
pub(crate) fn splice_pages(
    pipe: &File,
    mapping: &Mapping,
    at: usize,
    length: usize,
) -> io::Result<usize> {
    assert!(at + length <= mapping.len(), "outside the mapping");
    let start = mapping.ptr().wrapping_add(at);
    let vector = libc::iovec {
        iov_base: start.cast(),
        iov_len: length,
    };
    // SAFETY: The memory holds no Rust object, the kernel may share it.
    check(unsafe { libc::vmsplice(pipe.as_raw_fd(), &vector, 1, libc::SPLICE_F_NONBLOCK) } as _)
}

/// read(2) or write(2) on `file` at `position`, to or from memory of a mapping.
pub(crate) fn transfer(
    file: &File,
    write: bool,
    mapping: &Mapping,
    at: usize,
    length: usize,
    position: i64,
) -> io::Result<usize> {
    assert!(at + length <= mapping.len(), "outside the mapping");
    let start = mapping.ptr().wrapping_add(at).cast::<libc::c_void>();
    let fd = file.as_raw_fd();
    check(if write {
        // SAFETY: The memory may be read by the kernel, or faults.
        unsafe { libc::pwrite(fd, start, length, position) }
    } else {
        // SAFETY: The memory holds no Rust object.
        unsafe { libc::pread(fd, start, length, position) }
    } as _)
}

/// read(2) on a pipe into memory of a mapping.
pub(crate) fn read_into(
    mut file: &File,
    mapping: &Mapping,
    at: usize,
    length: usize,
) -> io::Result<usize> {
    assert!(at + length <= mapping.len(), "outside the mapping");
    let start = mapping.ptr().wrapping_add(at).cast::<libc::c_void>();
    if length == 0 {
        return file.read(&mut []);
    }
    // SAFETY: The memory holds no Rust object.
    check(unsafe { libc::read(file.as_raw_fd(), start, length) } as _)
}

/// Opens for reading and writing, past the page cache.
pub(crate) fn open_direct(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(path)
}

/// An io_uring, for what can be registered with it.
#[derive(Debug)]
pub(crate) struct Ring(OwnedFd);

impl Ring {
    pub(crate) fn new() -> io::Result<Ring> {
        // struct io_uring_params: 120 bytes, all zero.
        let mut parameters = [0u64; 15];
        let entries = 4;
        // SAFETY: The parameters are as large as the structure.
        let fd = check(unsafe {
            libc::syscall(libc::SYS_io_uring_setup, entries, parameters.as_mut_ptr())
        })?;
        // SAFETY: The kernel made it for us.
        Ok(Ring(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Registers `[at, at + length)` as a fixed buffer: a long-term pin.
    pub(crate) fn register(&self, mapping: &Mapping, at: usize, length: usize) -> io::Result<()> {
        const REGISTER_BUFFERS: u32 = 0;
        assert!(at + length <= mapping.len(), "outside the mapping");
        let start = mapping.ptr().wrapping_add(at);
        let vector = libc::iovec {
            iov_base: start.cast(),
            iov_len: length,
        };
        let fd = self.0.as_raw_fd();
        // SAFETY: One vector is passed; its memory holds no Rust object.
        check(unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                fd,
                REGISTER_BUFFERS,
                &raw const vector,
                1,
            )
        })
        .map(drop)
    }
}

/// Asks userfaultfd to handle missing pages of a mapping. EOPNOTSUPP if there
/// is no userfaultfd at all.
pub(crate) fn register_userfaultfd(mapping: &Mapping) -> io::Result<()> {
    const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
    const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
    const API: u64 = 0xaa;
    const MODE_MISSING: u64 = 1;
    // SAFETY: No memory is passed.
    let fd = check(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) })
        .map_err(|_| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
    // SAFETY: The kernel made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // struct uffdio_api: api, features, ioctls.
    let mut api = [API, 0, 0];
    // SAFETY: The structure is as large as the request says.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API as _, api.as_mut_ptr()) }.into())?;
    // struct uffdio_register: start, length, mode, ioctls.
    let mut register = [
        mapping.address() as u64,
        mapping.len() as u64,
        MODE_MISSING,
        0,
    ];
    // SAFETY: As above; the mapping holds no Rust object.
    check(
        unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_REGISTER as _, register.as_mut_ptr()) }.into(),
    )
    .map(drop)
}

/// FUTEX_WAKE on a word of a mapping: how many were woken.
pub(crate) fn futex_wake(mapping: &Mapping, at: usize) -> io::Result<usize> {
    assert!(at < mapping.len(), "outside the mapping");
    let word = mapping.ptr().wrapping_add(at);
    // SAFETY: FUTEX_WAKE does not change the word.
    check(unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, 1) })
}
