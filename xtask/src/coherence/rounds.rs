// SPDX-License-Identifier: GPL-2.0-only
//! What is kept of phases that were done several times.

use faultline_coherence::measured::Measured;

/// Of each phase, in the order in which they first were done, the one with the median of
/// sharing writes; the lower of two that are in the middle. It is kept whole, so that its
/// lines are those of its figures.
pub(super) fn medians(phases: Vec<Measured>) -> Vec<Measured> {
    let mut all: Vec<Vec<Measured>> = Vec::new();
    for phase in phases {
        match all.iter_mut().find(|same| is_same(&same[0], &phase)) {
            Some(same) => same.push(phase),
            None => all.push(vec![phase]),
        }
    }
    all.into_iter().map(median).collect()
}

/// Of one phase; there is at least one.
fn median(mut same: Vec<Measured>) -> Measured {
    let rounds = same.iter().map(writes).collect();
    same.sort_by_key(writes);
    let middle = (same.len() - 1) / 2;
    Measured {
        rounds,
        ..same.swap_remove(middle)
    }
}

/// Each round has the same number of operations: these are not needed to compare.
fn writes(phase: &Measured) -> u64 {
    phase.counted.sharing_writes
}

fn is_same(one: &Measured, other: &Measured) -> bool {
    let name = |phase: &Measured| (phase.workload.clone(), phase.target.clone(), phase.threads);
    name(one) == name(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Phases of a target, each of so many sharing writes; its sleeps tell which it is.
    fn phases(target: &str, rounds: &[u64]) -> Vec<Measured> {
        let phase = |(round, &sharing_writes): (usize, &u64)| {
            let mut phase = Measured {
                target: target.to_owned(),
                sleeps: round as u64,
                ..Measured::default()
            };
            phase.counted.sharing_writes = sharing_writes;
            phase
        };
        rounds.iter().enumerate().map(phase).collect()
    }

    fn kept(rounds: &[u64]) -> Measured {
        let mut all = medians(phases("anon", rounds));
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    #[test]
    fn the_phase_in_the_middle_is_kept_whole() {
        let kept = kept(&[7, 1, 5, 9, 3]);
        assert_eq!((kept.counted.sharing_writes, kept.sleeps), (5, 2));
        assert_eq!(kept.rounds, [7, 1, 5, 9, 3]);
    }

    #[test]
    fn of_two_in_the_middle_the_lower_is_kept() {
        let kept = kept(&[4, 1, 3, 2]);
        assert_eq!((kept.counted.sharing_writes, kept.sleeps), (2, 3));
    }

    #[test]
    fn one_round_is_its_own_median() {
        let kept = kept(&[6]);
        assert_eq!(kept.counted.sharing_writes, 6);
        assert_eq!(kept.rounds, [6]);
    }

    #[test]
    fn phases_that_take_turns_are_told_apart() {
        let [anon, memfd] = [phases("anon", &[1, 2, 3]), phases("memfd", &[6, 5, 4])];
        let turns = anon.into_iter().zip(memfd);
        let turns = turns.flat_map(|(anon, memfd)| [anon, memfd]).collect();
        let kept = medians(turns);
        let kept = kept.iter().map(|kept| (&*kept.target, writes(kept)));
        assert_eq!(kept.collect::<Vec<_>>(), [("anon", 2), ("memfd", 5)]);
    }
}
