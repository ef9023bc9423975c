// SPDX-License-Identifier: GPL-2.0-only
//! Forked processes of a run.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A child that has not been waited for; killed when dropped.
#[derive(Debug)]
pub(super) struct Child {
    pid: libc::pid_t,
    ended: bool,
}

/// Runs `body` in a forked child, which exits with its result and is killed if
/// its parent dies. To be called while the process has one thread.
pub(super) fn fork(body: impl FnOnce() -> u8) -> io::Result<Child> {
    // SAFETY: The caller has one thread, so the child is a full process.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: It takes no pointers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: It does not return; the parent's buffers and destructors
            // are not the child's to run.
            unsafe { libc::_exit(i32::from(status)) }
        }
        pid => Ok(Child { pid, ended: false }),
    }
}

impl Child {
    /// `None` while it runs, then how it ended: `Err` with the reason unless it
    /// exited with 0.
    pub(super) fn poll(&mut self) -> Option<Result<(), String>> {
        if self.ended {
            return Some(Ok(()));
        }
        let mut status = 0;
        // SAFETY: The status is ours to write.
        match unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } {
            0 => return None,
            -1 => return Some(Err(format!("waitpid: {}", io::Error::last_os_error()))),
            _ => self.ended = true,
        }
        Some(if libc::WIFSIGNALED(status) {
            Err(format!(
                "process {} died of signal {}",
                self.pid,
                libc::WTERMSIG(status)
            ))
        } else if libc::WEXITSTATUS(status) != 0 {
            Err(format!(
                "process {} exited with {}",
                self.pid,
                libc::WEXITSTATUS(status)
            ))
        } else {
            Ok(())
        })
    }

    /// Kills it, if it still runs, without waiting.
    pub(super) fn kill(&self) {
        if !self.ended {
            // SAFETY: It is our child and was not waited for, so the number is
            // still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
            let mut status = 0;
            // SAFETY: As above; the status is ours to write.
            unsafe { libc::waitpid(self.pid, &mut status, 0) };
        }
    }
}
