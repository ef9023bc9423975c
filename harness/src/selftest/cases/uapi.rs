// SPDX-License-Identifier: GPL-2.0-only
//! Arguments that must be refused, with the documented errno and no effect.

use std::os::fd::AsFd;

use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, Picture, SPACE_SIZE};
use crate::selftest::sys::call::{Argument, Nowhere, call, call_nowhere};
use crate::selftest::sys::memory::Mapping;
use crate::uapi::*;
use crate::{PAGE_SIZE, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "uapi":
    unaligned_addr_is_einval,
    unaligned_length_is_einval,
    zero_length_is_einval,
    overflowing_range_is_einval,
    range_beyond_the_space_is_einval,
    unknown_map_flags_are_einval,
    noreplace_implies_fixed,
    unknown_protection_is_einval,
    unknown_backing_is_einval,
    anon_with_a_file_is_einval,
    unmap_flags_are_einval,
    query_beyond_the_space_is_einval,
    unknown_policy_is_einval,
    policy_can_be_read_and_set,
    raising_the_limit_is_eperm,
    bad_pointer_is_efault,
    unknown_number_is_enotty,
    wrong_magic_is_enotty,
];

/// A space with some regions and pages, and how it looked.
pub(super) struct Fixture {
    pub(super) arena: Arena,
    pub(super) before: Picture,
}

impl Fixture {
    pub(super) fn new() -> Result<Fixture, Stop> {
        let arena = Arena::empty(64)?;
        arena.remap(0, 16, Prot::READ_WRITE)?;
        arena.remap(32, 4, Prot::READ)?;
        arena.stamp(0, 3, 1)?;
        arena.window.load(32 * PAGE)?;
        let before = Picture::take(&arena.space)?;
        Ok(Fixture { arena, before })
    }

    /// The call must be refused with `errno` and change nothing, the argument
    /// included.
    #[track_caller]
    fn refuses<A: Argument>(&self, argument: A, errno: i32, what: &str) -> Outcome {
        let mut passed = argument;
        fails(call(self.arena.space.as_fd(), &mut passed), errno, what)?;
        ensure_eq!(
            passed.words(),
            argument.words(),
            "{what}: argument after the call"
        );
        self.before.must_hold(&self.arena.space, what)
    }

    #[track_caller]
    fn refuses_all<A: Argument>(&self, arguments: &[(&str, A)], errno: i32) -> Outcome {
        arguments
            .iter()
            .try_for_each(|&(what, argument)| self.refuses(argument, errno, what))
    }
}

/// A MAP of one page at `addr` that would succeed.
pub(super) fn good_map(addr: u64, flags: u32) -> faultline_map {
    faultline_map {
        addr,
        length: PAGE_SIZE,
        prot: Prot::READ_WRITE.bits(),
        flags,
        backing: FAULTLINE_BACKING_ANON,
        fd: -1,
        offset: 0,
    }
}

pub(super) const ANY: [(&str, u32); 3] = [
    ("hint", 0),
    ("FIXED", FAULTLINE_MAP_FIXED),
    ("FIXED_NOREPLACE", FAULTLINE_MAP_FIXED_NOREPLACE),
];

/// Places where a MAP would succeed, and an UNMAP too.
const PLACE: u64 = BASE;

fn for_every_placement(
    fixture: &Fixture,
    also_unmap: bool,
    change: impl Fn(&mut faultline_map),
) -> Outcome {
    for (name, flags) in ANY {
        let mut map = good_map(PLACE, flags);
        change(&mut map);
        fixture.refuses(map, libc::EINVAL, &format!("MAP {name} {map:x?}"))?;
        if also_unmap {
            let unmap = faultline_unmap {
                addr: map.addr,
                length: map.length,
                flags: 0,
            };
            fixture.refuses(unmap, libc::EINVAL, &format!("{unmap:x?}"))?;
        }
    }
    Ok(())
}

fn unaligned_addr_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for addr in [PLACE + 1, PLACE + 8, PLACE + 2048, PLACE - 1, 1] {
        for_every_placement(&fixture, true, |map| map.addr = addr)?;
    }
    Ok(())
}

