// SPDX-License-Identifier: GPL-2.0-only
//! will-it-scale's page_fault1, page_fault3 and mmap1: each thread maps a large buffer,
//! stores to each page or to none, and unmaps it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::{Kind, USUAL};
use crate::bench::MIB;
use crate::bench::memory::{Arena, Piece, Show};
use crate::bench::target::Subject;
use crate::bench::team::Go;
use crate::bench::turn::{APART, Outcome, Sizes, Turn};
use crate::{PAGE_SIZE, sys};

/// What mmap1 maps, in bytes. It takes no longer for being large.
const UNTOUCHED: u64 = 128 * MIB;

pub(super) static KINDS: [Kind; 3] = [
    Kind {
        name: "page_fault1",
        about: |sizes| {
            format!(
                "each thread maps {} MiB of memory of its own, stores a byte to each page and \
                 unmaps it",
                mib(sizes)
            )
        },
        weight: 2,
        unfit: |on, _| {
            on.keeps_pages()
                .then_some("it is of pages that nobody has touched before: see page_fault3")
        },
        run: |turn| {
            let arena = turn.arena(turn.sizes.buffer)?;
            faults(turn, &arena, |number| {
                Ok(Buffer::Part(number as u64 * APART))
            })
        },
        ..USUAL
    },
    Kind {
        name: "page_fault3",
        about: |sizes| {
            format!(
                "each thread maps {} MiB of a file of its own (a space: of a memfd), shared, \
                 stores a byte to each page and unmaps it",
                mib(sizes)
            )
        },
        peer: Subject::Memfd,
        weight: 2,
        unfit: |on, _| {
            matches!(on, Subject::Anon | Subject::SharedAnon)
                .then_some("it is of a file's pages: see page_fault1")
        },
        run: page_fault3,
        ..USUAL
    },
    Kind {
        name: "mmap1",
        about: |_| "each thread maps 128 MiB and unmaps them, untouched".to_owned(),
        unit: "map+unmap",
        run: mmap1,
        ..USUAL
    },
];

fn mib(sizes: &Sizes) -> u64 {
    sizes.buffer / MIB
}

/// What a thread maps.
enum Buffer {
    /// The part of the common arena from this byte on.
    Part(u64),
    /// This memfd, at a place of the common space.
    Memfd(u64, OwnedFd),
    /// All of an arena of its own.
    Own(Arena),
}

impl Buffer {
    fn map(&self, arena: &Arena, length: u64) -> io::Result<Piece> {
        match self {
            Buffer::Part(at) => arena.map(*at, length),
            Buffer::Memfd(at, memfd) => arena.map_memfd(*at, length, memfd.as_fd()),
            Buffer::Own(arena) => arena.map(0, length),
        }
    }
}

fn page_fault3(turn: &Turn<'_>) -> io::Result<Outcome> {
    let length = turn.sizes.buffer;
    let arena = turn.arena(length)?;
    faults(turn, &arena, |number| {
        if turn.on.is_space() {
            return Ok(Buffer::Memfd(number as u64 * APART, sys::memfd(length)?));
        }
        let own = turn
            .on
            .arena(turn.dir, length, length / PAGE_SIZE, Show::Whole)?;
        Ok(Buffer::Own(own))
    })
}

fn faults(
    turn: &Turn<'_>,
    arena: &Arena,
    buffer: impl Fn(usize) -> io::Result<Buffer> + Sync,
) -> io::Result<Outcome> {
    let length = turn.sizes.buffer;
    turn.count(arena.space(), buffer, |_, buffer, go| {
        let mut pages = 0;
        while !go.is_over() {
            let piece = buffer.map(arena, length)?;
            pages += piece.touch_while(|| go.on());
            arena.unmap(piece)?;
        }
        Ok(pages)
    })
}

fn mmap1(turn: &Turn<'_>) -> io::Result<Outcome> {
    let arena = turn.arena(UNTOUCHED)?;
    let work = |number, (): &mut (), go: &Go<'_>| {
        let mut count = 0;
        while go.on() {
            let piece = arena.map(number as u64 * APART, UNTOUCHED)?;
            arena.unmap(piece)?;
            count += 1;
        }
        Ok(count)
    };
    turn.count(arena.space(), |_| Ok(()), work)
}
