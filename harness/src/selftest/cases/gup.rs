// SPDX-License-Identifier: GPL-2.0-only
//! Another process, or a debugger, reaches into a window.

use std::io;
use std::time::Duration;

use crate::Prot;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails, fails_with_one_of, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, window};
use crate::selftest::sys::gup::{Ring, attach, detach, poke, read_remote, write_remote};
use crate::selftest::sys::memory::{Board, Mapping};
use crate::selftest::sys::process::Child;

pub(super) const TESTS: &[Test] = tests![Needs::Module, "gup":
    process_vm_readv_sees_the_pages,
    process_vm_readv_touches_fresh_pages,
    process_vm_readv_without_region_is_efault,
    process_vm_writev_is_seen_in_the_window,
    process_vm_writev_stops_at_a_read_only_region,
    ptrace_writes_to_a_writable_region,
    ptrace_cannot_write_to_a_read_only_region,
    io_uring_fixed_buffer_is_efault,
];

/// A child that has a window of its own, and stays until it is told to go.
struct Peer {
    child: Child,
    address: usize,
    board: &'static Board,
}

impl Peer {
    /// The window is made in the child: we have no entry of it. `check` is what
    /// the child does in the end.
    fn new(arena: &Arena, pages: usize, check: fn(&Mapping) -> Outcome) -> Result<Peer, Stop> {
        let board = Board::new()?;
        let child = Child::fork(|| {
            let view = window(&arena.space, BASE, pages)?;
            board.set(1, view.address() as u64);
            board.set(0, 1);
            board.wait(2, 1)?;
            check(&view)
        })?;
        board.wait(0, 1)?;
        let address = board.get(1) as usize;
        Ok(Peer {
            child,
            address,
            board,
        })
    }

    fn read(&self, page: usize, length: usize) -> io::Result<Vec<u8>> {
        read_remote(self.child.pid(), self.address + page * PAGE, length)
    }

    fn write(&self, page: usize, bytes: &[u8]) -> io::Result<usize> {
        write_remote(self.child.pid(), self.address + page * PAGE, bytes)
    }

    fn finish(self) -> Outcome {
        self.board.set(2, 1);
        self.child.finish(Duration::from_secs(20))
    }
}

fn nothing(_window: &Mapping) -> Outcome {
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn process_vm_readv_sees_the_pages() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.stamp(0, 8, 900)?;
    let peer = Peer::new(&arena, 8, nothing)?;
    let seen = peer.read(0, 8 * PAGE)?;
    ensure_eq!(seen.len(), 8 * PAGE, "bytes read");
    for page in 0..8 {
        ensure_eq!(word(&seen, page * PAGE), 900 + page as u64, "page {page}");
    }
    peer.finish()
}

fn process_vm_readv_touches_fresh_pages() -> Outcome {
    let arena = Arena::new(8, Prot::READ)?;
    let peer = Peer::new(&arena, 8, nothing)?;
    let seen = peer.read(0, 8 * PAGE)?;
    ensure_eq!(seen.len(), 8 * PAGE, "bytes read");
    ensure!(
        seen.iter().all(|&byte| byte == 0),
        "a fresh page is not zero"
    );
    ensure_eq!(arena.space.stats()?.pages, 8, "pages held");
    peer.finish()
}

fn process_vm_readv_without_region_is_efault() -> Outcome {
    let arena = Arena::empty(8)?;
    arena.remap(0, 2, Prot::READ_WRITE)?;
    arena.remap(4, 2, Prot::NONE)?;
    let peer = Peer::new(&arena, 8, nothing)?;
    fails(peer.read(2, 8), libc::EFAULT, "read of a hole")?;
    fails(
        peer.read(4, 8),
        libc::EFAULT,
        "read of a region without access",
    )?;
    let over_the_edge = peer.read(1, 2 * PAGE)?;
    ensure_eq!(
        over_the_edge.len(),
        PAGE,
        "bytes read over the edge of a region"
    );
    peer.finish()
}

