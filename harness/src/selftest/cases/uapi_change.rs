// SPDX-License-Identifier: GPL-2.0-only
//! Arguments of PROTECT, REMAP, ADVISE and LIMIT that must be refused, with the
//! documented errno and no effect.

use super::uapi::Fixture;
use crate::selftest::check::{Outcome, ensure_eq, fails};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{BASE, SPACE_SIZE, at, bytes};
use crate::uapi::*;
use crate::{Limits, PAGE_SIZE};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "uapi":
    change_of_a_bad_range_is_einval,
    protect_bits_are_einval,
    protect_flags_are_einval,
    advice_is_one_of_two,
    advise_flags_are_einval,
    remap_of_a_bad_range_is_einval,
    remap_to_a_bad_place_is_einval,
    remap_flags_are_einval,
    remap_fixed_without_maymove_is_einval,
    remap_reserved_is_einval,
    raising_either_limit_is_eperm_and_changes_neither,
    limits_are_reported_alike,
];

/// Ranges that no call takes.
fn bad_ranges() -> Vec<(u64, u64)> {
    let last = SPACE_SIZE - PAGE_SIZE;
    let mut ranges = vec![
        (BASE, 0),
        (SPACE_SIZE, PAGE_SIZE),
        (last, 2 * PAGE_SIZE),
        (0, SPACE_SIZE + PAGE_SIZE),
        (BASE, u64::MAX - PAGE_SIZE + 1),
        (u64::MAX - PAGE_SIZE + 1, PAGE_SIZE),
        (1 << 63, 1 << 63),
    ];
    ranges.extend([1, 8, 2048, 4095].map(|less| (BASE + less, PAGE_SIZE)));
    ranges.extend([1, 8, 2048, 4095].map(|less| (BASE, PAGE_SIZE + less)));
    ranges
}

fn protect(addr: u64, length: u64) -> faultline_protect {
    faultline_protect {
        addr,
        length,
        prot: FAULTLINE_PROT_READ,
        flags: 0,
    }
}

fn advise(addr: u64, length: u64) -> faultline_advise {
    faultline_advise {
        addr,
        length,
        advice: FAULTLINE_ADVISE_DONTNEED,
        flags: 0,
    }
}

/// A move of two pages that would succeed.
fn remap() -> faultline_remap {
    faultline_remap {
        addr: BASE,
        old_length: bytes(2),
        new_length: bytes(2),
        new_addr: at(100),
        flags: FAULTLINE_REMAP_MAYMOVE | FAULTLINE_REMAP_FIXED,
        reserved: 0,
    }
}

fn change_of_a_bad_range_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for (addr, length) in bad_ranges() {
        let what = format!("of {addr:#x}+{length:#x}");
        let call = protect(addr, length);
        fixture.refuses(call, libc::EINVAL, &format!("PROTECT {what}"))?;
        for advice in [FAULTLINE_ADVISE_WILLNEED, FAULTLINE_ADVISE_DONTNEED] {
            let call = faultline_advise {
                advice,
                ..advise(addr, length)
            };
            fixture.refuses(call, libc::EINVAL, &format!("ADVISE {advice} {what}"))?;
        }
    }
    Ok(())
}

fn protect_bits_are_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for bit in (2..32).map(|bit| 1u32 << bit) {
        let call = faultline_protect {
            prot: FAULTLINE_PROT_READ | bit,
            ..protect(BASE, PAGE_SIZE)
        };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn protect_flags_are_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for bit in (0..32).map(|bit| 1u32 << bit) {
        let call = faultline_protect {
            flags: bit,
            ..protect(BASE, PAGE_SIZE)
        };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn advice_is_one_of_two() -> Outcome {
    let fixture = Fixture::new()?;
    let known = [FAULTLINE_ADVISE_WILLNEED, FAULTLINE_ADVISE_DONTNEED];
    let others = (0..128).chain([1 << 31, u32::MAX]);
    for advice in others.filter(|advice| !known.contains(advice)) {
        let call = faultline_advise {
            advice,
            ..advise(BASE, PAGE_SIZE)
        };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn advise_flags_are_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for bit in (0..32).map(|bit| 1u32 << bit) {
        let call = faultline_advise {
            flags: bit,
            ..advise(BASE, PAGE_SIZE)
        };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn remap_of_a_bad_range_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    let good = remap();
    for flags in [0, FAULTLINE_REMAP_MAYMOVE, good.flags] {
        for (addr, old_length) in bad_ranges() {
            let call = faultline_remap {
                addr,
                old_length,
                flags,
                ..good
            };
            fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
        }
        for new_length in [0, 1, 4095, PAGE_SIZE + 8] {
            let call = faultline_remap {
                new_length,
                flags,
                ..good
            };
            fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
        }
    }
    Ok(())
}

fn remap_to_a_bad_place_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    let good = remap();
    let places = [
        at(100) + 1,
        at(100) + 2048,
        SPACE_SIZE,
        SPACE_SIZE - PAGE_SIZE,
        1 << 63,
        u64::MAX - PAGE_SIZE + 1,
        u64::MAX,
    ];
    for new_addr in places {
        let call = faultline_remap { new_addr, ..good };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn remap_flags_are_einval() -> Outcome {
    let fixture = Fixture::new()?;
    let good = remap();
    for bit in (2..32).map(|bit| 1u32 << bit) {
        for flags in [bit, good.flags | bit] {
            let call = faultline_remap { flags, ..good };
            fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
        }
    }
    Ok(())
}

fn remap_fixed_without_maymove_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for new_length in [1, 2, 3].map(bytes) {
        let call = faultline_remap {
            new_length,
            flags: FAULTLINE_REMAP_FIXED,
            ..remap()
        };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn remap_reserved_is_einval() -> Outcome {
    let fixture = Fixture::new()?;
    for reserved in [1, 1 << 31, u32::MAX] {
        let call = faultline_remap {
            reserved,
            ..remap()
        };
        fixture.refuses(call, libc::EINVAL, &format!("{call:x?}"))?;
    }
    Ok(())
}

fn raising_either_limit_is_eperm_and_changes_neither() -> Outcome {
    let fixture = Fixture::new()?;
    let space = &fixture.arena.space;
    let Limits { pages, regions } = space.limits(Limits::default())?;
    for (max_pages, max_regions) in [
        (pages + 1, 0),
        (pages + 1, 10),
        (u64::MAX, 0),
        (0, regions + 1),
        (100, regions + 1),
        (100, u64::MAX),
    ] {
        let call = faultline_limit {
            max_pages,
            max_regions,
        };
        fixture.refuses(call, libc::EPERM, &format!("{call:?}"))?;
    }
    // Both can be set to what they are, and lowered in one call.
    space.limits(Limits { pages, regions })?;
    let lower = Limits {
        pages: 100,
        regions: 10,
    };
    ensure_eq!(space.limits(lower)?, lower, "limits in force");
    let back = space.limits(Limits { pages: 0, ..lower });
    ensure_eq!(back?, lower, "limits in force");
    fails(space.limit_regions(11), libc::EPERM, "raising it again")
}

fn limits_are_reported_alike() -> Outcome {
    let fixture = Fixture::new()?;
    let space = &fixture.arena.space;
    let of_stats = |what: &str| {
        let (limits, stats) = (space.limits(Limits::default())?, space.stats()?);
        let seen = (stats.max_pages, stats.max_regions);
        ensure_eq!(seen, (limits.pages, limits.regions), "{what}");
        Ok(())
    };
    of_stats("at first")?;
    space.limit_regions(1000)?;
    of_stats("regions lowered")?;
    space.limit(1000)?;
    of_stats("pages lowered")
}
