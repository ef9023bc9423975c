// SPDX-License-Identifier: GPL-2.0-only
//! Threads that do their work in steps, all of them each step.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Where threads wait for each other between the steps of their work; reusable.
#[derive(Debug)]
pub(crate) struct Steps {
    count: usize,
    arrived: AtomicUsize,
    step: AtomicUsize,
    is_over: AtomicBool,
}

/// A thread among [`Steps`]: when it is dropped, nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Walker<'a>(&'a Steps);

impl Steps {
    /// For so many threads.
    pub(crate) fn new(count: usize) -> Steps {
        Steps {
            count,
            arrived: AtomicUsize::new(0),
            step: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// One of these threads.
    pub(crate) fn walker(&self) -> Walker<'_> {
        Walker(self)
    }
}

impl Walker<'_> {
    /// Waits until all have come here; false if one never will.
    pub(crate) fn meet(&self) -> bool {
        let Steps { count, arrived, .. } = self.0;
        let step = self.0.step.load(SeqCst);
        if arrived.fetch_add(1, SeqCst) + 1 == *count {
            arrived.store(0, SeqCst);
            self.0.step.store(step + 1, SeqCst);
            return true;
        }
        loop {
            // In this order: who has come here may leave as soon as all have.
            let is_over = self.0.is_over.load(SeqCst);
            if self.0.step.load(SeqCst) != step {
                return true;
            }
            if is_over {
                return false;
            }
            thread::yield_now();
        }
    }
}

impl Drop for Walker<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn no_thread_is_a_step_ahead() {
        let (steps, counts) = (Steps::new(3), [const { AtomicU64::new(0) }; 3]);
        thread::scope(|scope| {
            for count in &counts {
                let (steps, counts) = (&steps, &counts);
                scope.spawn(move || {
                    let walker = steps.walker();
                    for step in 1..=50 {
                        count.store(step, SeqCst);
                        assert!(walker.meet());
                        assert!(counts.iter().all(|count| count.load(SeqCst) == step));
                        assert!(walker.meet());
                    }
                });
            }
        });
    }

    #[test]
    fn nobody_waits_for_a_thread_that_has_left() {
        let steps = Steps::new(2);
        let walker = steps.walker();
        drop(steps.walker());
        assert!(!walker.meet());
    }
}
