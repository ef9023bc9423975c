// SPDX-License-Identifier: GPL-2.0-only

//! Kernel threads.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)

use core::{ffi::c_void, ptr::NonNull};

use kernel::{
    bindings as c,
    error::from_err_ptr,
    prelude::*,
    str::CStr,
    sync::Arc,
    time::{msecs_to_jiffies, Msecs},
};

use super::bindings;

/// What a thread does.
pub(crate) trait Body: Send + Sync + 'static {
    /// Returns when its work is done, or soon after [`should_stop`].
    fn run(&self);
}

/// A kernel thread. Dropping it tells it to stop, and waits until it has.
///
/// # Invariants
///
/// `task` is a reference, owned by this object, to a kernel thread that runs
/// `body` and has not been told to stop.
pub(crate) struct Kthread<B: Body> {
    task: NonNull<c::task_struct>,
    /// Borrowed by the thread.
    _body: Arc<B>,
}

// SAFETY: Any task may signal and stop a thread, and drop its body.
unsafe impl<B: Body> Send for Kthread<B> {}
// SAFETY: Any task may signal it.
unsafe impl<B: Body> Sync for Kthread<B> {}

impl<B: Body> Kthread<B> {
    /// Starts a thread: `kthread_run()`. May sleep.
    pub(crate) fn run(body: Arc<B>, name: &'static CStr) -> Result<Self> {
        let data = core::ptr::from_ref(&*body).cast_mut().cast::<c_void>();
        // SAFETY: `body` lives until the thread has ended (see `drop`), and
        // `name` is what the format asks for.
        let task = from_err_ptr(unsafe {
            c::kthread_create_on_node(
                Some(Self::main),
                data,
                c::NUMA_NO_NODE,
                c"%s".as_ptr().cast(),
                name.as_ptr(),
            )
        })?;
        // SAFETY: It has not begun to run, and so cannot have ended.
        unsafe { c::get_task_struct(task) };
        // SAFETY: As above.
        unsafe { c::wake_up_process(task) };
        // INVARIANT: The reference just taken.
        Ok(Self {
            // SAFETY: No error, and so a task.
            task: unsafe { NonNull::new_unchecked(task) },
            _body: body,
        })
    }

    /// Sends SIGKILL, which ends killable waits of a thread that has called
    /// [`accept_kills`], and nothing else.
    pub(crate) fn kill(&self) {
        // SAFETY: By the type invariants. That the thread has ended does not matter.
        unsafe { c::send_sig(c::SIGKILL as i32, self.task.as_ptr(), 1) };
    }

    extern "C" fn main(data: *mut c_void) -> i32 {
        // SAFETY: What `run` has passed on; it lives until this thread has ended.
        let body = unsafe { &*data.cast::<B>() };
        body.run();
        0
    }
}

impl<B: Body> Drop for Kthread<B> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. It waits for a thread that has
        // begun, and a thread that has not will not begin any more.
        unsafe { c::kthread_stop_put(self.task.as_ptr()) };
    }
}

/// Whether the current thread is to stop. Only in kernel threads.
pub(crate) fn should_stop() -> bool {
    // SAFETY: Only threads of this module ask.
    unsafe { c::kthread_should_stop() }
}

/// Sleeps for about `millis`, or until told to stop or killed.
pub(crate) fn nap(millis: Msecs) {
    let jiffies = msecs_to_jiffies(millis);
    // SAFETY: The caller may sleep.
    unsafe { c::schedule_timeout_interruptible(jiffies as isize) };
}

/// From here on [`Kthread::kill`] reaches the current thread.
pub(crate) fn accept_kills() {
    // SAFETY: A kernel thread's own signal handlers.
    unsafe { bindings::faultline_allow_signal(c::SIGKILL as i32) }
}

/// Forgets a kill.
pub(crate) fn forget_kill() {
    // SAFETY: The current task's own signals.
    unsafe { c::flush_signals(c::get_current()) }
}

/// Gives way to all others: nice 19.
pub(crate) fn be_nice() {
    // SAFETY: The current task.
    unsafe { c::set_user_nice(c::get_current(), 19) }
}
