// SPDX-License-Identifier: GPL-2.0-only
//! What is made of small traces that are written by hand.

use super::agreement::Ledger;
use super::faults::{Choice, Faults};
use super::locks::{Locks, LocksSummary};
use crate::trace::event::{Call, Claim, Event, Fault, Lock, Names, Pages, What};

const SPACE: u64 = 0x1000;

fn claim(kind: Lock, start: u64, end: u64, write: bool) -> Claim {
    Claim {
        lock: SPACE,
        kind,
        pages: Pages { start, end },
        write,
    }
}

fn range(start: u64, end: u64, write: bool) -> Claim {
    claim(Lock::Range, start, end, write)
}

fn event(time: u64, pid: i32, what: What) -> Event {
    Event { time, pid, what }
}

fn fault(page: u64) -> Fault {
    Fault {
        space: SPACE,
        page,
        write: true,
    }
}

fn locks(events: &[Event]) -> LocksSummary {
    let mut locks = Locks::default();
    events.iter().for_each(|event| locks.take(event));
    locks.finish(&|pid| pid.to_string())
}

#[test]
fn waits_are_blamed_on_those_that_hold_what_overlaps() {
    let (change, beside, page) = (
        range(0, 600, true),
        range(700, 800, true),
        range(5, 6, false),
    );
    let summary = locks(&[
        event(0, 1, What::Asked(change)),
        event(1, 1, What::Got(change, true)),
        event(2, 3, What::Asked(beside)),
        event(3, 3, What::Got(beside, true)),
        event(10, 2, What::Asked(page)),
        event(110, 1, What::Gave(change)),
        event(112, 2, What::Got(page, true)),
        event(115, 2, What::Gave(page)),
        event(200, 3, What::Gave(beside)),
    ]);
    assert_eq!(summary.pairs.len(), 1, "{:?}", summary.pairs);
    let pair = &summary.pairs[0];
    assert_eq!((pair.waiter.as_str(), pair.holder.as_str()), ("2", "1"));
    assert_eq!((pair.count, pair.total_ns), (1, 100));
    let read = &summary.by_size[0];
    assert_eq!((read.size, read.mode), ("1 page", "read"));
    assert_eq!((read.waited.max_ns, read.held.max_ns), (102, 3));
    assert_eq!(summary.by_size.len(), 3, "{:?}", summary.by_size);
    assert_eq!(
        (summary.longest[0].held_ns, summary.longest[0].task.as_str()),
        (197, "3")
    );
    assert_eq!(summary.unfinished, 0);
}

#[test]
fn readers_do_not_wait_for_readers() {
    let (one, other) = (range(0, 9, false), range(5, 6, false));
    let summary = locks(&[
        event(0, 1, What::Asked(one)),
        event(1, 1, What::Got(one, true)),
        event(2, 2, What::Asked(other)),
        event(50, 2, What::Got(other, true)),
    ]);
    assert!(summary.pairs.is_empty(), "{:?}", summary.pairs);
    assert_eq!(summary.unfinished, 2);
}

#[test]
fn what_is_given_back_early_is_not_waited_for() {
    let (change, low, high) = (
        range(0, 100, true),
        range(10, 11, false),
        range(90, 91, false),
    );
    let summary = locks(&[
        event(0, 1, What::Asked(change)),
        event(0, 1, What::Got(change, true)),
        event(40, 1, What::Gave(range(0, 50, true))),
        event(50, 2, What::Asked(low)),
        event(50, 3, What::Asked(high)),
        event(51, 2, What::Got(low, true)),
        event(100, 1, What::Gave(range(50, 100, true))),
        event(101, 3, What::Got(high, true)),
    ]);
    assert_eq!(summary.pairs.len(), 1, "{:?}", summary.pairs);
    assert_eq!(
        (summary.pairs[0].waiter.as_str(), summary.pairs[0].total_ns),
        ("3", 50)
    );
    let held: Vec<u64> = summary.longest.iter().map(|hold| hold.held_ns).collect();
    assert_eq!(held, [100, 40]);
}

#[test]
fn a_semaphore_is_waited_for_whatever_pages_are_meant() {
    let (change, page) = (
        claim(Lock::Semaphore, 0, 9, true),
        claim(Lock::Semaphore, 70, 71, false),
    );
    let summary = locks(&[
        event(0, 1, What::Asked(change)),
        event(1, 1, What::Got(change, true)),
        event(5, 2, What::Asked(page)),
        event(30, 1, What::Gave(change)),
        event(31, 2, What::Got(page, true)),
    ]);
    assert_eq!((summary.pairs.len(), summary.pairs[0].total_ns), (1, 25));
    assert!(
        summary
            .by_size
            .iter()
            .all(|row| row.size.contains("semaphore"))
    );
}

#[test]
fn what_fails_is_counted_and_holds_nothing() {
    let (change, other) = (range(0, 9, true), range(3, 4, true));
    let summary = locks(&[
        event(0, 1, What::Asked(change)),
        event(0, 1, What::Got(change, true)),
        event(1, 2, What::Asked(other)),
        event(2, 2, What::Got(other, false)),
        event(3, 1, What::Gave(change)),
    ]);
    let failed: u64 = summary.by_size.iter().map(|row| row.failed).sum();
    assert_eq!((failed, summary.longest.len()), (1, 1));
}

