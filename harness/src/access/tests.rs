// SPDX-License-Identifier: GPL-2.0-only
//! Accesses to ordinary memory that faults.

use std::ptr::{self, NonNull};

use super::*;

/// A mapping of two pages, unmapped when dropped.
struct Mapping(NonNull<u8>);

const PAGE: usize = 4096;

impl Mapping {
    fn new(prot: i32, flags: i32, fd: i32) -> Mapping {
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(ptr::null_mut(), 2 * PAGE, prot, flags, fd, 0) };
        assert_ne!(
            start,
            libc::MAP_FAILED,
            "mmap: {}",
            std::io::Error::last_os_error()
        );
        Mapping(NonNull::new(start.cast()).expect("mmap does not return null"))
    }

    fn area(&self) -> Area<'_> {
        // SAFETY: The mapping is ours and holds no Rust object.
        unsafe { Area::new(self.0, 2 * PAGE) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The mapping is ours.
        unsafe { libc::munmap(self.0.as_ptr().cast(), 2 * PAGE) };
    }
}

const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
const SEGV_ACCERR: i32 = 2;
const BUS_ADRERR: i32 = 2;

#[test]
fn a_store_is_loaded_back() {
    let mapping = Mapping::new(READ_WRITE, ANONYMOUS, -1);
    assert_eq!(mapping.area().load(8), Ok(0));
    assert_eq!(mapping.area().store(8, u64::MAX - 1), Ok(()));
    assert_eq!(mapping.area().load(8), Ok(u64::MAX - 1));
    assert_eq!(mapping.area().load(2 * PAGE - 8), Ok(0));
}

#[test]
fn no_access_is_a_segv_each_time() {
    let mapping = Mapping::new(libc::PROT_NONE, ANONYMOUS, -1);
    let fault = Fault {
        signal: Signal::Segv,
        code: SEGV_ACCERR,
    };
    for _ in 0..3 {
        assert_eq!(mapping.area().load(0), Err(fault));
        assert_eq!(mapping.area().store(PAGE, 1), Err(fault));
    }
}

#[test]
fn read_only_memory_loads_and_refuses_stores() {
    let mapping = Mapping::new(libc::PROT_READ, ANONYMOUS, -1);
    assert_eq!(mapping.area().load(0), Ok(0));
    assert_eq!(
        mapping.area().store(0, 1).map_err(|fault| fault.signal),
        Err(Signal::Segv)
    );
}

#[test]
fn behind_the_end_of_a_file_is_a_bus_error() {
    // SAFETY: The name is a C string.
    let fd = unsafe { libc::memfd_create(c"access".as_ptr(), 0) };
    // SAFETY: The descriptor is ours.
    assert_eq!(unsafe { libc::ftruncate(fd, PAGE as i64) }, 0);
    let mapping = Mapping::new(READ_WRITE, libc::MAP_SHARED, fd);
    let fault = Fault {
        signal: Signal::Bus,
        code: BUS_ADRERR,
    };
    assert_eq!(mapping.area().store(0, 7), Ok(()));
    assert_eq!(mapping.area().load(PAGE), Err(fault));
    assert_eq!(mapping.area().store(PAGE + 16, 1), Err(fault));
    // SAFETY: The descriptor is ours and not used again.
    unsafe { libc::close(fd) };
}

#[test]
fn threads_fault_independently() {
    let mapping = Mapping::new(libc::PROT_NONE, ANONYMOUS, -1);
    let area = mapping.area();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..1000).for_each(|_| assert!(area.load(0).is_err())));
        }
    });
}

#[test]
fn bytes_are_read_as_they_were_written() {
    let mapping = Mapping::new(READ_WRITE, ANONYMOUS, -1);
    let text: Vec<u8> = (0..=255).cycle().take(2 * PAGE - 3).collect();
    let mut back = vec![0; text.len()];
    assert_eq!(mapping.area().write(3, &text), Ok(()));
    assert_eq!(mapping.area().read(3, &mut back), Ok(()));
    assert_eq!(back, text);
    assert_eq!(mapping.area().load(0), Ok(0x0403_0201_0000_0000));
    assert_eq!(mapping.area().read(2 * PAGE, &mut []), Ok(()));
}

#[test]
fn a_copy_stops_at_the_byte_that_faults() {
    let mapping = Mapping::new(READ_WRITE, ANONYMOUS, -1);
    let area = mapping.area();
    let second = mapping.0.as_ptr().wrapping_add(PAGE);
    // SAFETY: The mapping is ours and holds no Rust object.
    let result = unsafe { libc::mprotect(second.cast(), PAGE, libc::PROT_NONE) };
    assert_eq!(result, 0);
    let fault = Fault {
        signal: Signal::Segv,
        code: SEGV_ACCERR,
    };
    let stopped = |copied| Err(Stopped { copied, fault });
    let mut bytes = [7; 100];
    assert_eq!(area.write(PAGE - 60, &bytes), stopped(60));
    assert_eq!(area.read(PAGE - 61, &mut bytes), stopped(61));
    assert_eq!(bytes[..2], [0, 7], "what was copied stays");
    assert_eq!(bytes[60..62], [7, 7], "what was not is as it was");
    assert_eq!(area.write(PAGE, &bytes), stopped(0));
    assert_eq!(area.read(2 * PAGE - 100, &mut bytes), stopped(0));
}

/// The other side of a copy is the caller's, and its faults are not reported.
#[test]
fn a_fault_of_the_other_side_of_a_copy_still_kills() {
    let mapping = Mapping::new(READ_WRITE, ANONYMOUS, -1);
    let closed = Mapping::new(libc::PROT_NONE, ANONYMOUS, -1);
    let signal = killed_by(|| {
        // SAFETY: It is not, and meant to kill the child.
        let bytes = unsafe { std::slice::from_raw_parts(closed.0.as_ptr(), 8) };
        let _ = mapping.area().write(0, bytes);
    });
    assert_eq!(signal, Some(libc::SIGSEGV));
}

#[test]
#[should_panic(expected = "byte 8190 of 8192, and 3 from there on")]
fn a_copy_outside_the_area_panics() {
    let mapping = Mapping::new(READ_WRITE, ANONYMOUS, -1);
    let _ = mapping.area().read(2 * PAGE - 2, &mut [0; 3]);
}

#[test]
#[should_panic(expected = "byte 8192")]
fn an_access_outside_the_area_panics() {
    let mapping = Mapping::new(READ_WRITE, ANONYMOUS, -1);
    let _ = mapping.area().load(2 * PAGE);
}

#[test]
fn a_segv_elsewhere_still_kills() {
    let mapping = Mapping::new(libc::PROT_NONE, ANONYMOUS, -1);
    let _installed = mapping.area();
    let signal = killed_by(|| {
        // SAFETY: This is meant to kill the child, and nobody else.
        unsafe { mapping.0.as_ptr().read_volatile() };
    });
    assert_eq!(signal, Some(libc::SIGSEGV));
}

/// The signal that kills a child which does `what`; none if it survives.
fn killed_by(what: impl FnOnce()) -> Option<i32> {
    // SAFETY: The child only touches memory that is there, or dies of it.
    let child = unsafe { libc::fork() };
    if child == 0 {
        what();
        // SAFETY: No destructor may run in the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: It is our child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
}
