// SPDX-License-Identifier: GPL-2.0-only
//! Regions over any readable file: a copy of each page, made at first touch.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::concurrency::{for_a_while, in_threads};
use super::query::must_add_up;
use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, raises, reads};
use crate::selftest::files::{Scratch, holds, memfd, private, put, read_only, stamp};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, BASE, Live, PAGE, at, bytes, window};
use crate::selftest::sys::file::Mount;
use crate::selftest::sys::process::Child;
use crate::{Backing, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "private":
    shows_the_file,
    copies_at_first_touch,
    stores_do_not_reach_the_file,
    last_page_reads_zero_behind_the_end,
    beyond_the_last_page_is_sigbus,
    beyond_the_last_page_takes_no_memory,
    shrunk_file_keeps_its_copies,
    grown_file_shows_more,
    holes_read_zero,
    deleted_file_stays,
    closed_file_stays,
    read_only_descriptor_may_be_written_to_memory,
    protection_is_the_regions,
    copies_are_of_the_space,
    unmap_forgets_the_copies,
    pages_count_against_the_limit,
    query_reports_backing_and_offset,
    file_on_ramfs,
    file_on_the_root,
    own_executable_byte_by_byte,
    touched_at_once_is_copied_once,
    file_written_beside_faults,
];

const RW: Prot = Prot::READ_WRITE;
const RO: Prot = Prot::READ;

fn shows_the_file() -> Outcome {
    let scratch = Scratch::stamped(600, 50)?;
    let arena = Arena::backed(590, RO, private(&scratch.file, 7))?;
    Arena::holds(&arena.window, 0, 590, 57, "pages of the file")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.pages_added), (590, 590), "pages");
    must_add_up(&arena.space)
}

fn copies_at_first_touch() -> Outcome {
    let scratch = Scratch::stamped(4, 50)?;
    let arena = Arena::backed(4, RW, private(&scratch.file, 0))?;
    // One by a load, one by a store.
    reads(arena.window.load(0), 50, "first page")?;
    arena.window.store(PAGE + 8, 1)?;
    stamp(&scratch.file, 0, 4, 70)?;
    Arena::holds(&arena.window, 0, 2, 50, "pages touched before")?;
    arena.window.store(8, 1)?;
    Arena::holds(&arena.window, 0, 2, 50, "once stored to")?;
    for page in 2..4 {
        let seen = arena.window.load(page * PAGE)?;
        let either = [50 + page as u64, 70 + page as u64];
        ensure!(either.contains(&seen), "page {page}: {seen}");
    }
    Ok(())
}

fn stores_do_not_reach_the_file() -> Outcome {
    let scratch = Scratch::stamped(4, 50)?;
    let arena = Arena::backed(4, RW, private(&scratch.file, 0))?;
    arena.stamp(0, 4, 10)?;
    holds(&scratch.file, 0, 4, 50, "while mapped")?;
    arena.unmap(0, 4)?;
    holds(&scratch.file, 0, 4, 50, "after UNMAP")
}

fn last_page_reads_zero_behind_the_end() -> Outcome {
    for (kind, file) in [
        ("memfd", memfd(2, 50)?),
        ("tmpfs", Scratch::stamped(2, 50)?.file.try_clone()?),
    ] {
        // Something that must not be seen, and an end inside a page.
        file.write_all_at(&[0xff; PAGE], bytes(1))?;
        file.set_len(bytes(1) + 16)?;
        let arena = Arena::backed(2, RW, private(&file, 0))?;
        reads(
            arena.window.load(PAGE + 8),
            u64::MAX,
            "last word of the file",
        )?;
        for word in (16..PAGE).step_by(8) {
            let what = format!("{kind}: byte {word} of the last page");
            reads(arena.window.load(PAGE + word), 0, &what)?;
        }
        arena.window.store(PAGE + 16, 1)?;
        ensure_eq!(file.metadata()?.len(), bytes(1) + 16, "{kind}: length");
    }
    Ok(())
}

fn beyond_the_last_page_is_sigbus() -> Outcome {
    let scratch = Scratch::stamped(2, 50)?;
    let arena = Arena::backed(4, RW, private(&scratch.file, 0))?;
    for page in 2..4 {
        raises(arena.window.load(page * PAGE), Signal::Bus, "load")?;
        raises(arena.window.store(page * PAGE, 1), Signal::Bus, "store")?;
    }
    let stats = arena.space.stats()?;
    ensure_eq!((stats.fault_no_page, stats.fault_io), (4, 0), "{stats:?}");
    let empty = Scratch::new(Path::new("/tmp"))?;
    arena.place(0, 1, RW, private(&empty.file, 0))?;
    raises(arena.window.load(0), Signal::Bus, "load of an empty file")?;
    must_add_up(&arena.space)
}

