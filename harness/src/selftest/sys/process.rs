// SPDX-License-Identifier: GPL-2.0-only
//! Child processes that report how they fared.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use super::check;
use crate::selftest::check::{Outcome, Stop};

/// The most a child can say: it fits in a pipe that nobody reads yet.
const MESSAGE_BYTES: usize = 32 << 10;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// A forked child. It is killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
    pidfd: OwnedFd,
    report: File,
    end: Option<End>,
}

impl Child {
    /// Forks a child that runs `body`, reports its outcome and exits.
    pub(crate) fn fork(body: impl FnOnce() -> Outcome) -> io::Result<Child> {
        Child::fork_in(None, body)
    }

    /// As `fork`, with a process group of its own.
    pub(crate) fn fork_leader(body: impl FnOnce() -> Outcome) -> io::Result<Child> {
        Child::fork_in(Some(()), body)
    }

    fn fork_in(leader: Option<()>, body: impl FnOnce() -> Outcome) -> io::Result<Child> {
        let (report, out) = pipe()?;
        keep_panics_of_children();
        // SAFETY: The child only runs `body` and then leaves by _exit.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                drop(report);
                if leader.is_some() {
                    // SAFETY: Only changes the child itself.
                    unsafe { libc::setpgid(0, 0) };
                }
                // SAFETY: Only changes the child itself.
                unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
                run_and_exit(body, out)
            }
            _ => {
                drop(out);
                // SAFETY: No memory is passed.
                let pidfd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
                // SAFETY: The kernel made it for us.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd as i32) };
                Ok(Child {
                    pid,
                    pidfd,
                    report,
                    end: None,
                })
            }
        }
    }

    pub(crate) fn pid(&self) -> libc::pid_t {
        self.pid
    }

    pub(crate) fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        // SAFETY: The child is not reaped, so the number is its own.
        check(unsafe { libc::kill(self.pid, signal) }.into()).map(drop)
    }

    /// Kills the group of a leader; all of it, if it is not reaped yet.
    pub(crate) fn kill_group(&self) {
        if self.end.is_none() {
            // SAFETY: The leader is not reaped, so the number is its group's.
            unsafe { libc::kill(-self.pid, libc::SIGKILL) };
        }
    }

    /// Whether it ends within `limit`.
    pub(crate) fn ends_within(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut poll = libc::pollfd {
                fd: self.pidfd.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            let ms = left.as_millis().min(i32::MAX as u128) as i32;
            // SAFETY: One entry is passed.
            match check(unsafe { libc::poll(&mut poll, 1, ms) }.into()) {
                Ok(0) if left.is_zero() => return Ok(false),
                Ok(0) => {}
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the end, at most `limit`.
    pub(crate) fn end(&mut self, limit: Duration) -> Result<End, Stop> {
        if !self.ends_within(limit)? {
            return Err(Stop::fail(format!(
                "process {} still runs after {limit:?}",
                self.pid
            )));
        }
        Ok(self.reap()?)
    }

    fn reap(&mut self) -> io::Result<End> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let mut status = 0;
        // SAFETY: The status is ours.
        check(unsafe { libc::waitpid(self.pid, &mut status, 0) }.into())?;
        let end = if libc::WIFSIGNALED(status) {
            End::Killed(libc::WTERMSIG(status))
        } else {
            End::Exited(libc::WEXITSTATUS(status))
        };
        self.end = Some(end);
        Ok(end)
    }

    /// Waits for the end, at most `limit`, and gives what the body returned.
    pub(crate) fn finish(mut self, limit: Duration) -> Outcome {
        let end = self.end(limit)?;
        self.outcome(end)
    }

    /// What the body returned, once the child has ended.
    pub(crate) fn outcome(&mut self, end: End) -> Outcome {
        let mut report = Vec::new();
        // Would block: somebody else still has the other end.
        let _ = self.report.read_to_end(&mut report);
        let text = String::from_utf8_lossy(report.get(1..).unwrap_or_default()).into_owned();
        match (report.first(), end) {
            (Some(b'P'), End::Exited(0)) => Ok(()),
            (Some(b'S'), End::Exited(0)) => Err(Stop::Skip(text)),
            (Some(b'F'), End::Exited(0)) => Err(Stop::Fail(text)),
            (_, End::Killed(signal)) => {
                Err(Stop::fail(format!("the process died of signal {signal}")))
            }
            (_, End::Exited(status)) => Err(Stop::fail(format!(
                "the process left with status {status}, no outcome"
            ))),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.end.is_none() {
            let _ = self.signal(libc::SIGKILL);
            // One that cannot be killed is left to whoever reports the hang.
            if self.ends_within(Duration::from_secs(5)).unwrap_or(false) {
                let _ = self.reap();
            }
        }
    }
}

/// The first panic of a child, for its report.
static PANIC: Mutex<Option<String>> = Mutex::new(None);
/// Set in children.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Lets children keep their panics for their reports.
///
/// In the parent and once, because a child cannot set a hook: it would wait for
/// ever if some thread of the parent was panicking while it was forked, and so
/// held the lock of the hook.
fn keep_panics_of_children() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Relaxed: set by this very thread, or by none.
            if IS_CHILD.load(Relaxed) {
                let mut first = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| info.to_string());
            } else {
                usual(info);
            }
        }));
    });
}

