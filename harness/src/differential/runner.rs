// SPDX-License-Identifier: GPL-2.0-only
//! One sequence on both sides, compared after each step.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::io;
use std::time::Instant;

use super::call::{Answer, Call, FileName, Piece, Side, Step, WORDS, canonical};
use super::deviations::{self, Met};
use super::files::{FILE_PAGES, first_page};
use super::generate::Generator;
use super::linux::Linux;
use crate::access::Fault;
use crate::target::Operations;
use crate::{Placement, Prot};

/// Steps that a report shows.
const SHOWN: usize = 60;

/// A sequence to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// How many steps at most.
    pub steps: u64,
    /// When the last step is made, however many there were.
    pub until: Option<Instant>,
    /// Pages of the arena.
    pub pages: u32,
    /// Contents are compared after every so manyth call, on average: what was
    /// looked at is no longer untouched.
    pub sweep: u64,
    /// What may be done.
    pub operations: Operations,
    /// Print each step.
    pub trace: bool,
}

/// What was done, over all sequences.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Sequences.
    pub sequences: u64,
    /// Steps.
    pub steps: u64,
    /// By name: calls, and how many of them failed as they had to.
    pub calls: BTreeMap<&'static str, (u64, u64)>,
    /// Accesses, and how many of them faulted as they had to.
    pub accesses: (u64, u64),
    /// Pages whose content was compared.
    pub swept: u64,
    /// Deviations met.
    pub met: Met,
}

/// Why a sequence ended early.
#[derive(Debug)]
pub enum Stop {
    /// The sides differ: the report.
    Mismatch(String),
    /// It could not go on.
    Error(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Error(error)
    }
}

/// A sequence that is under way.
pub struct Runner<'a> {
    plan: Plan,
    space: &'a mut dyn Side,
    linux: Linux,
    generator: Generator,
    tally: &'a mut Tally,
    log: Vec<String>,
}

impl<'a> Runner<'a> {
    /// Both sides are empty.
    pub fn new(plan: Plan, space: &'a mut dyn Side, tally: &'a mut Tally) -> io::Result<Self> {
        Ok(Runner {
            plan,
            space,
            linux: Linux::new(plan.pages)?,
            generator: Generator::new(plan.seed, plan.pages, plan.operations),
            tally,
            log: Vec::new(),
        })
    }

    /// Runs it to its end, or to the first difference.
    pub fn run(&mut self) -> Result<(), Stop> {
        self.tally.sequences += 1;
        for made in 0..self.plan.steps {
            let regions = canonical(&self.linux.areas()?);
            let step = self.generator.step(&regions);
            self.step(&step)?;
            if matches!(step, Step::Call(_)) && self.generator.one_in(self.plan.sweep) {
                let byte = self.generator.word();
                self.sweep(byte)?;
            }
            if self.plan.until.is_some_and(|until| Instant::now() >= until) {
                self.plan.steps = made + 1;
                break;
            }
        }
        self.reveal()
    }

    /// What was run: with the steps that there was time for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// One step on both sides.
    pub fn step(&mut self, step: &Step) -> Result<(), Stop> {
        self.tally.steps += 1;
        self.note(step.to_string());
        match step {
            Step::Call(call) => self.call(call),
            Step::Load { page, byte } => self.load(*page, *byte),
            Step::Store { page, byte, value } => {
                let space = self.space.store(*page, *byte, *value);
                let linux = self.linux.store(*page, *byte, *value);
                self.access(space, linux)
            }
        }
    }

    fn note(&mut self, text: String) {
        if self.plan.trace {
            println!("{:>6} {text}", self.log.len());
        }
        self.log.push(text);
    }

