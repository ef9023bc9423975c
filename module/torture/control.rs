// SPDX-License-Identifier: GPL-2.0-only

//! The thread that runs a test: kills, prints, and ends it.

use kernel::{
    c_str, fmt,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
    time::{Delta, Instant, Monotonic},
};

use super::{
    random::Random,
    test::{Test, Verdict},
    worker::{Counts, Role, Worker},
};
use crate::kern::{
    debugfs::Text,
    kthread::{self, Body, Kthread},
};

/// Milliseconds between kills.
const TICK: u32 = 1;

/// A test and its threads.
#[pin_data]
pub(crate) struct Control {
    test: Arc<Test>,
    workers: KVec<Arc<Worker>>,
    /// Of the workers; none once the test has ended.
    #[pin]
    threads: Mutex<KVec<Kthread<Worker>>>,
}

impl Control {
    /// Starts the threads. May sleep.
    pub(crate) fn start() -> Result<Arc<Self>> {
        let test = Test::new()?;
        let settings = test.settings;
        pr_alert!(
            "{}-torture:--- Start of test: {settings}\n",
            test.kind.name()
        );
        let mut workers = KVec::new();
        for index in 0..settings.writers + settings.readers {
            let role = match index < settings.writers {
                true => Role::Writer,
                false => Role::Reader,
            };
            workers.push(Worker::new(test.clone(), role, index)?, GFP_KERNEL)?;
        }
        let mut threads = KVec::new();
        for worker in &workers {
            let name = match worker.role {
                Role::Writer => c_str!("torture_writer"),
                Role::Reader => c_str!("torture_reader"),
            };
            threads.push(Kthread::run(worker.clone(), name)?, GFP_KERNEL)?;
        }
        Arc::pin_init(
            try_pin_init!(Self {
                test,
                workers,
                threads <- new_mutex!(threads, "Control::threads"),
            }),
            GFP_KERNEL,
        )
    }

    /// Stops the threads and says how the test went, unless that is done. May sleep.
    pub(crate) fn end(&self) {
        if self.test.verdict() != Verdict::Running {
            return;
        }
        let threads = core::mem::replace(&mut *self.threads.lock(), KVec::new());
        drop(threads);
        self.test.end();
        self.print_statistics();
        pr_alert!(
            "{}-torture:--- End of test: {}: {}\n",
            self.test.kind.name(),
            self.test.verdict().name(),
            self.test.settings
        );
    }

    fn kill_one(&self, random: &mut Random) {
        let threads = self.threads.lock();
        if let Some(victim) = threads.get(random.below(self.workers.len() as u64) as usize) {
            victim.kill();
        }
    }

    fn print_statistics(&self) {
        let kind = self.test.kind.name();
        pr_alert!("{kind}-torture: Writes: {}\n", self.sums(Role::Writer));
        pr_alert!("{kind}-torture: Reads : {}\n", self.sums(Role::Reader));
    }

    fn sums(&self, role: Role) -> Sums {
        let mut sums = Sums::default();
        for worker in self.workers.iter().filter(|w| w.role == role) {
            sums.add(&worker.counts);
        }
        sums
    }
}

/// The contents of debugfs `faultline_torture/result`: the verdict in the first line,
/// then what was counted.
impl Text for Control {
    type Data = Self;

    fn show(this: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", this.test.verdict().name())?;
        writeln!(f, "type {}", this.test.kind.name())?;
        writeln!(f, "errors {}", this.test.errors())?;
        for (name, role) in [("writes", Role::Writer), ("reads", Role::Reader)] {
            let sums = this.sums(role);
            writeln!(f, "{name} {}", sums.acquired)?;
            writeln!(f, "{name}_missed {}", sums.missed)?;
            writeln!(f, "{name}_killed {}", sums.killed)?;
        }
        Ok(())
    }
}

impl Body for Control {
    fn run(&self) {
        let settings = self.test.settings;
        let start = Instant::<Monotonic>::now();
        let seconds = |delta: Delta| delta.as_millis() / 1000;
        let mut random = Random::new(self.workers.len());
        let mut printed = 0;
        while !kthread::should_stop() {
            let now = seconds(start.elapsed());
            if settings.duration != 0 && now >= settings.duration {
                break;
            }
            if settings.stat_interval != 0 && now >= printed + settings.stat_interval {
                self.print_statistics();
                printed = now;
            }
            self.kill_one(&mut random);
            kthread::nap(TICK);
        }
        self.end();
    }
}

/// What threads of one role have done together.
#[derive(Default)]
struct Sums {
    acquired: u64,
    max: u64,
    min: Option<u64>,
    missed: u64,
    killed: u64,
    failed: u64,
}

impl Sums {
    fn add(&mut self, counts: &Counts) {
        let of = |count: &Atomic<u64>| count.load(Relaxed);
        let acquired = of(&counts.acquired);
        self.acquired += acquired;
        self.max = self.max.max(acquired);
        self.min = Some(self.min.map_or(acquired, |min| min.min(acquired)));
        self.missed += of(&counts.missed);
        self.killed += of(&counts.killed);
        self.failed += of(&counts.failed);
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let min = self.min.unwrap_or(0);
        let uneven = if self.max / 2 > min { "???" } else { "" };
        let wrong = if self.failed != 0 { "!!!" } else { "" };
        write!(
            f,
            " Total: {}  Max/Min: {}/{min} {uneven}  Missed: {}  Killed: {}  Fail: {} {wrong}",
            self.acquired, self.max, self.missed, self.killed, self.failed
        )
    }
}
