// SPDX-License-Identifier: GPL-2.0-only
//! What becomes of one cache line: a write-invalidate protocol, as MESI is.
//!
//! Pure, and so small that a property test holds it against a list of all accesses.

/// Bytes of a line.
pub const LINE: u64 = 64;
/// Processors that can be told apart.
pub const MAX_CPUS: u32 = 64;

/// A set of processors.
pub type Cpus = u64;
/// A set of the bytes of a line.
pub type Bytes = u64;

/// What an instruction does to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Read,
    /// It writes.
    Write,
    /// It reads and writes in one: a locked instruction, or an exchange.
    Atomic,
}

impl Kind {
    /// Whether the line must be this processor's own for it.
    pub fn writes(self) -> bool {
        self != Kind::Read
    }
}

/// One line, as far as it has been accessed in a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Who has accessed it.
    pub accessed: Cpus,
    /// Who has written it.
    pub written: Cpus,
    /// Who has it: the last writer, and all that have read it since.
    pub holders: Cpus,
    /// Bytes that were accessed.
    pub bytes: Bytes,
    /// Bytes that were written.
    pub dirty: Bytes,
    /// Writes of all processors.
    pub writes: u32,
    /// Of these, atomic ones.
    pub atomics: u32,
    /// How often it had to come from another processor, or to be taken from one.
    pub transfers: u32,
}

impl Line {
    /// Notes an access and says whether the line moved for it.
    ///
    /// It moves for a write if another processor has it, and for a read if another
    /// one has written it and this one has not had it since. The first access of a
    /// phase finds it in nobody's cache: that is memory's cost, not sharing.
    pub fn access(&mut self, cpu: u32, kind: Kind, bytes: Bytes) -> bool {
        let me: Cpus = 1 << cpu;
        let others = self.holders & !me;
        let moved = match kind.writes() {
            true => others != 0,
            false => self.holders & me == 0 && others != 0 && self.written != 0,
        };
        self.accessed |= me;
        self.bytes |= bytes;
        if kind.writes() {
            self.written |= me;
            self.dirty |= bytes;
            self.holders = me;
            self.writes = self.writes.saturating_add(1);
            self.atomics = self.atomics.saturating_add(u32::from(kind == Kind::Atomic));
        } else {
            self.holders |= me;
        }
        self.transfers = self.transfers.saturating_add(u32::from(moved));
        moved
    }

    /// Notes further bytes of an access.
    pub fn extend(&mut self, kind: Kind, bytes: Bytes) {
        self.bytes |= bytes;
        if kind.writes() {
            self.dirty |= bytes;
        }
    }

    /// Whether it is one processor's business only, so far.
    pub fn is_private(&self) -> bool {
        self.accessed.count_ones() <= 1
    }

    /// Whether somebody writes it that another processor reads or writes.
    ///
    /// This does not depend on how the accesses of different processors are
    /// interleaved, while transfers do.
    pub fn is_shared(&self) -> bool {
        self.written != 0 && !self.is_private()
    }

    /// Writes to a line that another processor writes or reads in this phase, too.
    pub fn sharing_writes(&self) -> u32 {
        match self.is_shared() {
            true => self.writes,
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accessed(accesses: &[(u32, Kind)]) -> Line {
        let mut line = Line::default();
        for &(cpu, kind) in accesses {
            line.access(cpu, kind, 1);
        }
        line
    }

    #[test]
    fn a_line_of_one_cpu_never_moves() {
        let line = accessed(&[(3, Kind::Read), (3, Kind::Write), (3, Kind::Atomic)]);
        assert_eq!(
            (line.transfers, line.sharing_writes(), line.atomics),
            (0, 0, 1)
        );
    }

    #[test]
    fn what_all_only_read_is_not_shared() {
        let line = accessed(&[(0, Kind::Read), (1, Kind::Read), (0, Kind::Read)]);
        assert_eq!((line.transfers, line.sharing_writes()), (0, 0));
    }

    #[test]
    fn a_counter_of_all_moves_with_each_turn() {
        let turns = [0, 1, 0, 1].map(|cpu| (cpu, Kind::Atomic));
        let line = accessed(&turns);
        assert_eq!((line.transfers, line.sharing_writes()), (3, 4));
    }

    #[test]
    fn writes_count_though_the_reader_comes_last() {
        let line = accessed(&[(0, Kind::Write), (0, Kind::Write), (1, Kind::Read)]);
        assert_eq!((line.transfers, line.sharing_writes()), (1, 2));
    }

    #[test]
    fn a_second_read_finds_the_line_there() {
        let line = accessed(&[(0, Kind::Write), (1, Kind::Read), (1, Kind::Read)]);
        assert_eq!(line.transfers, 1);
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop_oneof![Just(Kind::Read), Just(Kind::Write), Just(Kind::Atomic)]
    }

    proptest! {
        /// The oracle keeps all accesses and looks through them again for each.
        #[test]
        fn it_counts_what_a_list_of_all_accesses_says(
            accesses in proptest::collection::vec((0..4u32, kinds()), 0..40)
        ) {
            let line = accessed(&accesses);
            let moved = (0..accesses.len()).filter(|&at| moves(&accesses, at)).count();
            prop_assert_eq!(line.transfers as usize, moved);
            let sharing = accesses.iter().filter(|(cpu, kind)| {
                kind.writes() && accesses.iter().any(|(other, _)| other != cpu)
            });
            prop_assert_eq!(line.sharing_writes() as usize, sharing.count());
        }
    }

    fn moves(accesses: &[(u32, Kind)], at: usize) -> bool {
        let (me, kind) = accesses[at];
        let before = &accesses[..at];
        let last_write = before.iter().rposition(|(_, kind)| kind.writes());
        let since = &before[last_write.unwrap_or(0)..];
        let i_have_it = since.iter().any(|&(cpu, _)| cpu == me);
        let others_have_it = since.iter().any(|&(cpu, _)| cpu != me);
        match kind.writes() {
            true => others_have_it,
            false => last_write.is_some() && !i_have_it && others_have_it,
        }
    }
}
