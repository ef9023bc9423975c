// SPDX-License-Identifier: GPL-2.0-only

//! What all threads of a test share: the lock, the oracle, and the verdict.

use kernel::{
    c_str, fmt,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        Arc,
    },
};

use super::{
    cells::{Cells, Wrong},
    random::Random,
};
use crate::kern::{range_lock::RangeLock, torture_param as param};

/// Errors that are printed; all are counted.
const PRINTED: u64 = 8;
/// A busted lock is not taken once in this many times.
const SKIPPED: u64 = 16;

/// What is tortured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// The range lock.
    RangeLock,
    /// One that now and then excludes nobody: the test must find that.
    Busted,
}

impl Type {
    const ALL: [Self; 2] = [Self::RangeLock, Self::Busted];

    /// That which the module's parameter names.
    fn wanted() -> Result<Self> {
        let name = param::torture_type().to_bytes();
        let named = |kind: &Self| kind.name().as_bytes() == name;
        Self::ALL.into_iter().find(named).ok_or(EINVAL)
    }

    /// Its name, as users know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RangeLock => "range_lock",
            Self::Busted => "busted",
        }
    }
}

/// How a test goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has not ended.
    Running,
    /// It has, and nothing was wrong.
    Success,
    /// It has, and something was.
    Failure,
}

impl Verdict {
    /// As the closing line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
        }
    }
}

/// Numbers of threads and seconds, as they are used.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    /// Threads that write.
    pub(crate) writers: usize,
    /// Threads that read.
    pub(crate) readers: usize,
    /// Seconds between statistics, or zero.
    pub(crate) stat_interval: i64,
    /// Milliseconds, or zero.
    pub(crate) long_hold: i64,
    /// Seconds, or zero.
    pub(crate) duration: i64,
    /// Whether to say more.
    pub(crate) verbose: bool,
}

impl Settings {
    /// The module's parameters; `EINVAL` if no thread is to run.
    fn wanted() -> Result<Self> {
        let threads =
            |wanted: i32| usize::try_from(wanted).unwrap_or(param::online_cpus() as usize);
        let settings = Self {
            writers: threads(param::nwriters_stress()),
            readers: threads(param::nreaders_stress()),
            stat_interval: param::stat_interval().max(0).into(),
            long_hold: param::long_hold().max(0).into(),
            duration: param::duration().max(0).into(),
            verbose: param::verbose() != 0,
        };
        match settings.writers + settings.readers {
            0 => Err(EINVAL),
            _ => Ok(settings),
        }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            writers,
            readers,
            stat_interval,
            long_hold,
            duration,
            verbose,
        } = self;
        write!(
            f,
            "duration={duration} long_hold={long_hold} nreaders_stress={readers} \
             nwriters_stress={writers} stat_interval={stat_interval} verbose={}",
            i32::from(*verbose)
        )
    }
}

/// A test.
#[pin_data]
pub(crate) struct Test {
    /// What is tortured.
    pub(crate) kind: Type,
    /// How.
    pub(crate) settings: Settings,
    /// It, or what it is derived from.
    #[pin]
    pub(crate) lock: RangeLock,
    /// The oracle.
    pub(crate) cells: Cells,
    errors: Atomic<u64>,
    ended: Atomic<bool>,
}

impl Test {
    /// The test that the module's parameters describe. May sleep.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let kind = Type::wanted().inspect_err(|_| {
            pr_err!("invalid torture type; there are range_lock and busted\n");
        })?;
        let settings = Settings::wanted().inspect_err(|_| {
            pr_err!("must run at least one locking thread\n");
        })?;
        Arc::pin_init(
            try_pin_init!(Self {
                kind,
                settings,
                lock <- RangeLock::new(c_str!("torture_range_lock"), static_lock_class!()),
                cells: Cells::new(),
                errors: Atomic::new(0),
                ended: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether to do without the lock, just now.
    pub(crate) fn skips_lock(&self, random: &mut Random) -> bool {
        self.kind == Type::Busted && random.one_in(SKIPPED)
    }

    /// Counts an error. Returns whether there is one.
    pub(crate) fn note(&self, who: &str, wrong: Option<Wrong>) -> bool {
        let Some(wrong) = wrong else { return false };
        // Relaxed: the verdict is given when all threads have stopped.
        if self.errors.fetch_add(1, Relaxed) < PRINTED {
            pr_alert!("{}-torture: {who}: {wrong:?} !!!\n", self.kind.name());
        }
        true
    }

    /// Errors so far.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// All threads have stopped.
    pub(crate) fn end(&self) {
        // Release: who sees the end sees all errors.
        self.ended.store(true, Release);
    }

    /// How it goes.
    pub(crate) fn verdict(&self) -> Verdict {
        // Acquire: pairs with the release in `end`.
        match (self.ended.load(Acquire), self.errors()) {
            (false, _) => Verdict::Running,
            (true, 0) => Verdict::Success,
            (true, _) => Verdict::Failure,
        }
    }
}