/// Of what a failed fault has made for the page nothing is left.
fn beyond_the_last_page_takes_no_memory() -> Outcome {
    const LEAF: usize = 512;
    const LEAVES: usize = 256;
    let scratch = Scratch::stamped(1, 50)?;
    let arena = Arena::backed(LEAVES * LEAF, RW, private(&scratch.file, 0))?;
    reads(arena.window.load(0), 50, "the page of the file")?;
    Live::settle();
    let before = Live::required()?;
    for leaf in 1..LEAVES {
        let page = leaf * LEAF * PAGE;
        raises(arena.window.load(page), Signal::Bus, "load")?;
        raises(arena.window.store(page, 1), Signal::Bus, "store")?;
    }
    let now = Live::required()?;
    ensure_eq!(now.leaves, before.leaves, "leaves");
    before.must_return("after faults beyond the end")
}

fn shrunk_file_keeps_its_copies() -> Outcome {
    let scratch = Scratch::stamped(4, 50)?;
    let arena = Arena::backed(4, RW, private(&scratch.file, 0))?;
    Arena::holds(&arena.window, 1, 2, 50, "before")?;
    scratch.file.set_len(0)?;
    Arena::holds(&arena.window, 1, 2, 50, "copies")?;
    arena.stamp(1, 2, 10)?;
    for page in [0, 3] {
        raises(arena.window.load(page * PAGE), Signal::Bus, "not copied")?;
    }
    Ok(())
}

fn grown_file_shows_more() -> Outcome {
    let scratch = Scratch::stamped(1, 50)?;
    let arena = Arena::backed(3, RO, private(&scratch.file, 0))?;
    raises(arena.window.load(PAGE), Signal::Bus, "beyond the end")?;
    stamp(&scratch.file, 1, 2, 50)?;
    Arena::holds(&arena.window, 0, 2, 50, "once grown")
}

fn holes_read_zero() -> Outcome {
    let scratch = Scratch::stamped(1, 50)?;
    put(&scratch.file, 1000 * PAGE, 7)?;
    scratch.file.set_len(bytes(2000))?;
    let arena = Arena::backed(2000, RW, private(&scratch.file, 0))?;
    reads(arena.window.load(1000 * PAGE), 7, "page that is there")?;
    for page in [1, 512, 999, 1001, 1999] {
        reads(arena.window.load(page * PAGE), 0, &format!("page {page}"))?;
        arena.window.store(page * PAGE, 1)?;
    }
    Ok(())
}

fn deleted_file_stays() -> Outcome {
    let scratch = Scratch::stamped(4, 50)?;
    let arena = Arena::backed(4, RW, private(&scratch.file, 0))?;
    reads(arena.window.load(0), 50, "before")?;
    drop(scratch);
    Arena::holds(&arena.window, 0, 4, 50, "deleted and closed")
}

fn closed_file_stays() -> Outcome {
    let scratch = Scratch::stamped(4, 50)?;
    let own = File::open(&scratch.path)?;
    let Arena { space, window } = Arena::backed(4, RW, private(&own, 0))?;
    drop(own);
    drop(space);
    Arena::holds(&window, 0, 4, 50, "with the window alone")
}

fn read_only_descriptor_may_be_written_to_memory() -> Outcome {
    let scratch = Scratch::stamped(3, 50)?;
    let own = File::open(&scratch.path)?;
    let arena = Arena::backed(3, RW, private(&own, 0))?;
    arena.window.store(0, 1)?;
    arena.place(1, 2, RO, private(&read_only(&scratch.file)?, 1))?;
    arena.protect(0, 3, RW)?;
    arena.stamp(0, 3, 10)?;
    Arena::holds(&arena.window, 0, 3, 10, "stored")?;
    holds(&scratch.file, 0, 3, 50, "afterwards")
}

fn protection_is_the_regions() -> Outcome {
    let scratch = Scratch::stamped(3, 50)?;
    let arena = Arena::backed(3, RO, private(&scratch.file, 0))?;
    raises(arena.window.store(0, 1), Signal::Segv, "store to R")?;
    arena.protect(0, 3, Prot::NONE)?;
    raises(arena.window.load(0), Signal::Segv, "load of NONE")?;
    arena.protect(0, 3, RW)?;
    arena.stamp(0, 3, 10)?;
    arena.protect(0, 3, RO)?;
    raises(arena.window.store(0, 1), Signal::Segv, "store to R again")?;
    Arena::holds(&arena.window, 0, 3, 10, "copies kept")
}

fn copies_are_of_the_space() -> Outcome {
    let scratch = Scratch::stamped(2, 50)?;
    let one = Arena::backed(2, RW, private(&scratch.file, 0))?;
    let two = Arena::backed(2, RW, private(&scratch.file, 0))?;
    one.stamp(0, 2, 10)?;
    Arena::holds(&two.window, 0, 2, 50, "other space")?;
    // All windows of a space share one copy, also those of a child.
    let second = window(&one.space, BASE, 2)?;
    Arena::holds(&second, 0, 2, 10, "second window")?;
    let view = &one.window;
    Child::fork(|| Ok(view.store(PAGE, 77)?))?.finish(AMPLE)?;
    reads(second.load(PAGE), 77, "stored by the child")
}

fn unmap_forgets_the_copies() -> Outcome {
    let scratch = Scratch::stamped(2, 50)?;
    let arena = Arena::backed(2, RW, private(&scratch.file, 0))?;
    arena.stamp(0, 2, 10)?;
    arena.unmap(0, 2)?;
    raises(arena.window.load(0), Signal::Bus, "after UNMAP")?;
    arena.place(0, 2, RW, private(&scratch.file, 0))?;
    Arena::holds(&arena.window, 0, 2, 50, "mapped again")
}

