// SPDX-License-Identifier: GPL-2.0-only
//! Structures of other sizes than ours, and in memory that cannot be read or
//! written.

use std::io;
use std::os::fd::AsFd;

use super::uapi::{Fixture, good_map};
use crate::selftest::check::{Outcome, Stop, ensure_eq, fails, fails_with_one_of};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{BASE, PAGE, bytes};
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
    first_version_of_limit_knows_pages_only,
    first_version_of_stats_is_filled,
    structure_across_the_end_of_memory_is_efault,
    an_unwritable_result_changes_nothing,
    arguments_that_are_only_read_may_be_read_only,
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

/// A call, its request and the words of its argument.
type Call = (&'static str, libc::c_ulong, Vec<u64>);

fn good<A: Argument>(name: &'static str, argument: A) -> Call {
    (name, A::REQUEST, argument.words())
}

/// Each call with an argument that succeeds, also again and again: what MAP
/// makes, UNMAP removes, both away from the fixture's regions.
fn good_calls() -> Vec<Call> {
    let map = good_map(BASE + bytes(50), FAULTLINE_MAP_FIXED);
    let range = (BASE, PAGE_SIZE);
    vec![
        good("MAP", map),
        good("UNMAP", unmap_of(map.addr, PAGE_SIZE)),
        good(
            "QUERY",
            faultline_query {
                addr: BASE,
                ..Default::default()
            },
        ),
        good("POLICY", faultline_policy::default()),
        good("LIMIT", faultline_limit::default()),
        good("STATS", faultline_stats::default()),
        good("PROTECT", protect_to(range.0, range.1, Prot::READ_WRITE)),
        good("REMAP", stay(range.0, range.1)),
        good("ADVISE", willneed(range.0, range.1)),
    ]
}

fn unmap_of(addr: u64, length: u64) -> faultline_unmap {
    faultline_unmap {
        addr,
        length,
        flags: 0,
    }
}

fn protect_to(addr: u64, length: u64, prot: Prot) -> faultline_protect {
    faultline_protect {
        addr,
        length,
        prot: prot.bits(),
        flags: 0,
    }
}

/// A REMAP to the same length, in place.
fn stay(addr: u64, length: u64) -> faultline_remap {
    faultline_remap {
        addr,
        old_length: length,
        new_length: length,
        ..Default::default()
    }
}

fn willneed(addr: u64, length: u64) -> faultline_advise {
    faultline_advise {
        addr,
        length,
        advice: FAULTLINE_ADVISE_WILLNEED,
        flags: 0,
    }
}

/// Size of the first version of a structure in bytes.
fn first_size(name: &str, ours: usize) -> usize {
    match name {
        "LIMIT" => 8,
        "STATS" => 144,
        _ => ours,
    }
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
    // All did what they should.
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
        let first = first_size(name, ours);
        for size in [0, 1, 4, first / 2, first - 4, first - 1] {
            let what = format!("{name} of {size} bytes");
            let at = Guarded::last(ours);
            let result = memory.call(&fixture, with_size(request, size), &words, at)?;
            fails(result, libc::EINVAL, &what)?;
            fixture.before.must_hold(&fixture.arena.space, &what)?;
        }
    }
    Ok(())
}

/// It says nothing about regions, and is not told.
fn first_version_of_limit_knows_pages_only() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    let regions = fixture.arena.space.stats()?.max_regions;
    let at = Guarded::last(16);
    let request = with_size(faultline_limit::REQUEST, 8);
    memory.call(&fixture, request, &[100, 7], at)??;
    ensure_eq!((memory.word(at)?, memory.word(at + 8)?), (100, 7), "words");
    let stats = fixture.arena.space.stats()?;
    let limits = (stats.max_pages, stats.max_regions);
    ensure_eq!(limits, (100, regions), "limits in force");
    Ok(())
}

fn first_version_of_stats_is_filled() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    let words = faultline_stats::default().words().len();
    for size in [144, 152, 192] {
        let at = Guarded::last(8 * words);
        let request = with_size(faultline_stats::REQUEST, size);
        memory.call(&fixture, request, &vec![u64::MAX; words], at)??;
        let expected = fixture.arena.space.stats()?.words();
        for (i, &word) in expected.iter().enumerate() {
            let what = format!("word {i} of {size} bytes");
            let there = if 8 * i < size { word } else { u64::MAX };
            ensure_eq!(memory.word(at + 8 * i)?, there, "{what}");
        }
    }
    Ok(())
}

fn structure_across_the_end_of_memory_is_efault() -> Outcome {
    let fixture = Fixture::new()?;
    let memory = Guarded::new()?;
    for (name, request, words) in good_calls() {
        // All but the last word is there.
        let there = &words[..words.len() - 1];
        let result = memory.call(&fixture, request, there, Guarded::last(there.len() * 8))?;
        fails(result, libc::EFAULT, name)?;
        fixture.before.must_hold(&fixture.arena.space, name)?;
    }
    Ok(())
}

fn an_unwritable_result_changes_nothing() -> Outcome {
    let fixture = Fixture::new()?;
    for (name, request, words) in good_calls() {
        // These write none.
        if ["UNMAP", "PROTECT", "ADVISE"].contains(&name) {
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

/// Calls with the structure in memory that cannot be written.
fn call_read_only<A: Argument>(fixture: &Fixture, argument: A) -> Result<io::Result<()>, Stop> {
    let memory = Mapping::anonymous(PAGE)?;
    for (i, word) in argument.words().into_iter().enumerate() {
        memory.store(8 * i, word)?;
    }
    memory.protect(0, PAGE, libc::PROT_READ)?;
    let fd = fixture.arena.space.as_fd();
    Ok(call_at(fd, A::REQUEST, &memory, 0))
}

fn arguments_that_are_only_read_may_be_read_only() -> Outcome {
    let fixture = Fixture::new()?;
    call_read_only(&fixture, willneed(BASE, bytes(16)))??;
    call_read_only(&fixture, protect_to(BASE, bytes(16), Prot::READ))??;
    let expected = [(0, 16, Prot::READ), (32, 36, Prot::READ)];
    ensure_eq!(fixture.arena.shape()?, expected, "regions");
    call_read_only(&fixture, unmap_of(BASE, bytes(16)))??;
    ensure_eq!(fixture.arena.shape()?.len(), 1, "regions left");
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
