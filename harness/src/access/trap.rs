// SPDX-License-Identifier: GPL-2.0-only
//! The two instructions that may fault, and the handler that knows them.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("faultline's fault-safe accesses are written for x86_64 Linux only");

use std::arch::global_asm;
use std::sync::Once;

use super::{Fault, Signal};

/// Returned in rax:rdx by the routines below.
#[repr(C)]
struct Outcome {
    /// 0, or the signal number in the high and si_code in the low half.
    status: u64,
    /// What a load read.
    value: u64,
}

// Both leave the stack pointer alone, so the fix-up is just their `ret`; and
// both have the address in rdi, so the handler can compare it with si_addr.
global_asm!(
    ".pushsection .text.faultline_access, \"ax\", @progbits",
    ".p2align 4",
    ".hidden faultline_access_load",
    ".globl faultline_access_load",
    ".type faultline_access_load, @function",
    "faultline_access_load:",
    "xor eax, eax",
    ".hidden faultline_access_load_at",
    ".globl faultline_access_load_at",
    "faultline_access_load_at:",
    "mov rdx, qword ptr [rdi]",
    ".hidden faultline_access_load_done",
    ".globl faultline_access_load_done",
    "faultline_access_load_done:",
    "ret",
    ".size faultline_access_load, . - faultline_access_load",
    ".p2align 4",
    ".hidden faultline_access_store",
    ".globl faultline_access_store",
    ".type faultline_access_store, @function",
    "faultline_access_store:",
    "xor eax, eax",
    ".hidden faultline_access_store_at",
    ".globl faultline_access_store_at",
    "faultline_access_store_at:",
    "mov qword ptr [rdi], rsi",
    ".hidden faultline_access_store_done",
    ".globl faultline_access_store_done",
    "faultline_access_store_done:",
    "ret",
    ".size faultline_access_store, . - faultline_access_store",
    ".popsection",
);

unsafe extern "C" {
    fn faultline_access_load(address: *const u64) -> Outcome;
    fn faultline_access_store(address: *mut u64, value: u64) -> Outcome;
    // Labels: only their addresses mean anything.
    static faultline_access_load_at: u8;
    static faultline_access_load_done: u8;
    static faultline_access_store_at: u8;
    static faultline_access_store_done: u8;
}

/// Loads from `address`, which may fault.
///
/// # Safety
/// `address` is aligned, no Rust object is there, and [`install`] was called.
pub(super) unsafe fn load(address: *const u64) -> Result<u64, Fault> {
    // SAFETY: A fault ends in the handler, which makes the call return; the
    // caller vouches for the rest.
    let outcome = unsafe { faultline_access_load(address) };
    fault(outcome.status).map_or(Ok(outcome.value), Err)
}

/// Stores to `address`, which may fault.
///
/// # Safety
/// As for [`load`].
pub(super) unsafe fn store(address: *mut u64, value: u64) -> Result<(), Fault> {
    // SAFETY: As in `load`.
    let outcome = unsafe { faultline_access_store(address, value) };
    fault(outcome.status).map_or(Ok(()), Err)
}

fn fault(status: u64) -> Option<Fault> {
    let code = status as u32 as i32;
    match (status >> 32) as i32 {
        0 => None,
        libc::SIGBUS => Some(Fault {
            signal: Signal::Bus,
            code,
        }),
        _ => Some(Fault {
            signal: Signal::Segv,
            code,
        }),
    }
}

/// Installs the handler, once per process; a forked child inherits it.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // SAFETY: All zeroes is a valid sigaction.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handler;
        action.sa_sigaction = handler as libc::sighandler_t;
        // ONSTACK: a stack overflow also ends here and is to be passed on.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        for signal in [libc::SIGBUS, libc::SIGSEGV] {
            // SAFETY: The handler only does what a signal handler may.
            let result = unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
            assert_eq!(result, 0, "sigaction({signal})");
        }
    });
}

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: With SA_SIGINFO the kernel passes a valid siginfo_t.
    let info_ref = unsafe { &*info };
    // SAFETY: And a ucontext_t that we may change.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    // SAFETY: The kernel set si_addr; for a signal that was sent it is other
    // bytes of the union, and the comparison of si_code below excludes it.
    let address = unsafe { info_ref.si_addr() } as u64;
    let registers = &mut context.uc_mcontext.gregs;
    let resume = match registers[libc::REG_RIP as usize] as usize {
        at if at == (&raw const faultline_access_load_at).addr() => {
            Some(&raw const faultline_access_load_done)
        }
        at if at == (&raw const faultline_access_store_at).addr() => {
            Some(&raw const faultline_access_store_done)
        }
        _ => None,
    };
    let ours = info_ref.si_code > 0 && address == registers[libc::REG_RDI as usize] as u64;
    match resume {
        Some(label) if ours => {
            let status = ((signal as u64) << 32) | u64::from(info_ref.si_code as u32);
            registers[libc::REG_RAX as usize] = status as i64;
            registers[libc::REG_RIP as usize] = label.addr() as i64;
        }
        _ => die_of(signal),
    }
}

/// Takes the default action of `signal`: from now on by repeating the faulting
/// instruction, or by the signal raised here if it was sent to us.
#[cold]
fn die_of(signal: libc::c_int) {
    // SAFETY: signal() is async-signal-safe, and SIG_DFL needs no handler.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: raise() is async-signal-safe. The signal is blocked until the
    // handler returns, then it kills.
    unsafe { libc::raise(signal) };
}