    fn call(&mut self, call: &Call) -> Result<(), Stop> {
        let before = canonical(&self.linux.areas()?);
        let space = Answer::from(self.space.call(call));
        let linux = deviations::follow(&mut self.linux, call, space, &mut self.tally.met)?;
        let counts = self.tally.calls.entry(call.name()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(!matches!(linux, Answer::Page(_)));
        if space != linux {
            return Err(self.differ("answers", &space, &linux, &before));
        }
        self.clear_outside(call, space)?;
        self.compare_regions(&before)
    }

    /// The space may have chosen a place that is not all in the arena; on Linux
    /// nothing is there.
    fn clear_outside(&mut self, call: &Call, answer: Answer) -> io::Result<()> {
        let count = match call {
            Call::Map {
                pages,
                placement: Placement::Hint,
                ..
            } => pages.end - pages.start,
            Call::Remap { count, .. } => *count,
            _ => return Ok(()),
        };
        match answer {
            Answer::Page(first) if first + count > self.plan.pages => {
                let pages = first..first + count;
                self.space.call(&Call::Unmap { pages }).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn compare_regions(&mut self, before: &[Piece]) -> Result<(), Stop> {
        let space = self.space.regions()?;
        let linux = canonical(&self.linux.areas()?);
        if space != linux {
            let merged = canonical(&space) == linux;
            let what = if merged {
                "regions (the space's are not merged)"
            } else {
                "regions"
            };
            let (space, linux) = (Lines(&space), Lines(&linux));
            return Err(self.differ(what, &space, &linux, before));
        }
        Ok(())
    }

    fn load(&mut self, page: u32, byte: usize) -> Result<(), Stop> {
        let space = self.space.load(page, byte);
        let linux = self.linux.load(page, byte);
        self.access(space, linux)
    }

    fn access<T: Debug + PartialEq>(
        &mut self,
        space: Result<T, Fault>,
        linux: Result<T, Fault>,
    ) -> Result<(), Stop> {
        self.tally.accesses.0 += 1;
        self.tally.accesses.1 += u64::from(linux.is_err());
        let linux = linux.map_err(|fault| deviations::of_fault(fault, &mut self.tally.met));
        if space == linux {
            return Ok(());
        }
        let regions = canonical(&self.linux.areas()?);
        Err(self.differ("accesses", &space, &linux, &regions))
    }

    /// Compares a word of every page.
    fn sweep(&mut self, byte: usize) -> Result<(), Stop> {
        for page in 0..self.plan.pages {
            self.log.push(Step::Load { page, byte }.to_string());
            self.load(page, byte)?;
            self.log.pop();
        }
        self.tally.swept += u64::from(self.plan.pages);
        Ok(())
    }

    /// At the end all protections give way to loads, so that whatever they hid
    /// can be compared; then the files; then nothing may be left.
    fn reveal(&mut self) -> Result<(), Stop> {
        if self.plan.operations.has(crate::target::Operation::Protect) {
            for region in canonical(&self.linux.areas()?) {
                self.step(&Step::Call(Call::Protect {
                    pages: region.pages,
                    prot: Prot::READ,
                }))?;
            }
        }
        WORDS.into_iter().try_for_each(|byte| self.sweep(byte))?;
        FileName::ALL
            .into_iter()
            .try_for_each(|name| self.compare_file(name))?;
        let pages = 0..self.plan.pages;
        self.step(&Step::Call(Call::Unmap { pages }))?;
        self.sweep(0)
    }

    fn compare_file(&mut self, name: FileName) -> Result<(), Stop> {
        let from = first_page(name);
        for page in from..from + FILE_PAGES {
            for byte in WORDS {
                let space = self.space.file_word(name, page, byte)?;
                let linux = self.linux.file_word(name, page, byte)?;
                if space != linux {
                    let what = format!("{name:?} files, page {page} byte {byte},");
                    return Err(self.differ(&what, &space, &linux, &[]));
                }
            }
        }
        Ok(())
    }

    #[cold]
    fn differ(&self, what: &str, space: &dyn Debug, linux: &dyn Debug, before: &[Piece]) -> Stop {
        let last = self.log.len().saturating_sub(1);
        let mut text = format!(
            "MISMATCH: {what} differ, seed {}, step {last}: {}\n  space: {space:?}\n  \
             Linux: {linux:?} (as a space does it)\n  regions before: {:?}\n  steps so far:\n",
            self.plan.seed,
            self.log[last],
            Lines(before),
        );
        let skip = self.log.len().saturating_sub(SHOWN);
        if skip > 0 {
            let _ = writeln!(text, "    ... ({skip} more: --trace shows them)");
        }
        for (number, step) in self.log.iter().enumerate().skip(skip) {
            let _ = writeln!(text, "    {number:>6} {step}");
        }
        Stop::Mismatch(text)
    }
}

/// Pieces in one line.
struct Lines<'a>(&'a [Piece]);

impl Debug for Lines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Piece::to_string).collect();
        f.write_str(&lines.join("; "))
    }
}
