// SPDX-License-Identifier: GPL-2.0-only
//! The handler of SIGBUS and SIGSEGV, and what it passes on.

use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};

use super::trap;

/// A handler with SA_SIGINFO.
type Action = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

/// What there was for one signal before.
struct Previous {
    signal: libc::c_int,
    action: OnceLock<libc::sigaction>,
    /// An action with SA_RESETHAND was called, so the default one is in force.
    used_up: AtomicBool,
}

impl Previous {
    const fn of(signal: libc::c_int) -> Previous {
        Previous {
            signal,
            action: OnceLock::new(),
            used_up: AtomicBool::new(false),
        }
    }
}

static PREVIOUS: [Previous; 2] = [Previous::of(libc::SIGBUS), Previous::of(libc::SIGSEGV)];

/// Installs the handler for SIGBUS and SIGSEGV, once per process: later calls do
/// nothing. What handles them by then gets all that is not ours, see the
/// [module](crate::access#the-handler).
///
/// No other thread may change the handlers of these signals meanwhile: its change
/// would be lost.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        for previous in &PREVIOUS {
            let before = sigaction(previous.signal, None);
            // Before ours is in place: a signal may come at once.
            let before = previous.action.get_or_init(|| before);
            let mut action = *before;
            action.sa_sigaction = (handler as Action) as libc::sighandler_t;
            let kept = libc::SA_NODEFER | libc::SA_RESTART;
            // ONSTACK: a stack overflow also ends here and is to be passed on.
            action.sa_flags = before.sa_flags & kept | libc::SA_SIGINFO | libc::SA_ONSTACK;
            sigaction(previous.signal, Some(&action));
        }
    });
}

/// Sets what happens at `signal`, if `action` says so, and returns what did before.
fn sigaction(signal: libc::c_int, action: Option<&libc::sigaction>) -> libc::sigaction {
    // SAFETY: All zeroes is a valid sigaction.
    let mut before: libc::sigaction = unsafe { mem::zeroed() };
    let action = action.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: Both are valid or null, and what we install does only what a signal
    // handler may.
    let result = unsafe { libc::sigaction(signal, action, &mut before) };
    assert_eq!(result, 0, "sigaction({signal})");
    before
}

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: With SA_SIGINFO the kernel passes a valid siginfo_t.
    let info_ref = unsafe { &*info };
    // SAFETY: And a ucontext_t that we may change.
    let context_mut = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if !resume(signal, info_ref, context_mut) {
        pass_on(signal, info, context);
    }
}

/// Lets the access that raised the signal report it, if it was one of ours.
fn resume(signal: libc::c_int, info: &libc::siginfo_t, context: &mut libc::ucontext_t) -> bool {
    let registers = &mut context.uc_mcontext.gregs;
    let value = |register: libc::c_int| registers[register as usize] as u64;
    let at = value(libc::REG_RIP) as usize;
    let Some(site) = trap::sites().into_iter().find(|site| site.at.addr() == at) else {
        return false;
    };
    // SAFETY: The kernel set si_addr; for a signal that was sent it is other
    // bytes of the union, and the comparison of si_code below excludes it.
    let address = unsafe { info.si_addr() } as u64;
    let distance = address.wrapping_sub(value(site.address));
    let inside = distance < site.count.map_or(1, value);
    if info.si_code <= 0 || !inside {
        return false;
    }
    let status = ((signal as u64) << 32) | u64::from(info.si_code as u32);
    registers[libc::REG_RAX as usize] = status as i64;
    registers[libc::REG_RIP as usize] = site.done.addr() as i64;
    true
}

/// Does what would be done if our handler were not there.
#[cold]
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: As in `handler`.
    let code = unsafe { (*info).si_code };
    // What is repeated when the handler returns, as opposed to what was sent, or
    // tells of memory that broke elsewhere.
    let repeats = code > 0 && code != libc::BUS_MCEERR_AO;
    let previous = PREVIOUS.iter().find(|previous| previous.signal == signal);
    let Some((previous, action)) = previous.and_then(|p| Some((p, p.action.get()?))) else {
        return die_of(signal, repeats);
    };
    match action.sa_sigaction {
        libc::SIG_DFL => die_of(signal, repeats),
        // The kernel does not let faults be ignored.
        libc::SIG_IGN if repeats => die_of(signal, repeats),
        libc::SIG_IGN => {}
        _ if is_used_up(previous, action) => die_of(signal, repeats),
        function if action.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: It was installed as a handler with SA_SIGINFO.
            let function = unsafe { mem::transmute::<usize, Action>(function) };
            function(signal, info, context);
        }
        function => {
            // SAFETY: It was installed as a handler without SA_SIGINFO.
            let function = unsafe { mem::transmute::<usize, extern "C" fn(libc::c_int)>(function) };
            function(signal);
        }
    }
}

/// Whether an action that is good for one signal only has had that.
fn is_used_up(previous: &Previous, action: &libc::sigaction) -> bool {
    // Relaxed: nothing else is read or written by the answer.
    action.sa_flags & libc::SA_RESETHAND != 0 && previous.used_up.swap(true, Ordering::Relaxed)
}

/// Takes the default action of `signal`: by repeating the instruction that faulted,
/// so that a core dump shows it, or else by the signal raised here.
fn die_of(signal: libc::c_int, repeats: bool) {
    // SAFETY: signal() is async-signal-safe, and SIG_DFL needs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    if !repeats {
        // SAFETY: raise() is async-signal-safe. The signal is blocked until the
        // handler returns, or kills at once.
        unsafe { libc::raise(signal) };
    }
}
