// SPDX-License-Identifier: GPL-2.0-only
//! Files that std cannot make, and what can be done to them.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::check;

/// memfd_create of huge pages.
pub(crate) fn huge() -> io::Result<File> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_HUGETLB;
    // SAFETY: The name ends with a zero.
    let fd = check(unsafe { libc::memfd_create(c"faultline-test".as_ptr(), flags) }.into())?;
    // SAFETY: The kernel made it for us.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}

/// memfd_secret: memory that the kernel itself does not have mapped.
pub(crate) fn secret() -> io::Result<File> {
    // SAFETY: No memory is passed.
    let fd = check(unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) })?;
    // SAFETY: The kernel made it for us.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}

/// Whether accesses to the file reach its device without a page cache.
pub(crate) fn is_dax(file: &File) -> io::Result<bool> {
    // SAFETY: All bytes of it are numbers.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    let (fd, flags) = (file.as_raw_fd(), libc::AT_EMPTY_PATH);
    // SAFETY: The name ends with a zero, and the status is writable.
    check(unsafe { libc::statx(fd, c"".as_ptr(), flags, 0, &mut status) }.into())?;
    Ok(status.stx_attributes & libc::STATX_ATTR_DAX as u64 != 0)
}

/// Adds `F_SEAL_*` to a memfd.
pub(crate) fn seal(file: &File, seals: libc::c_int) -> io::Result<()> {
    // SAFETY: No memory is passed.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) }.into()).map(drop)
}

/// fallocate, in bytes.
pub(crate) fn fallocate(
    file: &File,
    mode: libc::c_int,
    offset: u64,
    length: u64,
) -> io::Result<()> {
    let (offset, length) = (offset as libc::off_t, length as libc::off_t);
    // SAFETY: No memory is passed.
    check(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, length) }.into()).map(drop)
}

/// A file system of one's own. It goes when dropped, files in use later.
#[derive(Debug)]
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts a new file system of this type, with these options.
    pub(crate) fn new(kind: &str, source: &str, options: &str) -> io::Result<Mount> {
        let place = PathBuf::from(format!("/tmp/faultline-{kind}-{}", std::process::id()));
        fs::create_dir(&place)?;
        let mount = Mount(place);
        let text = |text: &[u8]| CString::new(text).map_err(io::Error::from);
        let (source, kind) = (text(source.as_bytes())?, text(kind.as_bytes())?);
        let (place, options) = (
            text(mount.0.as_os_str().as_bytes())?,
            text(options.as_bytes())?,
        );
        let data = options.as_ptr().cast();
        let (source, place, kind) = (source.as_ptr(), place.as_ptr(), kind.as_ptr());
        // SAFETY: All strings end with a zero and outlive the call.
        check(unsafe { libc::mount(source, place, kind, 0, data) }.into())?;
        Ok(mount)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// umount, which is refused while a file is in use; waits a little for the
    /// last one to be let go.
    pub(crate) fn unmount(&self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_millis(500);
        let place = CString::new(self.0.as_os_str().as_bytes())?;
        loop {
            // SAFETY: The string ends with a zero.
            match check(unsafe { libc::umount2(place.as_ptr(), 0) }.into()) {
                Err(error)
                    if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
                {
                    thread::sleep(Duration::from_millis(10));
                }
                result => return result.map(drop),
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Ok(place) = CString::new(self.0.as_os_str().as_bytes()) {
            // SAFETY: The string ends with a zero.
            unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        }
        let _ = fs::remove_dir(&self.0);
    }
}
