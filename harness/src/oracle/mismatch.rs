// SPDX-License-Identifier: GPL-2.0-only
//! Mismatches: counted in shared memory, with the text of the first ones, so
//! that none is lost whichever process finds it.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use super::{Expected, State, Trail, Wrong};
use crate::shared::SharedWords;

/// Mismatches whose text is kept.
const SLOTS: usize = 8;
/// Words of a slot: the length in bytes plus one, and the text.
const SLOT_WORDS: usize = 1024;
/// Accesses and calls of the page that are shown, of each.
const EVENTS_SHOWN: usize = 12;

/// What goes with a mismatch of an access.
pub struct Evidence<'a> {
    /// Where it was: space, page, byte, window.
    pub place: &'a dyn Display,
    /// Number of the page over all spaces.
    pub page: u32,
    /// State before the access.
    pub before: State,
    /// State after it.
    pub after: State,
    /// What it had to do, in words.
    pub expected: &'a dyn Display,
    /// What it did.
    pub seen: &'a dyn Display,
}

/// The mismatches of a run, and the sign to stop.
#[derive(Debug)]
pub struct Mismatches {
    seed: u64,
    words: SharedWords,
}

const STOP: usize = 0;
const COUNT: usize = 1;
const HEAD: usize = 16;

impl Mismatches {
    /// None yet.
    pub fn new(seed: u64) -> io::Result<Mismatches> {
        Ok(Mismatches {
            seed,
            words: SharedWords::new(HEAD + SLOTS * SLOT_WORDS)?,
        })
    }

    /// True once everybody should stop.
    pub fn stopping(&self) -> bool {
        // Relaxed: it carries no data.
        self.words[STOP].load(Relaxed) != 0
    }

    /// Tells everybody to stop.
    pub fn stop(&self) {
        self.words[STOP].store(1, Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.words[COUNT].load(Acquire)
    }

    /// Records a mismatch and stops the run.
    pub fn add(&self, text: &str) {
        let index = self.words[COUNT].fetch_add(1, Release) as usize;
        self.stop();
        if index >= SLOTS {
            return;
        }
        let slot = self.slot(index);
        let length = text.len().min((SLOT_WORDS - 1) * 8);
        for (word, bytes) in slot[1..].iter().zip(text.as_bytes()[..length].chunks(8)) {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(padded), Relaxed);
        }
        // Pairs with the load in `texts`.
        slot[0].store(length as u64 + 1, Release);
    }

    /// Records an access that was wrong.
    pub fn add_access(&self, what: &Wrong, evidence: &Evidence<'_>, trail: &Trail) {
        let text = format!(
            "{what}\n  {}, seed {}\n  expected: {}\n  seen:     {}\n  \
             state:    {} before, {} after\n  judged:   {what:?}\n  \
             last operations on this page (age in 1000 ticks):\n{}",
            evidence.place,
            self.seed,
            evidence.expected,
            evidence.seen,
            evidence.before,
            evidence.after,
            trail.of_page(evidence.page, EVENTS_SHOWN),
        );
        self.add(&text);
    }

    /// The texts of the first ones. Call it when all threads have ended.
    pub fn texts(&self) -> Vec<String> {
        let count = (self.count() as usize).min(SLOTS);
        (0..count).map(|index| self.text(index)).collect()
    }

    fn text(&self, index: usize) -> String {
        let slot = self.slot(index);
        let Some(length) = (slot[0].load(Acquire) as usize).checked_sub(1) else {
            return "(its process died before it could be described)".to_owned();
        };
        let words = slot[1..]
            .iter()
            .map(|word| word.load(Relaxed).to_le_bytes());
        let bytes: Vec<u8> = words.flatten().take(length).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn slot(&self, index: usize) -> &[AtomicU64] {
        let at = HEAD + index * SLOT_WORDS;
        &self.words[at..at + SLOT_WORDS]
    }
}

/// What an access had to do, in words.
impl Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expected::Success => f.write_str("success"),
            Expected::Fault(signal) => write!(f, "{signal}"),
            Expected::Open => f.write_str("success or a fault"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mismatches_are_counted_and_the_first_are_kept() {
        let mismatches = Mismatches::new(1).expect("memory");
        assert!(!mismatches.stopping());
        for index in 0..SLOTS + 3 {
            mismatches.add(&format!("number {index}, {}", "x".repeat(index * 1000)));
        }
        assert!(mismatches.stopping());
        assert_eq!(mismatches.count(), SLOTS as u64 + 3);
        let texts = mismatches.texts();
        assert_eq!(texts.len(), SLOTS);
        assert!(texts[2].starts_with("number 2, xxx") && texts[2].len() == 2010);
    }
}
