// SPDX-License-Identifier: GPL-2.0-only
//! Each rule, and the cases in which it must stay silent.

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
    judge_value(before, after, 9, Some((1, known)), seen, SALT)
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
    let judge = |seen| judge_value(page, page, 9, Some((1, sure(4))), seen, SALT);
    let stamp = Stamp {
        page: 9,
        writer: 1,
        seq: 9,
    };
    assert!(matches!(
        judge(stamp.pack(SALT)),
        Err(Wrong::NotYetStored(..))
    ));
    assert_eq!(judge(stamp.pack(SALT + 1)), Err(Wrong::Foreign));
    assert_eq!(judge(0xdead_beef), Err(Wrong::Foreign));
    let moved = Stamp { page: 8, ..stamp };
    assert_eq!(judge(moved.pack(SALT)), Err(Wrong::Misplaced(moved)));
    assert_eq!(
        judge_value(page, page, 9, None, 1, SALT),
        Err(Wrong::NotZero)
    );
    assert_eq!(judge_value(page, page, 9, None, 0, SALT), Ok(()));
}
