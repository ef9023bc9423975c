// SPDX-License-Identifier: GPL-2.0-only

//! The current task.
//!
//! C headers: [`include/linux/sched.h`](srctree/include/linux/sched.h),
//! [`include/linux/sched/signal.h`](srctree/include/linux/sched/signal.h)

use kernel::{prelude::*, task::Pid};

use super::bindings;

/// Whether the current task is being killed.
pub(crate) fn fatal_signal_pending() -> bool {
    // SAFETY: No requirements.
    unsafe { bindings::faultline_fatal_signal_pending() }
}

/// A process, as it was at one moment.
pub(crate) struct Process {
    /// Its number in the initial PID namespace.
    pub(crate) pid: Pid,
    /// Padded with zeroes, of which there is one at least.
    command: [u8; bindings::FAULTLINE_COMMAND_LENGTH as usize],
}

impl Process {
    /// That of the current task.
    pub(crate) fn current() -> Self {
        let mut command = [0; bindings::FAULTLINE_COMMAND_LENGTH as usize];
        // SAFETY: There is room for a command.
        unsafe { bindings::faultline_current_command(command.as_mut_ptr()) };
        Self {
            pid: current!().tgid(),
            command,
        }
    }

    /// What `/proc/PID/comm` says: whatever the process likes, but no zero.
    pub(crate) fn command(&self) -> &[u8] {
        let end = self.command.iter().position(|&byte| byte == 0);
        &self.command[..end.unwrap_or(self.command.len())]
    }
}