fn faults(events: &[Event]) -> Faults {
    let mut faults = Faults::default();
    for (number, event) in events.iter().enumerate() {
        faults.take(number, event, &Names::default());
    }
    faults
}

#[test]
fn a_fault_is_what_its_thread_did_to_its_page() {
    let page = range(5, 6, false);
    let all = [
        event(1, 1, What::Aborted(fault(5), 0)),
        event(2, 2, What::Committed(SPACE, 9, true)),
        event(3, 1, What::FellBack(fault(5))),
        event(4, 1, What::Asked(page)),
        event(50, 1, What::Got(page, true)),
        event(51, 2, What::Speculated(fault(9), 0)),
        event(52, 2, What::Completed(fault(9), 0, 0)),
        event(53, 1, What::Committed(SPACE, 5, true)),
        event(54, 1, What::Gave(page)),
        event(55, 1, What::Completed(fault(5), 2, 0)),
        event(56, 1, What::Committed(SPACE, 7, true)),
        event(57, 1, What::Completed(fault(7), 0, 0)),
    ];
    let chosen = faults(&all).choose(Choice::default()).unwrap();
    let (slow, fast) = (&chosen[0].1, &chosen[1].1);
    assert_eq!((slow.number, slow.pid, slow.page), (2, 1, 5));
    assert_eq!(slow.events, [0, 2, 3, 4, 7, 8, 9]);
    assert_eq!((slow.start, slow.end), (1, 55));
    assert!(!fast.is_slow);
    let third = Choice {
        fault: Some(3),
        task: None,
    };
    assert_eq!(faults(&all).choose(third).unwrap()[0].1.page, 7);
    let of_two = Choice {
        fault: None,
        task: Some(2),
    };
    assert_eq!(faults(&all).choose(of_two).unwrap()[0].1.page, 9);
    for nonsense in [(Some(4), None), (None, Some(9))] {
        let (fault, task) = nonsense;
        assert!(faults(&all).choose(Choice { fault, task }).is_err());
    }
}

#[test]
fn what_a_call_did_is_no_fault() {
    let pages = Pages { start: 5, end: 6 };
    let chosen = faults(&[
        event(1, 1, What::Committed(SPACE, 5, true)),
        event(2, 1, What::Called(SPACE, Call::Advise, pages, 0)),
        event(10, 1, What::Committed(SPACE, 5, false)),
        event(11, 1, What::Completed(fault(5), 0, 0)),
    ])
    .choose(Choice::default());
    assert_eq!(chosen.unwrap()[0].1.events, [2, 3]);
}

/// Numbers stand for themselves where a trace has no names.
fn ledger(more: &[Event]) -> Ledger {
    let pages = Pages { start: 0, end: 9 };
    let mut all = vec![
        event(1, 1, What::Called(SPACE, Call::Map, pages, 0)),
        event(2, 1, What::Called(SPACE, Call::Map, pages, -17)),
        event(3, 1, What::Completed(fault(5), 0, 0)),
    ];
    all.extend_from_slice(more);
    let mut ledger = Ledger::default();
    let names = Names::of_counters(&["maps", "faults", "fault_write", "spf_attempts"]);
    all.iter().for_each(|event| ledger.take(event, &names));
    ledger
}

fn told(values: [u64; 4]) -> Vec<Event> {
    let value = |(number, value)| event(9, 1, What::Counted(SPACE, number, value));
    (0..).zip(values).map(value).collect()
}

#[test]
fn events_agree_with_counters_or_do_not() {
    let agreement = ledger(&told([1, 1, 1, 0])).finish(|_| true, false, false);
    assert!(agreement.differences.is_empty(), "{agreement:?}");
    assert_eq!((agreement.counters.len(), agreement.spaces), (4, 1));
    let agreement = ledger(&told([1, 2, 1, 0])).finish(|_| true, false, false);
    assert_eq!(agreement.differences.len(), 1);
    let difference = &agreement.differences[0];
    assert_eq!((difference.counted, difference.events), (2, 1));
    assert!(agreement.text().contains("faults: counted 2, events 1"));
}

#[test]
fn only_what_was_traced_is_compared() {
    let calls = |event: &str| event == "faultline_map";
    let agreement = ledger(&told([1, 9, 9, 9])).finish(calls, false, false);
    assert_eq!(
        (agreement.counters.len(), agreement.differences.len()),
        (1, 0)
    );
    for (is_filtered, has_losses) in [(true, false), (false, true)] {
        let agreement = ledger(&told([9; 4])).finish(|_| true, is_filtered, has_losses);
        assert!(agreement.counters.is_empty() && agreement.skipped.is_some());
    }
    let nothing = ledger(&[]).finish(|_| true, false, false);
    assert!(nothing.text().contains("nothing to compare"));
}

#[test]
fn a_space_at_the_place_of_another_is_another() {
    let mut events = told([1, 1, 1, 0]);
    events.push(event(20, 1, What::Completed(fault(5), 0, 0)));
    events.extend(told([0, 1, 1, 0]));
    let agreement = ledger(&events).finish(|_| true, false, false);
    assert_eq!(
        (agreement.spaces, agreement.differences.len()),
        (2, 0),
        "{agreement:?}"
    );
    assert_eq!(agreement.counters["faults"], 2);
}