fn process_vm_writev_is_seen_in_the_window() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    // Pages 0 to 3 have been read, so the write is an upgrade.
    let peer = Peer::new(&arena, 8, |view| {
        for at in (0..8 * PAGE).step_by(8) {
            reads(
                view.load(at),
                u64::from_ne_bytes([0x5a; 8]),
                &format!("byte {at:#x}"),
            )?;
        }
        Ok(())
    })?;
    peer.read(0, 4 * PAGE)?;
    ensure_eq!(peer.write(0, &[0x5a; 8 * PAGE])?, 8 * PAGE, "bytes written");
    reads(
        arena.window.load(7 * PAGE),
        u64::from_ne_bytes([0x5a; 8]),
        "in our own window",
    )?;
    peer.finish()
}

fn process_vm_writev_stops_at_a_read_only_region() -> Outcome {
    let arena = Arena::empty(4)?;
    arena.remap(0, 1, Prot::READ_WRITE)?;
    arena.remap(1, 2, Prot::READ)?;
    arena.window.load(PAGE)?;
    let peer = Peer::new(&arena, 4, nothing)?;
    peer.read(1, 8)?;
    fails(
        peer.write(1, &[1; 8]),
        libc::EFAULT,
        "write to a page that was read",
    )?;
    fails(
        peer.write(2, &[1; 8]),
        libc::EFAULT,
        "write to a fresh page",
    )?;
    fails(peer.write(3, &[1; 8]), libc::EFAULT, "write to a hole")?;
    ensure_eq!(
        peer.write(0, &[1; 2 * PAGE])?,
        PAGE,
        "bytes written over the edge"
    );
    for page in 1..3 {
        reads(arena.window.load(page * PAGE), 0, &format!("page {page}"))?;
    }
    peer.finish()
}

fn ptrace_writes_to_a_writable_region() -> Outcome {
    let arena = Arena::new(2, Prot::READ_WRITE)?;
    arena.window.load(0)?;
    let peer = Peer::new(&arena, 2, |view| reads(view.load(PAGE), 78, "in the child"))?;
    attach(peer.child.pid())?;
    poke(peer.child.pid(), peer.address, 77)?;
    poke(peer.child.pid(), peer.address + PAGE, 78)?;
    detach(peer.child.pid())?;
    reads(arena.window.load(0), 77, "page that was read before")?;
    reads(arena.window.load(PAGE), 78, "fresh page")?;
    peer.finish()
}

fn ptrace_cannot_write_to_a_read_only_region() -> Outcome {
    let arena = Arena::empty(4)?;
    arena.remap(0, 2, Prot::READ)?;
    arena.remap(2, 1, Prot::NONE)?;
    arena.window.load(0)?;
    let peer = Peer::new(&arena, 4, |view| {
        reads(view.load(0), 0, "in the child")?;
        reads(view.load(PAGE), 0, "in the child")
    })?;
    let pid = peer.child.pid();
    attach(pid)?;
    // FOLL_FORCE must not get past the region.
    let results: Vec<_> = (0..4)
        .map(|page| poke(pid, peer.address + page * PAGE, 0xbad))
        .collect();
    detach(pid)?;
    for (page, result) in results.into_iter().enumerate() {
        let what = format!("POKEDATA to page {page}");
        fails_with_one_of(result, &[libc::EIO, libc::EFAULT], &what)?;
    }
    reads(arena.window.load(0), 0, "in our own window")?;
    peer.finish()
}

fn io_uring_fixed_buffer_is_efault() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 5)?;
    let ring = Ring::new().map_err(|error| Stop::skip(format!("no io_uring: {error}")))?;
    // That ordinary memory can be registered shows that the call is right.
    let ordinary = Mapping::anonymous(4 * PAGE)?;
    Ring::new()?.register(&ordinary, 0, 4 * PAGE)?;
    for (what, at) in [("touched pages", 0), ("fresh pages", 2 * PAGE)] {
        let result = ring.register(&arena.window, at, 2 * PAGE);
        fails(result, libc::EFAULT, &format!("a long-term pin of {what}"))?;
    }
    Arena::holds(&arena.window, 0, 2, 5, "afterwards")?;
    arena.unmap(0, 4)
}
