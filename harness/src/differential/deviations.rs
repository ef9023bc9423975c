// SPDX-License-Identifier: GPL-2.0-only
//! Where a space and Linux differ on purpose: the one place that knows.
//!
//! [`follow`] makes Linux do what a space does, and says what a space had to
//! answer, with the real system calls as far as they go. What is not in the
//! table below is not treated here, and so is a failure where it differs.

use std::io;
use std::ops::Range;

use super::call::{
    Answer, Call, FileName, Piece, Side, Source, canonical, first_hole, has, lowest_gap,
};
use super::files::beyond_end;
use super::linux::Linux;
use crate::access::{Fault, Signal};
use crate::target::To;
use crate::{Advice, Placement, Prot};

/// Reads the table below, and makes an enumeration and its rows of it.
macro_rules! deviations {
    ($($name:ident: $linux:literal, $space:literal, $why:literal;)+) => {
        /// A difference that is meant to be.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "TABLE describes them")]
        pub enum Deviation { $($name),+ }

        /// Each: name, what Linux does, what a space does, and why.
        pub const TABLE: &[(Deviation, &str, &str, &str)] =
            &[$((Deviation::$name, $linux, $space, $why)),+];
    };
}

deviations! {
    AtomicFailure:
        "mprotect and madvise change what comes before a hole, or before what may not become \
         writable (madvise also what comes behind), and then fail",
        "PROTECT and ADVISE fail with the same error and change nothing",
        "who sees a call fail knows what is there";
    WhichReason:
        "mprotect names the reason to fail that it meets first, mmap EEXIST before EACCES",
        "PROTECT and MAP may name any reason there is",
        "files are looked at before anything is locked, holes before anything is changed";
    TakenHint:
        "mmap goes anywhere if there is something at the hint",
        "MAP takes the lowest free interval at or above the hint",
        "a space is one long run of addresses, and is to be filled from below";
    MovedAnywhere:
        "mremap moves to an address of its choice",
        "REMAP moves to an address of its choice",
        "both are free to; only that it was free is compared";
    KeptApart:
        "mremap fails on adjacent areas that are alike but were touched apart, which Linux never \
         merges again",
        "REMAP takes them for the one region that they are",
        "regions are canonical: a page holds all that its history matters";
    WillNeed:
        "MADV_WILLNEED is a hint to read ahead; it has no errors but for holes",
        "WILLNEED fills the pages whatever their protection, as MADV_POPULATE_READ does where it \
         may read; a page beyond the end of its file is EFAULT",
        "page tables of the windows are not its business, so protections are not either";
    NoRegion:
        "an access where nothing is mapped is SIGSEGV with SEGV_MAPERR",
        "it is SIGBUS with BUS_ADRERR",
        "the window is mapped; what is missing is behind it, as beyond the end of a file";
    Forbidden:
        "an access that the protection forbids is SIGSEGV with SEGV_ACCERR",
        "it is SIGSEGV with SEGV_MAPERR",
        "the core gives this code for VM_FAULT_SIGSEGV of a driver";
}

/// How often each was met.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met([u64; TABLE.len()]);

impl Met {
    /// One more.
    pub fn count(&mut self, deviation: Deviation) {
        self.0[deviation as usize] += 1;
    }

    /// The count of one.
    pub fn of(&self, deviation: Deviation) -> u64 {
        self.0[deviation as usize]
    }
}

/// The table as Markdown.
pub fn markdown() -> String {
    let mut text = "| Linux | a space | why |\n| --- | --- | --- |\n".to_owned();
    for (_, linux, space, why) in TABLE {
        text.push_str(&format!("| {linux} | {space} | {why} |\n"));
    }
    text
}

/// What a space's access has to end with, when Linux's ended with `fault`.
pub fn of_fault(fault: Fault, met: &mut Met) -> Fault {
    const SEGV_MAPERR: i32 = 1;
    const SEGV_ACCERR: i32 = 2;
    const BUS_ADRERR: i32 = 2;
    let (deviation, signal, code) = match (fault.signal, fault.code) {
        (Signal::Segv, SEGV_MAPERR) => (Deviation::NoRegion, Signal::Bus, BUS_ADRERR),
        (Signal::Segv, SEGV_ACCERR) => (Deviation::Forbidden, Signal::Segv, SEGV_MAPERR),
        _ => return fault,
    };
    met.count(deviation);
    Fault { signal, code }
}

/// Does on Linux what a space does when it is asked for `call`, and returns what
/// the space has to answer. `space` is what it did: where it has a choice, Linux
/// follows it if that choice was free.
pub fn follow(linux: &mut Linux, call: &Call, space: Answer, met: &mut Met) -> io::Result<Answer> {
    let areas = linux.areas()?;
    let mut follower = Follower {
        regions: canonical(&areas),
        areas,
        linux,
        space,
        met,
    };
    follower.answer(call)
}

