// SPDX-License-Identifier: GPL-2.0-only

use std::thread;

use super::*;

const KERNEL: u64 = 0xffff_ffff_8100_0000;

fn phases() -> Phases {
    Phases::new(1 << 24).unwrap()
}

fn access(cpu: u32, kind: Kind, physical: u64) -> Access {
    Access {
        cpu,
        kind,
        code: KERNEL + u64::from(cpu),
        address: KERNEL + physical,
        physical,
        size: 8,
        repeats: false,
    }
}

#[test]
fn nothing_counts_outside_a_phase() {
    let phases = phases();
    phases.access(access(0, Kind::Write, 0));
    phases.begin();
    phases.access(access(0, Kind::Write, 0));
    let collected = phases.end().unwrap();
    assert_eq!((collected.lines, collected.shared.len()), (1, 0));
    assert!(phases.end().is_none());
}

#[test]
fn a_new_phase_knows_nothing_of_the_one_before() {
    let phases = phases();
    for cpu in 0..2 {
        phases.begin();
        phases.access(access(cpu, Kind::Write, 0));
        assert!(phases.end().unwrap().shared.is_empty());
    }
}

#[test]
fn a_shared_counter_is_named_with_all_its_writes() {
    let phases = phases();
    phases.begin();
    for cpu in [0, 0, 0, 1, 0] {
        phases.access(access(cpu, Kind::Atomic, 128));
    }
    let collected = phases.end().unwrap();
    let (number, line, details) = &collected.shared[0];
    assert_eq!((*number, line.sharing_writes(), line.transfers), (2, 5, 2));
    let details = details.as_ref().unwrap();
    let writes: Vec<_> = details.sites.iter().map(|s| (s.code, s.writes)).collect();
    assert_eq!(writes, [(KERNEL, 4), (KERNEL + 1, 1)]);
    assert_eq!(details.common() & line.dirty, 0xff, "truly shared");
    assert_eq!(collected.counts[Kind::Atomic as usize], [5, 0]);
}

#[test]
fn neighbours_in_a_line_share_it_falsely() {
    let phases = phases();
    phases.begin();
    phases.access(access(0, Kind::Write, 64));
    phases.access(access(1, Kind::Write, 72));
    let collected = phases.end().unwrap();
    let (_, line, details) = &collected.shared[0];
    assert_eq!(details.as_ref().unwrap().common() & line.dirty, 0);
}

#[test]
fn an_access_across_a_boundary_touches_both_lines() {
    let phases = phases();
    phases.begin();
    phases.access(access(0, Kind::Write, 60));
    assert_eq!(phases.end().unwrap().lines, 2);
    phases.begin();
    phases.access(access(0, Kind::Write, 4092));
    assert_eq!(phases.end().unwrap().lines, 1, "the next page is elsewhere");
}

#[test]
fn what_the_table_cannot_hold_is_counted() {
    let phases = phases();
    phases.begin();
    phases.access(access(0, Kind::Read, 1 << 24));
    phases.access(access(MAX_CPUS, Kind::Read, 0));
    assert_eq!(phases.beyond.load(Relaxed), 2);
}

#[test]
fn vcpus_that_run_on_while_phases_come_and_go_lose_and_keep_nothing() {
    const EACH: u64 = 50_000;
    let phases = phases();
    let done = AtomicU64::new(0);
    let mut seen = 0;
    phases.begin();
    thread::scope(|scope| {
        for cpu in 0..3 {
            let (phases, done) = (&phases, &done);
            scope.spawn(move || {
                for n in 0..EACH {
                    phases.access(access(cpu, Kind::Write, n % 64 * 64));
                }
                done.fetch_add(1, SeqCst);
            });
        }
        while done.load(SeqCst) < 3 {
            thread::yield_now();
            if let Some(collected) = phases.end() {
                let stores = collected.counts[Kind::Write as usize][0];
                let writes: u64 = collected
                    .shared
                    .iter()
                    .map(|(_, l, _)| u64::from(l.writes))
                    .sum();
                assert!(writes <= stores);
                seen += stores;
                phases.begin();
            }
        }
    });
    seen += phases.end().unwrap().counts[Kind::Write as usize][0];
    assert!(seen > 0 && seen <= 3 * EACH);
}

#[test]
fn what_an_interrupt_does_is_not_the_operations() {
    let phases = phases();
    phases.begin();
    phases.access(access(1, Kind::Write, 0));
    phases.enter(0, Step::Exception);
    phases.enter(0, Step::Interrupt);
    phases.access(access(0, Kind::Write, 0));
    phases.enter(0, Step::Return);
    phases.access(access(0, Kind::Write, 64));
    let collected = phases.end().unwrap();
    assert_eq!((collected.interrupts, collected.lines), (1, 2));
    assert!(collected.shared.is_empty());
}

#[test]
fn user_code_runs_outside_of_all_interrupts() {
    let phases = phases();
    phases.begin();
    phases.enter(0, Step::Interrupt);
    phases.access(Access {
        code: 0x1000,
        ..access(0, Kind::Write, 0)
    });
    phases.access(access(0, Kind::Write, 64));
    let collected = phases.end().unwrap();
    assert_eq!((collected.interrupts, collected.lines), (0, 2));
}

#[test]
fn a_repeated_write_counts_once_for_each_line() {
    let phases = phases();
    phases.begin();
    for cpu in 0..2 {
        for at in 0..128 {
            let size = 1;
            let access = access(cpu, Kind::Write, at);
            phases.access(Access {
                size,
                repeats: true,
                ..access
            });
        }
    }
    let collected = phases.end().unwrap();
    let writes: Vec<_> = collected
        .shared
        .iter()
        .map(|(_, l, _)| (l.writes, l.dirty, l.transfers))
        .collect();
    assert_eq!(writes, [(2, u64::MAX, 1); 2]);
    assert_eq!(collected.counts[Kind::Write as usize][0], 4);
}

#[test]
fn what_many_instructions_did_before_a_line_was_shared_is_not_lost() {
    let phases = phases();
    phases.begin();
    for n in 0..6 {
        phases.access(Access {
            code: KERNEL + 16 + n,
            ..access(0, Kind::Write, 0)
        });
    }
    phases.access(access(1, Kind::Read, 0));
    let collected = phases.end().unwrap();
    let details = collected.shared[0].2.as_ref().unwrap();
    let sites: u32 = details.sites.iter().map(|s| s.writes).sum();
    assert_eq!(sites + details.others.writes, collected.shared[0].1.writes);
}