fn pages_count_against_the_limit() -> Outcome {
    let scratch = Scratch::stamped(8, 50)?;
    let arena = Arena::backed(8, RO, private(&scratch.file, 0))?;
    arena.space.limit(3)?;
    Arena::holds(&arena.window, 0, 3, 50, "within the limit")?;
    raises(arena.window.load(3 * PAGE), Signal::Bus, "beyond the limit")?;
    let stats = arena.space.stats()?;
    ensure_eq!((stats.pages, stats.fault_limit), (3, 1), "{stats:?}");
    arena.unmap(0, 1)?;
    reads(arena.window.load(3 * PAGE), 53, "with room again")
}

fn query_reports_backing_and_offset() -> Outcome {
    let scratch = Scratch::stamped(1, 50)?;
    let arena = Arena::backed(4, RW, private(&scratch.file, 3))?;
    let region = arena.space.query(BASE)?;
    let seen = region.map(|r| (r.start, r.end, r.prot, r.backing, r.offset));
    let expected = (BASE, at(4), RW, Backing::PRIVATE, bytes(3));
    ensure_eq!(seen, Some(expected), "region");
    Ok(())
}

/// A file of `dir`, which is no tmpfs: stamped, mapped, and compared.
fn file_in(dir: &Path) -> Outcome {
    let scratch = Scratch::new(dir)?;
    stamp(&scratch.file, 0, 20, 50)?;
    scratch.file.write_all_at(&[0xff; 16], bytes(20))?;
    let arena = Arena::backed(22, RW, private(&scratch.file, 0))?;
    Arena::holds(&arena.window, 0, 20, 50, "pages of the file")?;
    reads(arena.window.load(20 * PAGE + 8), u64::MAX, "last word")?;
    reads(arena.window.load(20 * PAGE + 16), 0, "behind the end")?;
    raises(arena.window.load(21 * PAGE), Signal::Bus, "beyond it")?;
    // A page that is not in the page cache.
    scratch.file.set_len(bytes(22))?;
    reads(arena.window.load(21 * PAGE), 0, "hole")?;
    arena.stamp(0, 20, 10)?;
    holds(&scratch.file, 0, 20, 50, "afterwards")
}

fn file_on_ramfs() -> Outcome {
    let ramfs = Mount::new("ramfs", "none", "")
        .map_err(|error| Stop::skip(format!("mount of a ramfs: {error}")))?;
    file_in(ramfs.path())
}

fn file_on_the_root() -> Outcome {
    file_in(Path::new("/"))
}

fn own_executable_byte_by_byte() -> Outcome {
    let exe = File::open("/proc/self/exe")?;
    let expected = fs::read("/proc/self/exe")?;
    let pages = expected.len().div_ceil(PAGE);
    let arena = Arena::backed(pages, RO, private(&exe, 0))?;
    for (word, chunk) in expected.chunks(8).enumerate() {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        let expected = u64::from_ne_bytes(bytes);
        reads(
            arena.window.load(8 * word),
            expected,
            &format!("word {word}"),
        )?;
    }
    ensure_eq!(arena.space.stats()?.pages, pages as u64, "pages held");
    Ok(())
}

fn touched_at_once_is_copied_once() -> Outcome {
    let scratch = Scratch::stamped(300, 50)?;
    let arena = Arena::backed(300, RW, private(&scratch.file, 0))?;
    in_threads(4, |number| {
        for page in 0..300 {
            let own = page * PAGE + 8 + 8 * number;
            arena.window.store(own, number as u64 + 1)?;
            reads(arena.window.load(page * PAGE), 50 + page as u64, "copy")?;
        }
        Ok(())
    })?;
    for page in 0..300 {
        for number in 0..4 {
            let own = page * PAGE + 8 + 8 * number;
            reads(arena.window.load(own), number as u64 + 1, "own word")?;
        }
    }
    ensure_eq!(arena.space.stats()?.pages_added, 300, "pages added");
    must_add_up(&arena.space)
}

/// A copy has bytes that were in the file while it was made, if perhaps not all
/// of the same moment, and does not change afterwards.
fn file_written_beside_faults() -> Outcome {
    let scratch = Scratch::stamped(2, 0)?;
    let all = |byte: u64| (1 + byte % 200) * 0x0101_0101_0101_0101;
    put(&scratch.file, 0, all(0))?;
    let arena = Arena::empty(1)?;
    for_a_while(Duration::from_millis(1000), 2, |number, round| {
        if number == 0 {
            return put(&scratch.file, 0, all(round));
        }
        arena.place(0, 1, RW, private(&scratch.file, 0))?;
        let copied = arena.window.load(0)?;
        let written = copied
            .to_ne_bytes()
            .iter()
            .all(|byte| (1..=200).contains(byte));
        ensure!(written, "{copied:#x} was never written");
        reads(arena.window.load(0), copied, "the copy once more")
    })?;
    must_add_up(&arena.space)
}
