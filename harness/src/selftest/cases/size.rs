// SPDX-License-Identifier: GPL-2.0-only
//! Structures of other sizes than ours, and in memory that cannot be read or
//! written.

use std::io;
use std::os::fd::AsFd;

use super::uapi::{Fixture, good_map};
use crate::selftest::check::{Outcome, Stop, ensure_eq, fails, fails_with_one_of};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{BASE, PAGE, bytes, layout};
use crate::selftest::sys::call::{Argument, call_at, size_of_request, with_size};
use crate::selftest::sys::memory::Mapping;
use crate::uapi::*;
use crate::{PAGE_SIZE, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "uapi":
    longer_structure_with_zero_tail_is_accepted,
    longer_structure_with_other_tail_is_e2big,
    longer_result_is_cleared_behind_what_is_known,
    longest_structure_is_handled,
    shorter_structure_is_einval,
    structure_across_the_end_of_memory_is_efault,
    unwritable_result_is_efault,
    unwritable_map_result_leaves_the_region,
    unmap_argument_may_be_read_only,
    other_fields_are_written_back_as_passed,
];

/// A page that is followed by one that cannot be accessed.
struct Guarded(Mapping);

impl Guarded {
    fn new() -> Result<Guarded, Stop> {
        let memory = Mapping::anonymous(5 * PAGE)?;
        memory.protect(4 * PAGE, PAGE, libc::PROT_NONE)?;
        Ok(Guarded(memory))
    }

    /// Calls with `words` at byte `at`.
    fn call(
        &self,
        fixture: &Fixture,
        request: libc::c_ulong,
        words: &[u64],
        at: usize,
    ) -> Result<io::Result<()>, Stop> {
        for (i, &word) in words.iter().enumerate() {
            self.0.store(at + 8 * i, word)?;
        }
        Ok(call_at(fixture.arena.space.as_fd(), request, &self.0, at))
    }

    fn word(&self, at: usize) -> Result<u64, Stop> {
        Ok(self.0.load(at)?)
    }

    /// Where a structure of `size` bytes ends with the page.
    fn last(size: usize) -> usize {
        4 * PAGE - size
    }
}

/// Each call with an argument that succeeds. The region of MAP and UNMAP is
/// away from the fixture's.
fn good_calls() -> Vec<(&'static str, libc::c_ulong, Vec<u64>)> {
    let map = good_map(BASE + bytes(50), FAULTLINE_MAP_FIXED);
    let unmap = faultline_unmap {
        addr: map.addr,
        length: PAGE_SIZE,
        flags: 0,
    };
    let query = faultline_query {
        addr: BASE,
        ..Default::default()
    };
    vec![
        ("MAP", faultline_map::REQUEST, map.words()),
        ("UNMAP", faultline_unmap::REQUEST, unmap.words()),
        ("QUERY", faultline_query::REQUEST, query.words()),
        (
            "POLICY",
            faultline_policy::REQUEST,
            faultline_policy::default().words(),
        ),
        (
            "LIMIT",
            faultline_limit::REQUEST,
            faultline_limit::default().words(),
        ),
        (
            "STATS",
            faultline_stats::REQUEST,
            faultline_stats::default().words(),
        ),
    ]
}

fn longer_structure_with_zero_tail_is_accepted() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    for (name, request, words) in good_calls() {
        for more in [8, 16, 200, 1024] {
            let size = words.len() * 8 + more;
            let at = Guarded::last(size);
            let mut longer = words.clone();
            longer.resize(size / 8, 0);
            memory
                .call(&fixture, with_size(request, size), &longer, at)?
                .map_err(|error| Stop::fail(format!("{name} with {more} bytes more: {error}")))?;
            for tail in (words.len() * 8..size).step_by(8) {
                ensure_eq!(
                    memory.word(at + tail)?,
                    0,
                    "{name}: word at {tail} of {size}"
                );
            }
        }
    }
    // The MAPs and UNMAPs did what they should.
    let stats = fixture.arena.space.stats()?;
    ensure_eq!((stats.maps, stats.unmaps), (2 + 4, 4), "maps and unmaps");
    Ok(())
}

fn longer_structure_with_other_tail_is_e2big() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    let with_input = good_calls()
        .into_iter()
        .filter(|&(name, ..)| name != "STATS");
    for (name, request, words) in with_input {
        for (more, place) in [(8, 0), (64, 7), (512, 40), (512, 63)] {
            let size = words.len() * 8 + more;
            let mut longer = words.clone();
            longer.resize(size / 8, 0);
            // In the last byte of a word, so that no word is only looked at in part.
            longer[words.len() + place] = 1 << 56;
            let what = format!("{name} with {more} bytes more, word {place} of them set");
            let at = Guarded::last(size);
            let result = memory.call(&fixture, with_size(request, size), &longer, at)?;
            fails(result, libc::E2BIG, &what)?;
            fixture.before.must_hold(&fixture.arena.space, &what)?;
            for (i, &word) in longer.iter().enumerate() {
                ensure_eq!(memory.word(at + 8 * i)?, word, "{what}: word {i}");
            }
        }
    }
    Ok(())
}

