// SPDX-License-Identifier: GPL-2.0-only
//! Each rule, and the cases in which it must stay silent.

use super::super::pattern;
use super::*;

const SALT: u8 = 3;
const BUS: Fault = Fault {
    signal: Signal::Bus,
    code: 2,
};
const SEGV: Fault = Fault {
    signal: Signal::Segv,
    code: 1,
};

fn state(epoch: u32, origin: u32, kind: Kind) -> State {
    State {
        epoch,
        origin,
        kind,
    }
}

fn outcome(kind: Kind, store: bool, fault: Option<Fault>) -> Result<Expected, Wrong> {
    let state = state(5, 5, kind);
    judge_outcome(state, state, store, fault, Signal::Bus)
}

/// Judges a load of writer 1's word of page 9.
fn value(before: State, after: State, known: Known, seq: u32) -> Result<(), Wrong> {
    let seen = if seq == 0 {
        0
    } else {
        Stamp {
            page: 9,
            writer: 1,
            seq,
        }
        .pack(SALT)
    };
    judge(
        before,
        after,
        Content::new(Fresh::Zero, 9),
        known,
        None,
        seen,
    )
}

/// The same of any content and any word.
fn judge(
    before: State,
    after: State,
    content: Content,
    known: Known,
    floor: Option<Stamp>,
    seen: u64,
) -> Result<(), Wrong> {
    let look = Look {
        page: (9, 9),
        byte: 8,
        states: (before, after),
        content,
        writer: Some(Writer {
            number: 1,
            known,
            floor,
            begun: &|page, _| if page < 20 { 8 } else { 0 },
        }),
    };
    judge_value(&look, seen, SALT)
}

fn stamp(page: u32, seq: u32) -> Stamp {
    Stamp {
        page,
        writer: 1,
        seq,
    }
}

/// Stores up to 7 are over, the last at `epoch`, and it is sure.
fn sure(epoch: u32) -> Known {
    Known {
        ended: 7,
        ended_epoch: epoch,
        ended_start: epoch,
        sure: 7,
        sure_epoch: epoch,
        begun: 8,
    }
}

#[test]
fn a_constant_state_decides_the_outcome() {
    assert_eq!(outcome(Kind::ReadWrite, true, None), Ok(Expected::Success));
    assert_eq!(outcome(Kind::ReadOnly, false, None), Ok(Expected::Success));
    assert_eq!(
        outcome(Kind::ReadOnly, true, Some(SEGV)),
        Ok(Expected::Fault(Signal::Segv))
    );
    assert_eq!(
        outcome(Kind::NoAccess, false, Some(SEGV)),
        Ok(Expected::Fault(Signal::Segv))
    );
    assert_eq!(
        outcome(Kind::Unmapped, false, Some(BUS)),
        Ok(Expected::Fault(Signal::Bus))
    );

    assert_eq!(
        outcome(Kind::ReadWrite, true, Some(BUS)),
        Err(Wrong::Faulted(BUS))
    );
    assert_eq!(
        outcome(Kind::ReadOnly, true, None),
        Err(Wrong::NotFaulted(Signal::Segv))
    );
    assert_eq!(
        outcome(Kind::Unmapped, false, None),
        Err(Wrong::NotFaulted(Signal::Bus))
    );
    let other = Wrong::OtherSignal(Signal::Bus, SEGV);
    assert_eq!(outcome(Kind::Unmapped, true, Some(SEGV)), Err(other));
}

#[test]
fn a_moving_state_leaves_the_outcome_open() {
    let mapped = state(5, 5, Kind::ReadWrite);
    for fault in [None, Some(BUS), Some(SEGV)] {
        let open = Ok(Expected::Open);
        assert_eq!(
            judge_outcome(mapped, mapped.changing(), true, fault, Signal::Bus),
            open
        );
        assert_eq!(outcome(Kind::Changing, true, fault), open);
        // Mapped again the same way: another epoch, so not the same state.
        let again = mapped.changing().renewed(Kind::ReadWrite);
        assert_eq!(judge_outcome(mapped, again, true, fault, Signal::Bus), open);
    }
}

