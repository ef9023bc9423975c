// SPDX-License-Identifier: GPL-2.0-only
//! Signals that are not of an access go to the handlers that were there before.
//!
//! Handlers belong to the process, so each case has one of its own: this program
//! again, told by a variable which case it is.

use std::mem;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use faultline::access::{Area, Signal};

/// Which case a process is.
const CASE: &str = "FAULTLINE_HANDLERS_CASE";
const PAGE: usize = 4096;
/// With which the handlers end the process.
const STATUS: i32 = 33;

/// Runs a case of `child`.
fn run(case: &str) -> Output {
    let program = std::env::current_exe().expect("a program");
    let arguments = ["--ignored", "--exact", "child", "--nocapture"];
    let mut command = Command::new(program);
    command.args(arguments).env(CASE, case);
    command.output().expect("it starts")
}

/// Runs a case that must end well.
fn passes(case: &str) {
    let output = run(case);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {}\n{text}", output.status);
}

fn is_killed_by(case: &str, signal: i32) {
    let status = run(case).status;
    assert_eq!(status.signal(), Some(signal), "{case}: {status}");
}

fn ends_with(case: &str, code: i32) {
    let status = run(case).status;
    assert_eq!(status.code(), Some(code), "{case}: {status}");
}

#[test]
fn a_handler_with_siginfo_gets_the_fault_and_may_mend_it() {
    passes("mend");
}

#[test]
fn a_plain_handler_gets_the_signal() {
    ends_with("plain", STATUS);
}

#[test]
fn a_signal_that_was_sent_is_passed_on() {
    passes("sent");
}

#[test]
fn an_ignored_signal_that_was_sent_is_ignored() {
    passes("ignored-sent");
}

#[test]
fn an_ignored_fault_kills() {
    is_killed_by("ignored-fault", libc::SIGSEGV);
}

#[test]
fn without_a_handler_a_fault_kills() {
    is_killed_by("default-fault", libc::SIGBUS);
}

#[test]
fn without_a_handler_a_signal_that_was_sent_kills() {
    is_killed_by("default-sent", libc::SIGSEGV);
}

#[test]
fn a_handler_for_one_signal_gets_one() {
    is_killed_by("once", libc::SIGSEGV);
}

#[test]
fn the_mask_of_the_handler_before_is_in_force() {
    passes("mask");
}

#[test]
fn an_overflow_of_the_stack_is_told_by_the_standard_library() {
    let output = run("overflow");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("has overflowed its stack"), "{text}");
}

/// A page without access, and how it is accessed.
struct Closed(NonNull<u8>);

impl Closed {
    fn new() -> Closed {
        // SAFETY: A new mapping at an address of the kernel's choice.
        let start = unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            libc::mmap(ptr::null_mut(), PAGE, libc::PROT_NONE, flags, -1, 0)
        };
        assert_ne!(start, libc::MAP_FAILED);
        Closed(NonNull::new(start.cast()).expect("not null"))
    }

    /// An access that is one of ours.
    fn is_reported(&self) {
        // SAFETY: The mapping holds no Rust object.
        let area = unsafe { Area::new(self.0, PAGE) };
        let fault = area.load(0).expect_err("a fault");
        assert_eq!(fault.signal, Signal::Segv);
    }

    /// One that is not.
    fn touch(&self) -> u8 {
        // SAFETY: The case's handler deals with the fault, or the process dies of it.
        unsafe { self.0.as_ptr().read_volatile() }
    }
}

/// A page behind the end of its file.
fn behind_the_end() -> Closed {
    // SAFETY: The name is a C string.
    let fd = unsafe { libc::memfd_create(c"handlers".as_ptr(), 0) };
    // SAFETY: A new mapping at an address of the kernel's choice.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ,
            libc::MAP_SHARED,
            fd,
            0,
        )
    };
    assert_ne!(start, libc::MAP_FAILED);
    Closed(NonNull::new(start.cast()).expect("not null"))
}

/// Makes `function` the action of a signal.
fn set(signal: i32, function: libc::sighandler_t, flags: i32) {
    // SAFETY: All zeroes is a valid sigaction.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = function;
    action.sa_flags = flags;
    // SAFETY: USR1 exists.
    unsafe { libc::sigaddset(&mut action.sa_mask, libc::SIGUSR1) };
    // SAFETY: The functions below do only what a handler may.
    let result = unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    assert_eq!(result, 0);
}

