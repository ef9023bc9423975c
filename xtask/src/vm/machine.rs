// SPDX-License-Identifier: GPL-2.0-only
//! Starting QEMU and watching over it to its end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::console::{Complaint, Lines, Severity, complaint};
use super::control::{Message, Progress};
use super::outcome::{End, Outcome};
use super::qemu::{self, Accel};
use super::rundir::RunDir;
use super::{Spec, Task, files, initramfs};
use crate::ctx::Ctx;
use crate::exit::{self, Coded};
use crate::host::{busybox, which};
use crate::step::{HEARTBEAT, die_with_parent, seconds, show, tail};
use crate::{fsx, say, signal};

/// How often the guest's files are looked at.
const POLL: Duration = Duration::from_millis(10);
/// How long a guest that said it was dying may go on talking.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// A VM that can be booted: what it takes along is in its directory.
#[derive(Debug)]
pub(crate) struct Ready {
    spec: Spec,
    accel: Accel,
    dir: RunDir,
    command: Command,
}

impl Ready {
    /// Gathers what the VM takes along, as it is now.
    pub(crate) fn new(ctx: &Ctx, spec: Spec, accel: Accel) -> Result<Self> {
        let program = which(&ctx.global.qemu).ok_or_else(|| {
            Coded::unavailable(format!(
                "QEMU ({}) is not here: see `cargo xtask doctor`",
                ctx.global.qemu.display()
            ))
        })?;
        if spec.kernel.image.is_none() {
            return Err(Coded::unavailable(format!(
                "{} has no kernel image to boot (distribution headers never do): give --kdir a built tree, or leave it out",
                spec.kernel.dir.display()
            )));
        }
        let dir = RunDir::create(ctx, &spec.title)?;
        let shell = busybox::find().context("no static busybox: see `cargo xtask doctor`")?;
        initramfs::write(
            &dir.initramfs(),
            &spec,
            &ctx.repo.join("scripts/init.sh"),
            &shell,
        )?;
        let command = qemu::command(&program, accel, &spec, &dir);
        fsx::write_atomic(&dir.qemu_command(), format!("{}\n", show(&command)))?;
        Ok(Self {
            spec,
            accel,
            dir,
            command,
        })
    }

    /// Boots it, and returns when it is gone.
    pub(crate) fn boot(self) -> Result<Outcome> {
        let Self {
            spec,
            accel,
            dir,
            command,
        } = self;
        if spec.task != Task::Probe {
            announce(&spec, accel, &command);
        }
        let mut outcome = Watch::start(&spec, dir, command)?.follow()?;
        if spec.bring {
            let archive = outcome.dir.archive();
            outcome.brought = Some(files::unpack(&archive, &outcome.dir.brought())?);
            fsx::remove(&archive)?;
        }
        keep(&spec, accel, &outcome)?;
        Ok(outcome)
    }
}

/// Boots a VM, and returns when it is gone.
pub(crate) fn boot(ctx: &Ctx, spec: &Spec, accel: Accel) -> Result<Outcome> {
    Ready::new(ctx, spec.clone(), accel)?.boot()
}

fn announce(spec: &Spec, accel: Accel, command: &Command) {
    let limits = qemu::raised_limits(spec);
    if !limits.is_empty() {
        let (smp, limits) = (spec.smp, limits.join(" "));
        let whose = match spec.beside {
            0 => "",
            _ => ", and those of a guest beside it,",
        };
        say!("{smp} vCPUs{whose} share fewer host cores; limits raised: {limits}");
    }
    say!("accelerator {accel:?}; {}", show(command));
}

fn keep(spec: &Spec, accel: Accel, outcome: &Outcome) -> Result<()> {
    let summary = outcome.summary(accel, &spec.kernel.record);
    fsx::save(&outcome.dir.status(), &summary)?;
    match outcome.verdict().code {
        exit::PASS => fsx::remove(&outcome.dir.initramfs()),
        _ => Ok(()),
    }
}

/// A running VM.
struct Watch<'a> {
    spec: &'a Spec,
    dir: RunDir,
    qemu: Qemu,
    start: Instant,
    console: Tail,
    control: Tail,
    output: Tail,
    console_lines: Lines,
    control_lines: Lines,
    progress: Progress,
    exit_at: Option<Instant>,
    complaints: Vec<Complaint>,
    doomed: Option<Instant>,
    /// When the user has last heard of it.
    told: Instant,
}

impl<'a> Watch<'a> {
    fn start(spec: &'a Spec, dir: RunDir, mut command: Command) -> Result<Self> {
        let log = File::create(dir.qemu_log()).context("creating QEMU's log")?;
        match spec.task {
            Task::Shell => command.stdin(Stdio::inherit()).stdout(Stdio::inherit()),
            _ => command.stdin(Stdio::null()).stdout(log.try_clone()?),
        };
        let terminal = Terminal::remember().filter(|_| spec.task == Task::Shell);
        let start = Instant::now();
        let child = die_with_parent(&mut command)
            .stderr(log)
            .spawn()
            .map_err(|e| Coded::unavailable(format!("starting `{}`: {e}", show(&command))))?;
        Ok(Self {
            spec,
            qemu: Qemu {
                child,
                _terminal: terminal,
            },
            start,
            console: Tail::of(dir.console()),
            control: Tail::of(dir.control()),
            output: Tail::of(dir.output()),
            console_lines: Lines::default(),
            control_lines: Lines::default(),
            progress: Progress::default(),
            exit_at: None,
            complaints: Vec::new(),
            doomed: None,
            told: start,
            dir,
        })
    }

