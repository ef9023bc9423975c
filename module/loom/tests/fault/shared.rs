// SPDX-License-Identifier: GPL-2.0-only

//! Threads that have the same space.

use std::{ops::Deref, rc::Rc};

use loom::thread::{self, JoinHandle};

use super::world::World;

/// A [`World`], for each thread that has it: to the compiler, loom's threads
/// are one.
pub(crate) struct Shared(Rc<World>);

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        Self(Rc::new(world))
    }

    /// Starts a thread.
    pub(crate) fn spawn(&self, body: impl FnOnce(&World) + 'static) -> Thread {
        let world = self.0.clone();
        Thread(thread::spawn(move || body(&world)))
    }
}

impl Deref for Shared {
    type Target = World;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

pub(crate) struct Thread(JoinHandle<()>);

impl Thread {
    pub(crate) fn join(self) {
        self.0.join().unwrap();
    }
}