fn raise(signal: i32) {
    // SAFETY: No memory is passed.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

type Full = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
type Plain = extern "C" fn(i32);

/// Where the fault was that a handler was called for.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
/// Whether USR1, which is in the mask of all of them, was blocked in it.
static BLOCKED: AtomicUsize = AtomicUsize::new(0);
/// How often any was called.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Opens the page that was touched.
extern "C" fn mend(_: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    assert!(!context.is_null());
    // SAFETY: With SA_SIGINFO there is one.
    let info = unsafe { &*info };
    // SAFETY: It is a fault, so it has an address.
    let address = unsafe { info.si_addr() };
    ADDRESS.store(address.addr(), Ordering::SeqCst);
    CALLS.fetch_add(1, Ordering::SeqCst);
    // SAFETY: The page is the case's own.
    unsafe { libc::mprotect(address, PAGE, libc::PROT_READ) };
}

extern "C" fn count(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: All zeroes is a valid set.
    let mut blocked: libc::sigset_t = unsafe { mem::zeroed() };
    // SAFETY: Only this thread's mask is read.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut blocked) };
    // SAFETY: USR1 exists.
    let is_blocked = unsafe { libc::sigismember(&blocked, libc::SIGUSR1) };
    BLOCKED.store(is_blocked as usize, Ordering::SeqCst);
    CALLS.fetch_add(1, Ordering::SeqCst);
}

extern "C" fn leave(signal: i32) {
    let code = match signal {
        libc::SIGBUS => STATUS,
        _ => 1,
    };
    // SAFETY: It may be called from a handler.
    unsafe { libc::_exit(code) };
}

/// A case, in a process of its own.
#[test]
#[ignore = "run by the others"]
fn child() {
    let closed = Closed::new();
    let calls = || CALLS.load(Ordering::SeqCst);
    // Nothing to do for `--include-ignored`.
    let Ok(case) = std::env::var(CASE) else {
        return;
    };
    match case.as_str() {
        "mend" => {
            set(libc::SIGSEGV, (mend as Full) as _, libc::SA_SIGINFO);
            closed.is_reported();
            assert_eq!(calls(), 0, "ours was passed on");
            assert_eq!(closed.touch(), 0);
            assert_eq!(ADDRESS.load(Ordering::SeqCst), closed.0.as_ptr().addr());
            assert_eq!(calls(), 1);
            Closed::new().is_reported();
        }
        "plain" => {
            set(libc::SIGBUS, (leave as Plain) as _, 0);
            closed.is_reported();
            behind_the_end().touch();
        }
        "sent" => {
            set(libc::SIGSEGV, (count as Full) as _, libc::SA_SIGINFO);
            closed.is_reported();
            raise(libc::SIGSEGV);
            raise(libc::SIGSEGV);
            assert_eq!(calls(), 2);
            closed.is_reported();
        }
        "mask" => {
            set(libc::SIGSEGV, (count as Full) as _, libc::SA_SIGINFO);
            closed.is_reported();
            raise(libc::SIGSEGV);
            assert_eq!(BLOCKED.load(Ordering::SeqCst), 1, "USR1 is not blocked");
        }
        "ignored-sent" => {
            set(libc::SIGSEGV, libc::SIG_IGN, 0);
            closed.is_reported();
            raise(libc::SIGSEGV);
            closed.is_reported();
        }
        "ignored-fault" => {
            set(libc::SIGSEGV, libc::SIG_IGN, 0);
            closed.is_reported();
            closed.touch();
        }
        "default-fault" => {
            set(libc::SIGBUS, libc::SIG_DFL, 0);
            closed.is_reported();
            behind_the_end().touch();
        }
        "default-sent" => {
            set(libc::SIGSEGV, libc::SIG_DFL, 0);
            closed.is_reported();
            raise(libc::SIGSEGV);
        }
        "once" => {
            let flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
            set(libc::SIGSEGV, (count as Full) as _, flags);
            closed.is_reported();
            raise(libc::SIGSEGV);
            assert_eq!(calls(), 1);
            raise(libc::SIGSEGV);
        }
        "overflow" => {
            closed.is_reported();
            assert_ne!(deeper(1), 0);
        }
        case => panic!("no case {case}"),
    }
}

/// Never returns but by an overflow of the stack.
#[expect(unconditional_recursion, reason = "it is to overflow the stack")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    deeper(room[0] + 1) + room[63]
}
