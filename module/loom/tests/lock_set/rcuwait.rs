// SPDX-License-Identifier: GPL-2.0-only

//! Where a change waits: Linux' `rcuwait`.

use std::cell::RefCell;

use faultline_portable_loom::sync::{full_barrier, sleep_until, AtomicWord, Relaxed, Sleep, Task};

pub(crate) struct Rcuwait {
    is_set: AtomicWord,
    /// Who waits, if that is set.
    task: RefCell<Option<Task>>,
}

impl Rcuwait {
    pub(crate) fn new() -> Self {
        Self {
            is_set: AtomicWord::new(0),
            task: RefCell::new(None),
        }
    }

    /// Returns false if the task is killed first.
    pub(crate) fn wait(&self, sleep: Sleep, done: impl Fn() -> bool) -> bool {
        self.task.replace(Some(Task::current()));
        self.is_set.store(1, Relaxed);
        // That of `set_current_state()`. Pairs with the one in `wake`.
        full_barrier();
        let came = sleep_until(sleep, done);
        self.is_set.store(0, Relaxed);
        came
    }

    pub(crate) fn wake(&self) {
        // Pairs with the one in `wait`.
        full_barrier();
        if self.is_set.load(Relaxed) != 0 {
            let task = self.task.borrow().clone();
            task.into_iter().for_each(Task::wake);
        }
    }
}