fn longer_result_is_cleared_behind_what_is_known() -> Outcome {
    // STATS takes no input, so its tail may be anything before.
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    let ours = size_of_request(faultline_stats::REQUEST);
    let size = ours + 520;
    let at = Guarded::last(size);
    let request = with_size(faultline_stats::REQUEST, size);
    memory.call(&fixture, request, &vec![u64::MAX; size / 8], at)??;
    ensure_eq!(memory.word(at)?, 2, "first field, regions");
    for tail in (ours..size).step_by(8) {
        ensure_eq!(memory.word(at + tail)?, 0, "word at {tail} of {size}");
    }
    Ok(())
}

fn longest_structure_is_handled() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    let size = 0x3ff8;
    for (name, request, words) in good_calls() {
        let mut longer = words.clone();
        longer.resize(size / 8, 0);
        let at = Guarded::last(size);
        let result = memory.call(&fixture, with_size(request, size), &longer, at)?;
        if result.is_err() {
            fails(result, libc::E2BIG, name)?;
        }
    }
    Ok(())
}

fn shorter_structure_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    for (name, request, words) in good_calls() {
        let ours = size_of_request(request);
        ensure_eq!(ours, words.len() * 8, "{name}: size in the request");
        for size in [0, 1, 4, ours / 2, ours - 4, ours - 1] {
            let what = format!("{name} of {size} bytes");
            let at = Guarded::last(ours);
            let result = memory.call(&fixture, with_size(request, size), &words, at)?;
            fails(result, libc::EINVAL, &what)?;
            fixture.before.must_hold(&fixture.arena.space, &what)?;
        }
    }
    Ok(())
}

fn structure_across_the_end_of_memory_is_efault() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    for (name, request, words) in good_calls() {
        // All but the last word is there; a structure of one word is not.
        let there = &words[..words.len() - 1];
        let result = memory.call(&fixture, request, there, Guarded::last(there.len() * 8))?;
        fails(result, libc::EFAULT, name)?;
        fixture.before.must_hold(&fixture.arena.space, name)?;
    }
    Ok(())
}

fn unwritable_result_is_efault() -> Outcome {
    let fixture = Fixture::new()?;
    for (name, request, words) in good_calls() {
        if name == "MAP" || name == "UNMAP" {
            continue;
        }
        let memory = Guarded::new()?;
        let at = Guarded::last(words.len() * 8);
        for (i, &word) in words.iter().enumerate() {
            memory.0.store(at + 8 * i, word)?;
        }
        memory.0.protect(0, 4 * PAGE, libc::PROT_READ)?;
        let result = call_at(fixture.arena.space.as_fd(), request, &memory.0, at);
        fails(result, libc::EFAULT, name)?;
        fixture.before.must_hold(&fixture.arena.space, name)?;
    }
    Ok(())
}

fn unwritable_map_result_leaves_the_region() -> Outcome {
    let fixture = Fixture::new()?;
    let space = &fixture.arena.space;
    let before = layout(space)?;
    let memory = Mapping::anonymous(PAGE)?;
    let addr = BASE + bytes(50);
    for (i, word) in good_map(addr, FAULTLINE_MAP_FIXED)
        .words()
        .into_iter()
        .enumerate()
    {
        memory.store(8 * i, word)?;
    }
    memory.protect(0, PAGE, libc::PROT_READ)?;
    let result = call_at(space.as_fd(), faultline_map::REQUEST, &memory, 0);
    fails(result, libc::EFAULT, "MAP with an unwritable structure")?;
    let mut expected = before;
    expected.push((addr, addr + PAGE_SIZE, Prot::READ_WRITE));
    ensure_eq!(layout(space)?, expected, "regions");
    Ok(())
}

fn unmap_argument_may_be_read_only() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Mapping::anonymous(PAGE)?;
    let unmap = faultline_unmap {
        addr: BASE,
        length: bytes(16),
        flags: 0,
    };
    for (i, word) in unmap.words().into_iter().enumerate() {
        memory.store(8 * i, word)?;
    }
    memory.protect(0, PAGE, libc::PROT_READ)?;
    call_at(
        fixture.arena.space.as_fd(),
        faultline_unmap::REQUEST,
        &memory,
        0,
    )?;
    ensure_eq!(layout(&fixture.arena.space)?.len(), 1, "regions left");
    Ok(())
}

fn other_fields_are_written_back_as_passed() -> Outcome {
    let fixture = Fixture::new()?;
    let mut map = good_map(BASE + bytes(50), FAULTLINE_MAP_FIXED);
    let passed = map;
    crate::selftest::sys::call::call(fixture.arena.space.as_fd(), &mut map)?;
    ensure_eq!(map.words(), passed.words(), "MAP FIXED");
    let mut query = faultline_query {
        addr: BASE + 17,
        generation: 3,
        ..Default::default()
    };
    crate::selftest::sys::call::call(fixture.arena.space.as_fd(), &mut query)?;
    ensure_eq!(query.addr, BASE + 17, "address of QUERY");
    // What a QUERY was given in its results must not matter, nor remain.
    let generation = query.generation;
    let mut again = faultline_query {
        addr: BASE,
        ..Default::default()
    };
    crate::selftest::sys::call::call(fixture.arena.space.as_fd(), &mut again)?;
    ensure_eq!(again.generation, generation, "generation");
    fails_with_one_of(
        fixture.arena.space.map(
            BASE,
            PAGE_SIZE,
            Prot::READ,
            crate::Placement::FixedNoreplace,
        ),
        &[libc::EEXIST],
        "MAP over the region",
    )
}
