// SPDX-License-Identifier: GPL-2.0-only
//! What a target can do to its pages beyond mapping and unmapping them.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use clap::ValueEnum;

use crate::{Advice, PAGE_SIZE, Placement, Prot, Relocation, Source, Space, sys};

/// Something that a target may be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// PROTECT
    Protect,
    /// REMAP to fewer pages, in place
    Shrink,
    /// REMAP to more pages, in place
    Grow,
    /// REMAP to another place
    Move,
    /// ADVISE, discarding pages
    DontNeed,
    /// ADVISE, filling pages
    WillNeed,
    /// Regions that show a memfd
    Shared,
    /// Regions with private copies of a file's pages
    Private,
}

impl Operation {
    /// Its name as it is typed.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// A set of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Operations(u32);

impl Operations {
    /// None.
    pub const NONE: Operations = Operations(0);

    /// True if it is in the set.
    pub const fn has(self, operation: Operation) -> bool {
        self.0 & (1 << operation as u32) != 0
    }

    /// What is in both sets.
    #[must_use]
    pub const fn and(self, other: Operations) -> Operations {
        Operations(self.0 & other.0)
    }

    /// Every operation.
    pub fn all() -> Operations {
        Operation::value_variants().iter().copied().collect()
    }

    /// Those in the set, in their order.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        let all = Operation::value_variants().iter().copied();
        all.filter(move |&operation| self.has(operation))
    }

    /// Those that the loaded module has, found out by trying.
    pub fn of_device() -> io::Result<Operations> {
        let all = Operation::value_variants().iter();
        all.map(|&operation| Ok(works(operation)?.then_some(operation)))
            .filter_map(Result::transpose)
            .collect()
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Operations {
        let bits = operations
            .into_iter()
            .map(|operation| 1 << operation as u32);
        Operations(bits.fold(0, |all, bit| all | bit))
    }
}

impl fmt::Display for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(Operation::name).collect();
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// Tries an operation in the simplest case, on a space of its own. A module that
/// does not have it says ENOTTY or EINVAL; any other failure is one.
fn works(operation: Operation) -> io::Result<bool> {
    let space = Space::open()?;
    let (at, two) = (1 << 30, 2 * PAGE_SIZE);
    let map = |source| space.map_from(at, two, Prot::READ, Placement::Fixed, source);
    let tried = match operation {
        Operation::Shared => map(Source::Shared(sys::memfd(two)?.as_fd(), 0)).map(drop),
        Operation::Private => map(Source::Private(sys::memfd(two)?.as_fd(), 0)).map(drop),
        _ => {
            map(Source::Anon)?;
            let remap = |length, to| space.remap(at, two, length, to).map(drop);
            match operation {
                Operation::Protect => space.protect(at, two, Prot::NONE),
                Operation::Shrink => remap(PAGE_SIZE, Relocation::Stay),
                Operation::Grow => remap(2 * two, Relocation::Stay),
                Operation::Move => remap(two, Relocation::Fixed(2 * at)),
                Operation::DontNeed => space.advise(at, two, Advice::DontNeed),
                _ => space.advise(at, two, Advice::WillNeed),
            }
        }
    };
    match tried {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_prints_its_names() {
        let set: Operations = [Operation::WillNeed, Operation::Protect]
            .into_iter()
            .collect();
        assert_eq!(set.to_string(), "protect,will-need");
        assert!(set.has(Operation::WillNeed) && !set.has(Operation::Move));
        assert_eq!(Operations::all().iter().count(), 8);
        assert_eq!(Operations::all().and(set), set);
    }
}