#[test]
fn a_fresh_page_reads_zero_or_a_new_store() {
    let fresh = state(5, 5, Kind::ReadWrite);
    assert_eq!(value(fresh, fresh, sure(4), 0), Ok(()));
    assert_eq!(
        value(fresh, fresh, sure(4), 8),
        Ok(()),
        "begun, perhaps just now"
    );
    for seq in [1, 6, 7] {
        assert!(
            matches!(value(fresh, fresh, sure(4), seq), Err(Wrong::Stale(..))),
            "{seq}"
        );
    }
}

#[test]
fn stale_data_is_seen_also_while_the_state_moves() {
    let fresh = state(5, 5, Kind::ReadWrite);
    assert!(matches!(
        value(fresh, fresh.changing(), sure(4), 7),
        Err(Wrong::Stale(..))
    ));
    let changing = state(6, 5, Kind::Changing);
    assert!(matches!(
        value(changing, changing, sure(4), 7),
        Err(Wrong::Stale(..))
    ));
    assert_eq!(
        value(changing, changing, sure(5), 7),
        Ok(()),
        "the old content is still there"
    );
}

#[test]
fn a_sure_store_must_be_there() {
    let page = state(5, 5, Kind::ReadWrite);
    assert_eq!(value(page, page, sure(5), 7), Ok(()));
    assert_eq!(value(page, page, sure(5), 8), Ok(()));
    assert!(matches!(
        value(page, page, sure(5), 6),
        Err(Wrong::LostWrite(Some(_), _))
    ));
    assert!(matches!(
        value(page, page, sure(5), 0),
        Err(Wrong::LostWrite(None, _))
    ));
    assert_eq!(
        value(page, page.changing(), sure(5), 0),
        Ok(()),
        "replaced, perhaps"
    );
}

#[test]
fn a_store_survives_a_change_that_keeps_the_content() {
    let kept = state(6, 5, Kind::ReadOnly);
    assert_eq!(value(kept, kept, sure(5), 7), Ok(()));
    assert!(matches!(
        value(kept, kept, sure(5), 0),
        Err(Wrong::LostWrite(None, _))
    ));
}

#[test]
fn a_store_across_the_mapping_is_accepted_in_both() {
    let fresh = state(5, 5, Kind::ReadWrite);
    let crossed = Known {
        ended_epoch: 5,
        ended_start: 4,
        sure: 6,
        ..sure(3)
    };
    assert_eq!(value(fresh, fresh, crossed, 7), Ok(()));
    assert_eq!(value(fresh, fresh, crossed, 0), Ok(()));
    // The one before was over when it began, in epoch 4.
    assert!(matches!(
        value(fresh, fresh, crossed, 6),
        Err(Wrong::Stale(..))
    ));
}

#[test]
fn only_the_writers_own_stamps_are_accepted() {
    let page = state(5, 5, Kind::ReadWrite);
    let anon = Content::new(Fresh::Zero, 9);
    let judge = |seen| judge(page, page, anon, sure(4), None, seen);
    assert!(matches!(
        judge(stamp(9, 9).pack(SALT)),
        Err(Wrong::NotYetStored(..))
    ));
    assert_eq!(judge(stamp(9, 8).pack(SALT + 1)), Err(Wrong::Foreign));
    assert_eq!(judge(0xdead_beef), Err(Wrong::Foreign));
    assert_eq!(judge(pattern(9, 8)), Err(Wrong::Foreign));
    let moved = stamp(8, 8);
    assert_eq!(judge(moved.pack(SALT)), Err(Wrong::Misplaced(moved)));
}

/// Judges a word that nobody writes.
fn unwritten(content: Content, seen: u64) -> Result<(), Wrong> {
    let page = state(5, 5, Kind::ReadWrite);
    let look = Look {
        page: (9, 9),
        byte: 8,
        states: (page, page),
        content,
        writer: None,
    };
    judge_value(&look, seen, SALT)
}