fn run_and_exit(body: impl FnOnce() -> Outcome, mut out: File) -> ! {
    IS_CHILD.store(true, Relaxed);
    let outcome = panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        let message = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        Err(Stop::Fail(message.unwrap_or_else(|| "panic".to_owned())))
    });
    let mut report = match outcome {
        Ok(()) => b"P".to_vec(),
        Err(Stop::Skip(reason)) => [b"S", reason.as_bytes()].concat(),
        Err(Stop::Fail(message)) => [b"F", message.as_bytes()].concat(),
    };
    report.truncate(MESSAGE_BYTES);
    let status = i32::from(out.write_all(&report).is_err());
    // SAFETY: Ends the process; nothing of the parent's is to be cleaned up.
    unsafe { libc::_exit(status) }
}

/// A pipe whose reading end does not block.
fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: There is room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }.into())?;
    // SAFETY: The kernel made it for us.
    let read = unsafe { File::from_raw_fd(ends[0]) };
    // SAFETY: As above.
    let write = unsafe { File::from_raw_fd(ends[1]) };
    // SAFETY: No memory is passed.
    check(unsafe { libc::fcntl(ends[0], libc::F_SETFL, libc::O_NONBLOCK) }.into())?;
    Ok((read, write))
}

/// Forks a child that does nothing but leave, and waits for it. Fit for a
/// process with several threads.
pub(crate) fn fork_and_reap() -> io::Result<()> {
    // SAFETY: The child leaves at once.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: Ends the child.
        unsafe { libc::_exit(0) };
    }
    check(pid.into())?;
    // SAFETY: No status is asked for.
    check(unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) }.into()).map(drop)
}

/// Makes this process the one that inherits orphans below it.
pub(crate) fn become_subreaper() {
    // SAFETY: Only changes this process.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Reaps every child that is dead or dies within `limit`. False if some live on.
pub(crate) fn reap_orphans(limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        // SAFETY: No status is asked for.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            -1 => return true,
            0 if Instant::now() > deadline => return false,
            0 => std::thread::sleep(Duration::from_millis(5)),
            _ => {}
        }
    }
}

/// Gives up root for good.
pub(crate) fn become_nobody() -> io::Result<()> {
    // SAFETY: Only changes this process.
    check(unsafe { libc::setuid(65534) }.into()).map(drop)
}

/// Has SIGALRM come every `period` and be ignored by a handler.
pub(crate) fn alarm_every(period: Duration) -> io::Result<()> {
    extern "C" fn ignore(_signal: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = ignore;
    // SAFETY: The handler does nothing. signal() sets SA_RESTART.
    unsafe { libc::signal(libc::SIGALRM, handler as libc::sighandler_t) };
    let tick = libc::timeval {
        tv_sec: 0,
        tv_usec: period.as_micros() as libc::suseconds_t,
    };
    let timer = libc::itimerval {
        it_interval: tick,
        it_value: tick,
    };
    // SAFETY: The timer is ours, the old one is not asked for.
    check(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }.into())
        .map(drop)
}