    fn follow(mut self) -> Result<Outcome> {
        let end = loop {
            signal::check()?;
            // Before the look at the files, so that nothing is missed.
            let gone = self.qemu.child.try_wait().context("waiting for QEMU")?;
            self.read()?;
            match gone {
                Some(status) => break End::Exited(status.code()),
                None => {
                    if let Some(end) = self.overdue() {
                        break end;
                    }
                }
            }
            self.tell();
            std::thread::sleep(POLL);
        };
        let took = self.start.elapsed();
        drop(self.qemu);
        Ok(Outcome {
            progress: self.progress,
            complaints: self.complaints,
            end,
            brought: None,
            took,
            dir: self.dir,
        })
    }

    /// Whether it has a command whose output nobody sees as it comes.
    fn is_unseen(&self) -> bool {
        matches!(self.spec.task, Task::Run { echo: false, .. })
    }

    /// Says now and then how far such a command is.
    fn tell(&mut self) {
        if self.is_unseen() && self.told.elapsed() >= HEARTBEAT {
            let (title, so_far) = (&self.spec.title, seconds(self.start.elapsed()));
            match tail(&self.dir.output(), 1).trim() {
                "" => say!("{title}: {so_far} so far"),
                last => say!("{title}: {so_far} so far ({last})"),
            }
            self.told = Instant::now();
        }
    }

    /// The deadline that has passed, if one has.
    fn overdue(&self) -> Option<End> {
        let past = |since: Instant, limit: Duration| since.elapsed() > limit;
        if self.doomed.is_some_and(|since| past(since, LAST_WORDS)) {
            return Some(End::Wedged);
        }
        if let Some(since) = self.exit_at {
            let limit = self.power_off_limit();
            return past(since, limit).then_some(End::PowerOffLimit(limit));
        }
        match (self.progress.loaded, self.spec.run_limit) {
            (None, _) => past(self.start, self.spec.boot_limit)
                .then_some(End::BootLimit(self.spec.boot_limit)),
            (Some(at), Some(limit)) => past(self.start + at, limit).then_some(End::RunLimit(limit)),
            (Some(_), None) => None,
        }
    }

    /// Unloading waits for grace periods, a leak check reads all memory, and files
    /// come at the pace of an emulated port.
    fn power_off_limit(&self) -> Duration {
        let more = |wanted: bool| if wanted { 240 } else { 0 };
        Duration::from_secs(60 + more(self.spec.leak_check) + more(self.spec.bring))
    }

    fn read(&mut self) -> Result<()> {
        let fresh = self.console.fresh()?;
        for line in self.console_lines.push(&fresh) {
            let Some(complaint) = complaint(&line) else {
                continue;
            };
            if complaint.severity == Severity::Ends {
                self.doomed.get_or_insert_with(Instant::now);
            }
            self.complaints.push(complaint);
        }
        let fresh = self.control.fresh()?;
        for line in self.control_lines.push(&fresh) {
            if let Some(message) = Message::parse(&line) {
                self.note(message);
            }
        }
        let fresh = self.output.fresh()?;
        if matches!(self.spec.task, Task::Run { echo: true, .. }) && !fresh.is_empty() {
            // A reader of ours that has gone away must not end the run.
            let mut stdout = io::stdout().lock();
            stdout.write_all(&fresh).and_then(|()| stdout.flush()).ok();
        }
        Ok(())
    }

    fn note(&mut self, message: Message) {
        let at = self.start.elapsed();
        match message {
            Message::Exit(_) => self.exit_at = Some(Instant::now()),
            Message::Loaded if self.spec.task != Task::Probe => {
                let booted = self.progress.booted.unwrap_or(at);
                let what = if self.spec.load.is_some() {
                    "module loaded"
                } else {
                    "ready"
                };
                let (booted, at) = (seconds(booted), seconds(at));
                match self.is_unseen() {
                    true => say!("{}: booted in {booted}, {what} after {at}", self.spec.title),
                    false => say!("booted in {booted}, {what} after {at}"),
                }
            }
            _ => {}
        }
        self.progress.note(message, at);
    }
}

/// The QEMU process; dropping it kills it and gives the terminal back.
struct Qemu {
    child: Child,
    _terminal: Option<Terminal>,
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only if it has ended and been reaped.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The state of the user's terminal, put back when dropped: QEMU leaves it raw
/// when it is killed.
struct Terminal(Termios);

impl Terminal {
    fn remember() -> Option<Self> {
        tcgetattr(io::stdin().as_fd()).ok().map(Self)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0).ok();
    }
}

/// The growing end of a file that QEMU writes.
struct Tail {
    path: PathBuf,
    file: Option<File>,
}

impl Tail {
    fn of(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// What has been written since the last look.
    fn fresh(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.file.is_none() {
            self.file = open(&self.path)?;
        }
        if let Some(file) = &mut self.file {
            file.read_to_end(&mut bytes)
                .with_context(|| format!("reading {}", self.path.display()))?;
        }
        Ok(bytes)
    }
}

fn open(path: &Path) -> Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("opening {}", path.display())),
    }
}