fn unaligned_length_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for length in [1, 4095, 4097, PAGE_SIZE + 2048] {
        for_every_placement(&fixture, true, |map| map.length = length)?;
    }
    Ok(())
}

fn zero_length_is_einval() -> Outcome {
    for_every_placement(&Fixture::new()?, true, |map| map.length = 0)
}

fn overflowing_range_is_einval() -> Outcome {
    let last_page = u64::MAX - PAGE_SIZE + 1;
    let ranges = [
        (BASE, last_page),
        (last_page, PAGE_SIZE),
        (last_page, 2 * PAGE_SIZE),
        (1 << 63, 1 << 63),
    ];
    refuses_ranges(&ranges)
}

fn range_beyond_the_space_is_einval() -> Outcome {
    let last = SPACE_SIZE - PAGE_SIZE;
    refuses_ranges(&[
        (SPACE_SIZE, PAGE_SIZE),
        (last, 2 * PAGE_SIZE),
        (BASE, SPACE_SIZE),
        (0, SPACE_SIZE + PAGE_SIZE),
        (1 << 50, PAGE_SIZE),
    ])
}

/// UNMAP and every MAP at a fixed address must refuse the ranges.
fn refuses_ranges(ranges: &[(u64, u64)]) -> Outcome {
    let fixture = Fixture::new()?;
    for &(addr, length) in ranges {
        for flags in [FAULTLINE_MAP_FIXED, FAULTLINE_MAP_FIXED_NOREPLACE] {
            let map = faultline_map {
                length,
                ..good_map(addr, flags)
            };
            fixture.refuses(map, libc::EINVAL, &format!("{map:x?}"))?;
        }
        let unmap = faultline_unmap {
            addr,
            length,
            flags: 0,
        };
        fixture.refuses(unmap, libc::EINVAL, &format!("{unmap:x?}"))?;
    }
    Ok(())
}

fn unknown_map_flags_are_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for bit in (2..32).map(|bit| 1u32 << bit) {
        for_every_placement(&fixture, false, |map| map.flags |= bit)?;
    }
    Ok(())
}

/// As for mmap(2): both flags together are FIXED_NOREPLACE.
fn noreplace_implies_fixed() -> Outcome {
    let both = FAULTLINE_MAP_FIXED | FAULTLINE_MAP_FIXED_NOREPLACE;
    let fixture = Fixture::new()?;
    fixture.refuses(good_map(BASE, both), libc::EEXIST, "MAP over a region")?;
    let mut map = good_map(BASE + 100 * PAGE_SIZE, both);
    call(fixture.arena.space.as_fd(), &mut map)?;
    ensure_eq!(map.addr, BASE + 100 * PAGE_SIZE, "address");
    Ok(())
}

fn unknown_protection_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for bit in (2..32).map(|bit| 1u32 << bit) {
        for_every_placement(&fixture, false, |map| map.prot |= bit)?;
    }
    Ok(())
}

fn unknown_backing_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for backing in [FAULTLINE_BACKING_ANON + 100, 1 << 31, u32::MAX] {
        for_every_placement(&fixture, false, |map| map.backing = backing)?;
    }
    Ok(())
}

fn anon_with_a_file_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for fd in [0, 1, 1000, -2, i32::MIN] {
        for_every_placement(&fixture, false, |map| map.fd = fd)?;
    }
    for offset in [1, PAGE_SIZE, 1 << 63] {
        for_every_placement(&fixture, false, |map| map.offset = offset)?;
    }
    Ok(())
}

fn unmap_flags_are_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for bit in 0..64 {
        let unmap = faultline_unmap {
            addr: PLACE,
            length: PAGE_SIZE,
            flags: 1 << bit,
        };
        fixture.refuses(unmap, libc::EINVAL, &format!("{unmap:x?}"))?;
    }
    Ok(())
}

fn query_beyond_the_space_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for addr in [SPACE_SIZE, SPACE_SIZE + 1, 1 << 63, u64::MAX] {
        let query = faultline_query {
            addr,
            ..Default::default()
        };
        fixture.refuses(query, libc::EINVAL, &format!("QUERY at {addr:#x}"))?;
    }
    Ok(())
}

