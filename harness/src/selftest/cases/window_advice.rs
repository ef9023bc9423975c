// SPDX-License-Identifier: GPL-2.0-only
//! madvise, mlock, msync, mincore, userfaultfd and fork options on windows:
//! supported, or refused with an errno, and never a loss of content.

use std::time::Duration;

use crate::access::Signal;
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq, fails_with_one_of, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, PAGE};
use crate::selftest::sys::gup::{futex_wake, register_userfaultfd};
use crate::selftest::sys::process::Child;
use crate::{Placement, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "advice":
    dontneed_keeps_the_content,
    remove_and_free_do_not_lose_content,
    every_advice_is_survived,
    populate_read_fills,
    populate_write_fills,
    populate_write_stops_at_a_read_only_region,
    dontfork_is_honoured,
    mlock_is_harmless,
    msync_is_harmless,
    mincore_answers,
    userfaultfd_is_refused,
    futex_is_survived,
];

fn arena_of_four() -> Result<Arena, Stop> {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 4, 60)?;
    Ok(arena)
}

fn dontneed_keeps_the_content() -> Outcome {
    let arena = arena_of_four()?;
    for _ in 0..10 {
        arena.window.advise(0, 4 * PAGE, libc::MADV_DONTNEED)?;
        Arena::holds(&arena.window, 0, 4, 60, "after MADV_DONTNEED")?;
    }
    ensure_eq!(arena.space.stats()?.pages_added, 4, "pages added");
    Ok(())
}

fn remove_and_free_do_not_lose_content() -> Outcome {
    let arena = arena_of_four()?;
    for advice in [libc::MADV_REMOVE, libc::MADV_FREE] {
        ensure!(
            arena.window.advise(0, 4 * PAGE, advice).is_err(),
            "advice {advice} succeeded"
        );
        Arena::holds(&arena.window, 0, 4, 60, &format!("after advice {advice}"))?;
    }
    Ok(())
}

fn every_advice_is_survived() -> Outcome {
    let arena = arena_of_four()?;
    // 0 to 25 are those that act on the caller; poisoning is 100 and up, and
    // the last two install and remove guard entries.
    for advice in (0..26).chain([102, 103]) {
        if advice == libc::MADV_REMOVE || advice == libc::MADV_DONTFORK {
            continue;
        }
        let _ = arena.window.advise(0, 4 * PAGE, advice);
        if advice != 102 {
            Arena::holds(&arena.window, 0, 4, 60, &format!("after advice {advice}"))?;
        }
    }
    arena.stamp(0, 4, 70)?;
    Arena::holds(&arena.window, 0, 4, 70, "at last")
}

fn populate_read_fills() -> Outcome {
    let arena = Arena::new(8, Prot::READ)?;
    arena.window.advise(0, 8 * PAGE, libc::MADV_POPULATE_READ)?;
    let stats = arena.space.stats()?;
    ensure_eq!(stats.pages, 8, "pages held");
    for page in 0..8 {
        reads(arena.window.load(page * PAGE), 0, "page")?;
    }
    ensure_eq!(arena.space.stats()?.faults, stats.faults, "faults by loads");
    Ok(())
}

fn populate_write_fills() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.window.load(0)?;
    arena
        .window
        .advise(0, 8 * PAGE, libc::MADV_POPULATE_WRITE)?;
    let stats = arena.space.stats()?;
    ensure_eq!(stats.pages, 8, "pages held");
    arena.stamp(0, 8, 1)?;
    ensure_eq!(
        arena.space.stats()?.faults,
        stats.faults,
        "faults by stores"
    );
    Ok(())
}

fn populate_write_stops_at_a_read_only_region() -> Outcome {
    let arena = Arena::new(4, Prot::READ)?;
    let result = arena.window.advise(0, 4 * PAGE, libc::MADV_POPULATE_WRITE);
    fails_with_one_of(result, &[libc::EFAULT], "MADV_POPULATE_WRITE")?;
    let arena = Arena::empty(4)?;
    let result = arena.window.advise(0, 4 * PAGE, libc::MADV_POPULATE_READ);
    fails_with_one_of(result, &[libc::EFAULT], "MADV_POPULATE_READ over a hole")
}

fn dontfork_is_honoured() -> Outcome {
    let arena = arena_of_four()?;
    arena.window.advise(0, 2 * PAGE, libc::MADV_DONTFORK)?;
    let window = &arena.window;
    let child = Child::fork(|| {
        raises(window.load(0), Signal::Segv, "page that was not inherited")?;
        Arena::holds(window, 2, 2, 60, "in the child")
    })?;
    child.finish(Duration::from_secs(10))?;
    Arena::holds(window, 0, 4, 60, "in the parent")
}

fn mlock_is_harmless() -> Outcome {
    let arena = arena_of_four()?;
    arena.window.lock()?;
    Arena::holds(&arena.window, 0, 4, 60, "after mlock")?;
    arena.unmap(1, 2)?;
    raises(
        arena.window.load(PAGE),
        Signal::Bus,
        "page unmapped under mlock",
    )?;
    arena.space.map(
        crate::selftest::state::BASE,
        4096,
        Prot::READ,
        Placement::Fixed,
    )?;
    reads(arena.window.load(0), 0, "page replaced under mlock")?;
    reads(arena.window.load(3 * PAGE), 63, "page that stays")
}

fn msync_is_harmless() -> Outcome {
    let arena = arena_of_four()?;
    arena.window.sync(libc::MS_ASYNC)?;
    // There is nothing to write to.
    if let Err(error) = arena.window.sync(libc::MS_SYNC) {
        fails_with_one_of::<()>(Err(error), &[libc::EINVAL], "MS_SYNC")?;
    }
    arena.window.sync(libc::MS_ASYNC | libc::MS_INVALIDATE)?;
    Arena::holds(&arena.window, 0, 4, 60, "after msync")
}

fn mincore_answers() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    arena.stamp(0, 2, 60)?;
    let resident = arena.window.resident()?;
    ensure_eq!(resident.len(), 4, "pages");
    ensure_eq!(
        [resident[0] & 1, resident[1] & 1],
        [1, 1],
        "pages with an entry: {resident:?}"
    );
    arena.unmap(0, 4)?;
    let resident = arena.window.resident()?;
    ensure_eq!(resident, [0; 4], "pages after UNMAP");
    Ok(())
}

fn userfaultfd_is_refused() -> Outcome {
    let arena = Arena::new(4, Prot::READ_WRITE)?;
    let result = register_userfaultfd(&arena.window);
    if result
        .as_ref()
        .is_err_and(|error| error.raw_os_error() == Some(libc::EOPNOTSUPP))
    {
        return Err(Stop::skip("no userfaultfd"));
    }
    let what = "UFFDIO_REGISTER";
    fails_with_one_of(result, &[libc::EINVAL, libc::EPERM], what)?;
    arena.stamp(0, 4, 1)?;
    Arena::holds(&arena.window, 0, 4, 1, "afterwards")
}

fn futex_is_survived() -> Outcome {
    let arena = arena_of_four()?;
    match futex_wake(&arena.window, 0) {
        Ok(woken) => ensure_eq!(woken, 0, "woken"),
        Err(error) => fails_with_one_of::<()>(Err(error), &[libc::EFAULT], "FUTEX_WAKE")?,
    }
    Arena::holds(&arena.window, 0, 4, 60, "afterwards")
}
