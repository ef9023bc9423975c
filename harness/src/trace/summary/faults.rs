// SPDX-License-Identifier: GPL-2.0-only
//! Single faults: which events belong to one, and which are worth a look.

use std::collections::HashMap;

use crate::trace::event::{Event, Fault, Names, What};

/// Which faults are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// The one of this number, from 1.
    pub fault: Option<u64>,
    /// Those of this thread.
    pub task: Option<i32>,
}

/// A fault, from its first event to its last.
#[derive(Clone, Debug)]
pub struct Life {
    /// Counted from 1, in the order of their ends.
    pub number: u64,
    /// The thread.
    pub pid: i32,
    /// The space.
    pub space: u64,
    /// The page.
    pub page: u64,
    /// The time of the first event.
    pub start: u64,
    /// The time of the last.
    pub end: u64,
    /// Numbers of its events.
    pub events: Vec<usize>,
    /// Whether a speculation was given up, or it asked for a lock.
    pub is_slow: bool,
}

impl Life {
    fn time(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The faults of a trace.
#[derive(Debug, Default)]
pub struct Faults {
    /// By thread: what may belong to a fault that is not over.
    open: HashMap<i32, Vec<(usize, u64, u64, bool)>>,
    lives: Vec<Life>,
}

impl Faults {
    /// Takes in one event, the `number`th of the module's.
    pub fn take(&mut self, number: usize, event: &Event, names: &Names) {
        let (page, is_slow) = match event.what {
            What::Asked(claim) | What::Got(claim, _) | What::Gave(claim) => {
                if claim.write || claim.pages.count() != 1 {
                    return;
                }
                (claim.pages.start, true)
            }
            What::Aborted(fault, _) | What::FellBack(fault) => (fault.page, true),
            What::Speculated(fault, _) => (fault.page, false),
            What::Committed(_, page, _) => (page, false),
            What::Completed(fault, path, _) => {
                let is_slow = names.path(path) == "locked";
                self.complete(number, event, fault, is_slow);
                return;
            }
            What::Called(..) => {
                // What came before belonged to the call.
                self.open.remove(&event.pid);
                return;
            }
            What::Zapped(..) | What::Counted(..) => return,
        };
        let open = self.open.entry(event.pid).or_default();
        open.push((number, event.time, page, is_slow));
    }

    fn complete(&mut self, number: usize, event: &Event, fault: Fault, is_slow: bool) {
        let Fault { space, page, .. } = fault;
        let open = self.open.remove(&event.pid).unwrap_or_default();
        let mut own: Vec<_> = open
            .into_iter()
            .filter(|(_, _, of, _)| *of == page)
            .collect();
        own.push((number, event.time, page, is_slow));
        self.lives.push(Life {
            number: self.lives.len() as u64 + 1,
            pid: event.pid,
            space,
            page,
            start: own[0].1,
            end: event.time,
            is_slow: own.iter().any(|(_, _, _, is_slow)| *is_slow),
            events: own.into_iter().map(|(number, ..)| number).collect(),
        });
    }

    /// Those that are asked for, with what they stand for; else the slowest that was
    /// given up or took a lock, and a typical one of the others.
    pub fn choose(mut self, choice: Choice) -> Result<Vec<(&'static str, Life)>, String> {
        if let Some(number) = choice.fault {
            let all = self.lives.len();
            let at = usize::try_from(number - 1).ok().filter(|at| *at < all);
            let at = at.ok_or_else(|| format!("--fault {number}: there are {all} faults"))?;
            return Ok(vec![("the fault asked for", self.lives.swap_remove(at))]);
        }
        if let Some(pid) = choice.task {
            self.lives.retain(|life| life.pid == pid);
            if self.lives.is_empty() {
                return Err(format!("--task {pid}: it has no faults in this trace"));
            }
        }
        let (slow, mut fast): (Vec<Life>, Vec<Life>) =
            self.lives.into_iter().partition(|life| life.is_slow);
        let slowest = slow.into_iter().max_by_key(Life::time);
        fast.sort_by_key(Life::time);
        let middle = fast.len() / 2;
        let typical = (!fast.is_empty()).then(|| fast.swap_remove(middle));
        let slowest = slowest.map(|life| ("the slowest that was given up or took a lock", life));
        let typical = typical.map(|life| ("a typical one of the others", life));
        Ok(slowest.into_iter().chain(typical).collect())
    }
}