fn unknown_policy_is_einval() -> Outcome {
    let last = crate::Policy::all().map(crate::Policy::number).max();
    let above = last.map_or(0, |number| number + 1);
    let set = FAULTLINE_POLICY_SET;
    let arguments = [
        (
            "policy above the last",
            faultline_policy {
                flags: set,
                policy: above,
            },
        ),
        (
            "policy 2^31",
            faultline_policy {
                flags: set,
                policy: 1 << 31,
            },
        ),
        (
            "all policy bits",
            faultline_policy {
                flags: set,
                policy: u32::MAX,
            },
        ),
        (
            "flag 2",
            faultline_policy {
                flags: 2,
                policy: 0,
            },
        ),
        (
            "flag 2^31",
            faultline_policy {
                flags: set | 1 << 31,
                policy: 0,
            },
        ),
    ];
    Fixture::new()?.refuses_all(&arguments, libc::EINVAL)
}

fn policy_can_be_read_and_set() -> Outcome {
    let space = Space::open()?;
    let accepted = space.policies()?;
    ensure!(
        accepted.contains(&crate::Policy::GLOBAL),
        "accepted are {accepted:?}"
    );
    for policy in accepted {
        space.set_policy(policy)?;
        ensure_eq!(space.policy()?, policy, "policy after setting it");
    }
    Ok(())
}

fn raising_the_limit_is_eperm() -> Outcome {
    let fixture = Fixture::new()?;
    let limit = fixture.arena.space.limit(0)?;
    ensure_eq!(
        limit,
        fixture.arena.space.stats()?.max_pages,
        "limit of LIMIT and STATS"
    );
    for raised in [limit.saturating_add(1), u64::MAX] {
        let argument = faultline_limit {
            max_pages: raised,
            max_regions: 0,
        };
        fixture.refuses(
            argument,
            libc::EPERM,
            &format!("LIMIT {raised} above {limit}"),
        )?;
    }
    Ok(())
}

fn bad_pointer_is_efault() -> Outcome {
    let fixture = Fixture::new()?;
    let requests = [
        faultline_map::REQUEST,
        faultline_unmap::REQUEST,
        faultline_query::REQUEST,
        faultline_policy::REQUEST,
        faultline_limit::REQUEST,
        faultline_stats::REQUEST,
    ];
    for request in requests {
        for nowhere in [
            Nowhere::Null,
            Nowhere::Kernel,
            Nowhere::NonCanonical,
            Nowhere::Last,
        ] {
            let what = format!("request {request:#x} at {nowhere:?}");
            let result = call_nowhere(fixture.arena.space.as_fd(), request, nowhere);
            fails(result, libc::EFAULT, &what)?;
            fixture.before.must_hold(&fixture.arena.space, &what)?;
        }
    }
    Ok(())
}

/// Calls `request` with good memory behind it.
fn call_number(fixture: &Fixture, request: libc::c_ulong, what: &str) -> Outcome {
    let argument = Mapping::anonymous(PAGE)?;
    let fd = fixture.arena.space.as_fd();
    fails(
        crate::selftest::sys::call::call_at(fd, request, &argument, 0),
        libc::ENOTTY,
        what,
    )?;
    fixture.before.must_hold(&fixture.arena.space, what)
}

fn unknown_number_is_enotty() -> Outcome {
    let fixture = Fixture::new()?;
    let known: Vec<_> = (0..6).collect();
    for number in (0..256).filter(|number| !known.contains(number)) {
        let request = (faultline_map::REQUEST & !0xff) | number;
        call_number(&fixture, request, &format!("number {number:#x}"))?;
    }
    Ok(())
}

fn wrong_magic_is_enotty() -> Outcome {
    let fixture = Fixture::new()?;
    for magic in [0u64, b'T'.into(), 0xF6, 0xF8] {
        for number in 0..6 {
            let request = (faultline_map::REQUEST & !0xffff) | magic << 8 | number;
            call_number(
                &fixture,
                request,
                &format!("magic {magic:#x} number {number}"),
            )?;
        }
    }
    Ok(())
}
