// SPDX-License-Identifier: GPL-2.0-only
//! Windows on a memfd, which is mapped as the device is, but for areas: those of
//! a memfd the kernel joins.

use super::*;
use crate::access::Signal;

const PAGE: usize = PAGE_SIZE as usize;

/// What may be taken for a space as long as only windows are made.
fn memory(pages: usize) -> Space {
    use std::os::fd::{FromRawFd, OwnedFd};

    // SAFETY: The name is a C string.
    let fd = unsafe { libc::memfd_create(c"options".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0, "memfd: {}", io::Error::last_os_error());
    // SAFETY: It was just made, and has no other owner.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let file = std::fs::File::from(fd);
    file.set_len((pages * PAGE) as u64).expect("ftruncate");
    Space::from(OwnedFd::from(file))
}

fn errno(result: io::Result<Window>) -> Option<i32> {
    result.expect_err("no window is made").raw_os_error()
}

/// Whether any of `space` is still mapped.
fn is_mapped(space: &Space) -> bool {
    let fd = space.as_fd().as_raw_fd();
    let file = std::fs::metadata(format!("/proc/self/fd/{fd}")).expect("a file");
    let inode = format!(" {} ", std::os::unix::fs::MetadataExt::ino(&file));
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    maps.lines()
        .any(|line| line.contains("/memfd:options") && line.contains(&inode))
}

#[test]
fn an_aligned_window_begins_at_a_multiple() {
    let space = memory(4);
    for alignment in [PAGE, 1 << 21, 1 << 30] {
        for _ in 0..3 {
            let window = WindowOptions::new().align(alignment);
            let window = window.open(&space, 0, 4 * PAGE).expect("a window");
            assert_eq!(window.ptr().addr() % alignment, 0, "{alignment}");
            assert_eq!(window.store(3 * PAGE, 1), Ok(()));
        }
    }
}

#[test]
fn a_long_window_lies_as_leaves_do() {
    let space = memory(3 * LEAF / PAGE);
    for offset in [0, LEAF - PAGE, LEAF, PAGE] {
        let window = space.window(offset as u64, LEAF + PAGE).expect("a window");
        assert_eq!(window.ptr().addr() % LEAF, offset % LEAF, "{offset:#x}");
        assert_eq!(window.store(LEAF, 1), Ok(()));
    }
}

#[test]
fn a_window_at_an_address_replaces_nothing() {
    let space = memory(8);
    let first = space.window(0, 4 * PAGE).expect("a window");
    let place = first.ptr().addr();
    let over = WindowOptions::new().at(place + PAGE);
    assert_eq!(errno(over.open(&space, 0, PAGE)), Some(libc::EEXIST));
    assert_eq!(first.store(PAGE, 5), Ok(()));

    let free = free_interval(1 << 20).expect("room");
    let window = WindowOptions::new().at(free);
    let window = window.open(&space, 0, 4 * PAGE).expect("a window");
    assert_eq!(window.ptr().addr(), free);
    assert_eq!(window.load(PAGE), Ok(5));
}

#[test]
fn stripes_show_the_same_as_one_mapping() {
    let space = memory(7);
    let whole = space.window(PAGE as u64, 5 * PAGE).expect("a window");
    let striped = space.striped_window(PAGE as u64, 5 * PAGE, 2 * PAGE);
    let striped = striped.expect("stripes");
    assert_eq!((striped.len(), striped.offset()), (5 * PAGE, PAGE as u64));
    for page in 0..5 {
        assert_eq!(striped.store(page * PAGE, 10 + page as u64), Ok(()));
    }
    for page in 0..5 {
        assert_eq!(whole.load(page * PAGE), Ok(10 + page as u64), "page {page}");
    }
}

#[test]
fn a_length_that_is_no_whole_pages_keeps_its_last_page() {
    let space = memory(3);
    let striped = space
        .striped_window(0, 2 * PAGE + 8, PAGE)
        .expect("stripes");
    assert_eq!(striped.len(), 2 * PAGE + 8);
    assert_eq!(striped.store(2 * PAGE, 3), Ok(()));
    assert!(is_mapped(&space));
    drop(striped);
    assert!(!is_mapped(&space), "the last page is left");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let space = memory(4);
    let new = WindowOptions::new;
    for options in [
        new().stripe(0),
        new().stripe(PAGE + 1),
        new().stripe(1),
        // Even where there is only one stripe.
        new().stripe(64 * PAGE + 8),
        new().align(0),
        new().align(8),
        new().align(3 * PAGE),
        new().at(0),
        new().at(PAGE + 8),
    ] {
        let error = errno(options.open(&space, 0, 4 * PAGE));
        assert_eq!(error, Some(libc::EINVAL), "{options:?}");
    }
    assert_eq!(errno(new().open(&space, 0, 0)), Some(libc::EINVAL));
    assert_eq!(errno(new().open(&space, 8, PAGE)), Some(libc::EINVAL));
    assert_eq!(
        errno(new().open(&space, u64::MAX, PAGE)),
        Some(libc::EINVAL)
    );
}

#[test]
fn a_leaked_window_stays() {
    let space = memory(1);
    let area = space.window(0, PAGE).expect("a window").leak();
    drop(space);
    let stored = std::thread::spawn(move || area.store(8, 9)).join();
    assert_eq!(stored.ok(), Some(Ok(())));
    assert_eq!(area.load(8), Ok(9));
}

#[test]
fn behind_the_end_of_the_memory_is_a_bus_error() {
    let window = memory(1).window(0, 2 * PAGE).expect("a window");
    let fault = window.load(PAGE).expect_err("a fault");
    assert_eq!(fault.signal, Signal::Bus);
}