#[test]
fn a_word_that_nobody_writes_stays_as_it_was() {
    let anon = Content::new(Fresh::Zero, 9);
    assert_eq!(unwritten(anon, 1), Err(Wrong::NotZero));
    assert_eq!(unwritten(anon, 0), Ok(()));
    let file = Content::new(Fresh::File(7), 9);
    assert_eq!(unwritten(file, pattern(7, 8)), Ok(()));
    assert_eq!(unwritten(file, pattern(9, 8)), Err(Wrong::NotZero));
    assert_eq!(unwritten(file, pattern(7, 16)), Err(Wrong::NotZero));
    assert_eq!(unwritten(file, 0), Err(Wrong::NotZero));
}

#[test]
fn a_move_takes_the_stores_along() {
    let page = state(9, 9, Kind::ReadWrite);
    let content = Content::new(Fresh::Zero, 3).moved(3).moved(4);
    let judge = |seen: u64| judge(page, page, content, sure(5), Some(stamp(3, 6)), seen);
    assert_eq!(judge(stamp(3, 6).pack(SALT)), Ok(()));
    assert_eq!(judge(stamp(4, 1).pack(SALT)), Ok(()), "there it was later");
    assert_eq!(judge(stamp(9, 8).pack(SALT)), Ok(()), "stored since");
    assert!(matches!(
        judge(stamp(9, 7).pack(SALT)),
        Err(Wrong::Stale(..))
    ));
    let lost = |seen| matches!(judge(seen), Err(Wrong::LostWrite(..)));
    assert!(lost(0) && lost(stamp(3, 5).pack(SALT)));
    let other = stamp(5, 1);
    assert_eq!(judge(other.pack(SALT)), Err(Wrong::Misplaced(other)));
}

#[test]
fn what_a_move_brings_is_not_judged_while_it_is_under_way() {
    let old = state(5, 5, Kind::ReadWrite);
    let arriving = old.arriving();
    let after = arriving.renewed(Kind::ReadWrite);
    let anon = Content::new(Fresh::Zero, 9);
    for (before, after) in [(old, arriving), (arriving, arriving), (old, after)] {
        let judge = |seen| judge(before, after, anon, sure(4), None, seen);
        assert_eq!(judge(stamp(5, 1).pack(SALT)), Ok(()));
        assert_eq!(judge(pattern(3, 8)), Ok(()));
        assert_eq!(judge(pattern(3, 0)), Err(Wrong::Foreign));
        let never = stamp(20, 1).pack(SALT);
        assert!(matches!(judge(never), Err(Wrong::NotYetStored(..))));
    }
    // One epoch further: a change that brought nothing.
    let other = stamp(5, 1);
    let seen = other.pack(SALT);
    assert_eq!(
        judge(old, old.changing(), anon, sure(4), None, seen),
        Err(Wrong::Misplaced(other))
    );
}

#[test]
fn a_memfd_keeps_what_was_stored_before() {
    let page = state(9, 9, Kind::ReadOnly);
    let content = Content::new(Fresh::Shared, 9);
    let judge = |seen: u64| judge(page, page, content, sure(3), Some(stamp(9, 5)), seen);
    assert_eq!(judge(stamp(9, 5).pack(SALT)), Ok(()));
    assert_eq!(judge(stamp(9, 7).pack(SALT)), Ok(()));
    assert!(matches!(judge(0), Err(Wrong::LostWrite(None, _))));
    let earlier = stamp(9, 4).pack(SALT);
    assert!(matches!(judge(earlier), Err(Wrong::LostWrite(..))));
}

#[test]
fn a_private_copy_is_the_files_page_or_what_was_stored() {
    let page = state(9, 9, Kind::ReadWrite);
    let content = Content::new(Fresh::File(7), 9);
    let judge = |known, seen: u64| judge(page, page, content, known, None, seen);
    assert_eq!(judge(sure(3), pattern(7, 8)), Ok(()));
    assert_eq!(judge(sure(3), 0), Err(Wrong::Foreign));
    assert_eq!(judge(sure(3), pattern(9, 8)), Err(Wrong::Foreign));
    let lost = judge(sure(9), pattern(7, 8));
    assert!(matches!(lost, Err(Wrong::LostWrite(None, _))));
}
