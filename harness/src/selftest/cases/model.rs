// SPDX-License-Identifier: GPL-2.0-only
//! Random calls against a page-by-page model of a space.

use crate::access::{Fault, Signal};
use crate::selftest::check::{Outcome, ensure_eq, fails, raises, reads};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, PAGE, bytes, layout};
use crate::{Placement, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "model":
    random_calls_follow_the_model_seed_1,
    random_calls_follow_the_model_seed_2,
    random_calls_and_accesses_follow_the_model,
];

/// Pages that the calls are about.
const PAGES: usize = 96;
const CALLS: usize = 400;

/// xorshift64*: enough for tests, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit as u64) as usize
    }
}

/// A mapped page: its protection and its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    prot: Prot,
    word: u64,
}

struct Model {
    arena: Arena,
    pages: Vec<Option<Cell>>,
    random: Random,
    log: Vec<String>,
}

impl Model {
    fn new(seed: u64) -> Result<Model, crate::selftest::check::Stop> {
        Ok(Model {
            arena: Arena::empty(PAGES)?,
            pages: vec![None; PAGES],
            random: Random::new(seed),
            log: Vec::new(),
        })
    }

    fn any_range(&mut self) -> (usize, usize) {
        let from = self.random.below(PAGES);
        (from, 1 + self.random.below((PAGES - from).min(20)))
    }

    fn any_prot(&mut self) -> Prot {
        [Prot::NONE, Prot::READ, Prot::READ_WRITE, Prot::READ_WRITE][self.random.below(4)]
    }

    /// One call, and the same in the model.
    fn step(&mut self) -> Outcome {
        let (from, pages) = self.any_range();
        let prot = self.any_prot();
        let fresh = Some(Cell { prot, word: 0 });
        match self.random.below(6) {
            0 | 1 => {
                self.log.push(format!("UNMAP {from}+{pages}"));
                self.arena.unmap(from, pages)?;
                self.pages[from..from + pages].fill(None);
            }
            2 => {
                self.log.push(format!("FIXED {from}+{pages} {prot:?}"));
                self.arena.remap(from, pages, prot)?;
                self.pages[from..from + pages].fill(fresh);
            }
            3 => {
                self.log.push(format!("NOREPLACE {from}+{pages} {prot:?}"));
                let result = self.map(from, pages, prot, Placement::FixedNoreplace);
                if self.pages[from..from + pages].iter().any(Option::is_some) {
                    fails(result, libc::EEXIST, "FIXED_NOREPLACE over something")?;
                } else {
                    ensure_eq!(result?, BASE + bytes(from), "FIXED_NOREPLACE");
                    self.pages[from..from + pages].fill(fresh);
                }
            }
            _ => {
                self.log.push(format!("HINT {from}+{pages} {prot:?}"));
                let at = self.lowest_fit(from, pages);
                let got = self.map(from, pages, prot, Placement::Hint)?;
                ensure_eq!(got, BASE + bytes(at), "address for a hint");
                if at + pages > PAGES {
                    // Keep to the pages of the model.
                    self.arena.unmap(at, pages)?;
                    self.pages[at.min(PAGES)..].fill(None);
                } else {
                    self.pages[at..at + pages].fill(fresh);
                }
            }
        }
        Ok(())
    }

    fn map(
        &self,
        from: usize,
        pages: usize,
        prot: Prot,
        placement: Placement,
    ) -> std::io::Result<u64> {
        self.arena
            .space
            .map(BASE + bytes(from), bytes(pages), prot, placement)
    }

    /// The lowest free run of `pages` at or above `from`; all behind the model is free.
    fn lowest_fit(&self, from: usize, pages: usize) -> usize {
        let free = |page: usize| self.pages.get(page).is_none_or(Option::is_none);
        (from..)
            .find(|&at| (at..at + pages).all(free))
            .expect("the space does not end here")
    }

    /// QUERY must report what the model has.
    fn compare(&self) -> Outcome {
        let mut seen = vec![None; PAGES];
        for (start, end, prot) in layout(&self.arena.space)? {
            let page = |addr: u64| (addr.wrapping_sub(BASE) / bytes(1)) as usize;
            ensure_eq!(
                page(end - 1) < PAGES,
                true,
                "end of region {start:#x}..{end:#x}"
            );
            seen[page(start)..=page(end - 1)].fill(Some(prot));
        }
        let expected: Vec<_> = self
            .pages
            .iter()
            .map(|cell| cell.map(|cell| cell.prot))
            .collect();
        ensure_eq!(seen, expected, "protections by page");
        Ok(())
    }

    /// A load or a store must do what the model says.
    fn access(&mut self) -> Outcome {
        let page = self.random.below(PAGES);
        let value = 1 + self.random.below(1 << 30) as u64;
        let store = self.random.below(2) == 0;
        self.log
            .push(format!("{} {page}", if store { "store" } else { "load" }));
        let window = &self.arena.window;
        let result: Result<u64, Fault> = if store {
            window.store(page * PAGE, value).map(|()| value)
        } else {
            window.load(page * PAGE)
        };
        match &mut self.pages[page] {
            None => raises(result, Signal::Bus, "access without a region"),
            Some(cell) if cell.prot == Prot::NONE || (store && cell.prot == Prot::READ) => {
                raises(result, Signal::Segv, "access that is forbidden")
            }
            Some(cell) => {
                if store {
                    cell.word = value;
                }
                reads(result, cell.word, "access")
            }
        }
    }

    fn run(&mut self, seed: u64, accesses: usize) -> Outcome {
        for call in 0..CALLS {
            let outcome = self
                .step()
                .and_then(|()| self.compare())
                .and_then(|()| (0..accesses).try_for_each(|_| self.access()));
            outcome.map_err(|stop| match stop {
                crate::selftest::check::Stop::Fail(message) => {
                    let last = self.log[self.log.len().saturating_sub(12)..].join("; ");
                    let text = format!("{message}\nseed {seed}, call {call}, last: {last}");
                    crate::selftest::check::Stop::Fail(text)
                }
                skip => skip,
            })?;
        }
        super::query::must_add_up(&self.arena.space)
    }
}

fn random_calls_follow_the_model_seed_1() -> Outcome {
    Model::new(1)?.run(1, 0)
}

fn random_calls_follow_the_model_seed_2() -> Outcome {
    Model::new(2)?.run(2, 0)
}

fn random_calls_and_accesses_follow_the_model() -> Outcome {
    Model::new(3)?.run(3, 12)
}