struct Follower<'a> {
    /// Linux's areas before the call.
    areas: Vec<Piece>,
    /// What they would be in a space.
    regions: Vec<Piece>,
    linux: &'a mut Linux,
    space: Answer,
    met: &'a mut Met,
}

impl Follower<'_> {
    fn answer(&mut self, call: &Call) -> io::Result<Answer> {
        match call {
            Call::Map {
                pages,
                placement: Placement::Hint,
                ..
            } => self.map_hint(pages, call),
            Call::Protect { pages, prot } => self.protect(pages, *prot, call),
            Call::Advise { pages, advice } => self.advise(pages, *advice, call),
            Call::Remap { old, count, to } => self.remap(old, *count, *to),
            Call::Map { prot, source, .. } => self.map(*prot, *source, call),
            Call::Unmap { .. } => Ok(self.linux.call(call).into()),
        }
    }

    fn map_hint(&mut self, pages: &Range<u32>, call: &Call) -> io::Result<Answer> {
        let count = pages.end - pages.start;
        let lowest = lowest_gap(&self.regions, pages.start, count);
        if lowest == pages.start && pages.end <= self.linux.pages() {
            return Ok(self.linux.call(call).into());
        }
        self.met.count(Deviation::TakenHint);
        let Call::Map { prot, source, .. } = *call else {
            return Ok(Answer::Elsewhere);
        };
        let to = lowest..lowest + count;
        if to.end > self.linux.pages() {
            // The runner removes what is outside the arena. What may not be
            // mapped may not be mapped there either.
            let probe = self.linux.map_at(pages.clone(), prot, source, 0);
            return Ok(probe.map(|_| lowest).into());
        }
        let flags = libc::MAP_FIXED_NOREPLACE;
        Ok(self.linux.map_at(to, prot, source, flags).into())
    }

    /// The reasons not to change the protection of `pages`: the first page of
    /// each, and the error.
    fn refusals(&self, pages: &Range<u32>, prot: Option<Prot>) -> Vec<(u32, i32)> {
        let hole = first_hole(&self.regions, pages).map(|page| (page, libc::ENOMEM));
        let writable = prot.is_some_and(|prot| has(prot, Prot::WRITE));
        let read_only = self.regions.iter().find_map(|region| {
            let part = region.within(pages)?;
            let forbids = writable && is_read_only(part.source);
            forbids.then_some((part.pages.start, libc::EACCES))
        });
        let mut refusals: Vec<_> = hole.into_iter().chain(read_only).collect();
        refusals.sort_unstable();
        refusals
    }

    fn protect(&mut self, pages: &Range<u32>, prot: Prot, call: &Call) -> io::Result<Answer> {
        let refusals = self.refusals(pages, Some(prot));
        let Some(&(first, _)) = refusals.first() else {
            return Ok(self.linux.call(call).into());
        };
        if first != pages.start {
            self.met.count(Deviation::AtomicFailure);
        }
        // From there on it fails before it has changed anything.
        let result = self.linux.protect(&(first..pages.end), prot);
        let reasons = refusals.iter().map(|&(_, errno)| errno);
        Ok(self.any_reason(result.map(|()| first).into(), reasons))
    }

    /// The space's answer, if Linux failed as well and that is a reason, too.
    fn any_reason(&mut self, linux: Answer, mut reasons: impl Iterator<Item = i32>) -> Answer {
        let failed = matches!(linux, Answer::Errno(_));
        if failed && linux != self.space && reasons.any(|e| Answer::Errno(e) == self.space) {
            self.met.count(Deviation::WhichReason);
            return self.space;
        }
        linux
    }

    fn map(&mut self, prot: Prot, source: Source, call: &Call) -> io::Result<Answer> {
        let answer = self.linux.call(call).into();
        let forbidden = has(prot, Prot::WRITE) && is_read_only(source);
        Ok(self.any_reason(answer, forbidden.then_some(libc::EACCES).into_iter()))
    }

    fn advise(&mut self, pages: &Range<u32>, advice: Advice, call: &Call) -> io::Result<Answer> {
        if let Some(&(hole, _)) = self.refusals(pages, None).first() {
            if pages.end - pages.start > 1 {
                self.met.count(Deviation::AtomicFailure);
            }
            let result = self.linux.call(&Call::Advise {
                pages: hole..hole + 1,
                advice,
            });
            return Ok(result.into());
        }
        match advice {
            Advice::DontNeed => Ok(self.linux.call(call).into()),
            Advice::WillNeed => self.will_need(pages),
        }
    }

    fn will_need(&mut self, pages: &Range<u32>) -> io::Result<Answer> {
        self.met.count(Deviation::WillNeed);
        let mut answer = Answer::Page(pages.start);
        let parts: Vec<Piece> = self
            .regions
            .iter()
            .filter_map(|r| r.within(pages))
            .collect();
        for part in parts {
            let readable = has(part.prot, Prot::READ);
            if readable && answer == Answer::Page(pages.start) {
                let result = self.linux.advise(&part.pages, libc::MADV_POPULATE_READ);
                answer = result.map(|()| pages.start).into();
            } else if !readable && reaches_beyond_end(&part) {
                answer = Answer::Errno(libc::EFAULT);
            }
        }
        Ok(answer)
    }

    fn remap(&mut self, old: &Range<u32>, count: u32, to: To) -> io::Result<Answer> {
        let length = old.end - old.start;
        let overlaps = match to {
            To::Fixed(new) => new < old.end && old.start < new + count,
            To::Stay | To::MayMove => false,
        };
        // With equal lengths Linux moves several areas, too.
        let one = match to {
            _ if overlaps || count == length => None,
            To::Stay | To::MayMove if count < length => None,
            _ => Some(old.start..old.start + length.min(count)),
        };
        let apart = one.is_some_and(|one| {
            let covered = |pieces: &[Piece]| pieces.iter().any(|piece| piece.covers(&one));
            covered(&self.regions) && !covered(&self.areas)
        });
        if apart {
            self.met.count(Deviation::KeptApart);
            return self.remap_apart(old, count, to);
        }
        match self.linux.remap(old, count, to) {
            Err(error) => Ok(Err(error).into()),
            Ok(address) => match self.linux.page_of(address) {
                Some(page) => Ok(Answer::Page(page)),
                None => self.moved_away(address, old, count),
            },
        }
    }

    /// Linux moved the pages out of the arena: to where the space moved them.
    fn moved_away(&mut self, address: usize, old: &Range<u32>, count: u32) -> io::Result<Answer> {
        self.met.count(Deviation::MovedAnywhere);
        let (answer, to) = self.free_choice(old, count);
        self.linux.bring_back(address, count, to)?;
        Ok(answer)
    }

    /// Whether the space chose a free place, and which one if it is in the arena.
    fn free_choice(&self, old: &Range<u32>, count: u32) -> (Answer, Option<u32>) {
        let Answer::Page(to) = self.space else {
            return (Answer::Elsewhere, None);
        };
        let free = to != old.start && lowest_gap(&self.regions, to, count) == to;
        match free {
            false => (Answer::Elsewhere, None),
            true if to + count > self.linux.pages() => (self.space, None),
            true => (self.space, Some(to)),
        }
    }

    /// REMAP of several of Linux's areas that are one region: moves them with
    /// equal lengths and then grows the last one, or unmaps the tail and moves.
    fn remap_apart(&mut self, old: &Range<u32>, count: u32, to: To) -> io::Result<Answer> {
        let length = old.end - old.start;
        if let To::Fixed(new) = to {
            self.linux.unmap(new..new + count)?;
            if count < length {
                self.linux.unmap(old.start + count..old.end)?;
            }
            return self.move_apart(old, count, new);
        }
        let in_place = self.grow_last(old.end, count - length);
        match (in_place, to) {
            (Err(error), To::MayMove) if error.raw_os_error() == Some(libc::ENOMEM) => {}
            (result, _) => return Ok(result.map(|()| old.start).into()),
        }
        self.met.count(Deviation::MovedAnywhere);
        match self.free_choice(old, count) {
            (_, Some(new)) => self.move_apart(old, count, new),
            (answer, None) => {
                self.linux.unmap(old.clone())?;
                Ok(answer)
            }
        }
    }

    fn move_apart(&mut self, old: &Range<u32>, count: u32, new: u32) -> io::Result<Answer> {
        let head = (old.end - old.start).min(count);
        self.linux
            .remap(&(old.start..old.start + head), head, To::Fixed(new))?;
        if count > head {
            self.grow_last(new + head, count - head)?;
        }
        Ok(Answer::Page(new))
    }

    /// Grows the area that ends at `end`, in place.
    fn grow_last(&mut self, end: u32, by: u32) -> io::Result<()> {
        self.linux
            .remap(&(end - 1..end), 1 + by, To::Stay)
            .map(drop)
    }
}

fn is_read_only(source: Source) -> bool {
    matches!(source, Source::File(FileName::ReadOnly, _))
}

fn reaches_beyond_end(part: &Piece) -> bool {
    let count = part.pages.end - part.pages.start;
    match part.source.plus(count - 1) {
        Source::Anon => false,
        Source::File(name, page) => beyond_end(name, page),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deviation_has_a_reason() {
        for (index, (deviation, linux, space, why)) in TABLE.iter().enumerate() {
            assert_eq!(*deviation as usize, index);
            assert!(!linux.is_empty() && !space.is_empty() && !why.is_empty());
        }
        assert_eq!(markdown().lines().count(), TABLE.len() + 2);
    }
}
