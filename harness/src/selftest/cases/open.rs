// SPDX-License-Identifier: GPL-2.0-only
//! Who may open the device, and what a descriptor of it is good for.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::time::Duration;

use super::uapi::{ANY, good_map};
use crate::selftest::check::{Outcome, ensure, ensure_eq, fails, fails_with_one_of};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{BASE, PAGE, Picture, bytes};
use crate::selftest::sys::call::call;
use crate::selftest::sys::memory::{Mapping, READ_WRITE};
use crate::selftest::sys::process::{Child, become_nobody};
use crate::{Advice, PAGE_SIZE, Placement, Prot, Relocation, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "open":
    read_only_descriptor_is_eacces,
    write_only_descriptor_is_eacces,
    device_is_for_root_only,
    read_write_and_seek_do_nothing,
];

fn read_only_descriptor_is_eacces() -> Outcome {
    refuses_half_open(OpenOptions::new().read(true))
}

fn write_only_descriptor_is_eacces() -> Outcome {
    refuses_half_open(OpenOptions::new().write(true))
}

fn refuses_half_open(options: &OpenOptions) -> Outcome {
    let file = options.open(Space::device())?;
    let space = Space::from(OwnedFd::from(file));
    let before = Picture::take(&space)?;
    for prot in [READ_WRITE, libc::PROT_READ, libc::PROT_NONE] {
        let window = Mapping::of(space.as_fd(), 0, PAGE, prot, libc::MAP_SHARED);
        fails(
            window,
            libc::EACCES,
            &format!("mmap with protection {prot}"),
        )?;
    }
    for (name, flags) in ANY {
        let mut map = good_map(BASE, flags);
        fails(
            call(space.as_fd(), &mut map),
            libc::EACCES,
            &format!("MAP {name}"),
        )?;
    }
    fails(space.unmap(BASE, bytes(1)), libc::EACCES, "UNMAP")?;
    fails(
        space.set_policy(crate::Policy::GLOBAL),
        libc::EACCES,
        "POLICY SET",
    )?;
    fails(space.limit(1), libc::EACCES, "LIMIT of pages")?;
    fails(space.limit_regions(1), libc::EACCES, "LIMIT of regions")?;
    let one = bytes(1);
    fails(
        space.protect(BASE, one, Prot::READ),
        libc::EACCES,
        "PROTECT",
    )?;
    let remapped = space.remap(BASE, one, one, Relocation::MayMove);
    fails(remapped, libc::EACCES, "REMAP")?;
    for advice in [Advice::WillNeed, Advice::DontNeed] {
        let advised = space.advise(BASE, one, advice);
        fails(advised, libc::EACCES, &format!("ADVISE {advice:?}"))?;
    }
    before.must_hold(&space, "refused calls")
}

fn device_is_for_root_only() -> Outcome {
    let status = std::fs::metadata(Space::device())?;
    ensure!(
        status.file_type().is_char_device(),
        "{:?}",
        status.file_type()
    );
    ensure_eq!(status.mode() & 0o7777, 0o600, "mode");
    ensure_eq!((status.uid(), status.gid()), (0, 0), "owner and group");
    let nobody = Child::fork(|| {
        become_nobody()?;
        fails(Space::open(), libc::EACCES, "open by nobody")
    })?;
    nobody.finish(Duration::from_secs(10))
}

fn read_write_and_seek_do_nothing() -> Outcome {
    let mut file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(Space::device())?;
    let refusals = [libc::EINVAL, libc::ESPIPE, libc::EOPNOTSUPP];
    fails_with_one_of(file.read(&mut [0; 8]), &refusals, "read")?;
    fails_with_one_of(file.write(&[0; 8]), &refusals, "write")?;
    // A position that nothing looks at may be moved.
    let _ = file.seek(SeekFrom::Start(PAGE_SIZE));
    let space = Space::from(OwnedFd::from(file));
    space.map(BASE, bytes(1), Prot::READ_WRITE, Placement::FixedNoreplace)?;
    Ok(())
}
