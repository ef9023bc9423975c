// SPDX-License-Identifier: GPL-2.0-only
//! The instructions that may fault.

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("faultline's fault-safe accesses are written for x86_64 Linux only");

use std::arch::global_asm;

use super::{Fault, Signal, Stopped};

/// Returned in rax:rdx by the routines below.
#[repr(C)]
struct Outcome {
    /// 0, or the signal number in the high and si_code in the low half.
    status: u64,
    /// What a load read, or how many bytes a copy has left.
    value: u64,
}

// All leave the stack pointer alone, so the fix-up is what follows the instruction;
// and the handler knows in which register each has its address (`Site`).
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
    ".p2align 4",
    ".hidden faultline_access_read",
    ".globl faultline_access_read",
    ".type faultline_access_read, @function",
    "faultline_access_read:",
    "xor eax, eax",
    "mov rcx, rdx",
    ".hidden faultline_access_read_at",
    ".globl faultline_access_read_at",
    "faultline_access_read_at:",
    "rep movsb",
    ".hidden faultline_access_read_done",
    ".globl faultline_access_read_done",
    "faultline_access_read_done:",
    "mov rdx, rcx",
    "ret",
    ".size faultline_access_read, . - faultline_access_read",
    ".p2align 4",
    ".hidden faultline_access_write",
    ".globl faultline_access_write",
    ".type faultline_access_write, @function",
    "faultline_access_write:",
    "xor eax, eax",
    "mov rcx, rdx",
    ".hidden faultline_access_write_at",
    ".globl faultline_access_write_at",
    "faultline_access_write_at:",
    "rep movsb",
    ".hidden faultline_access_write_done",
    ".globl faultline_access_write_done",
    "faultline_access_write_done:",
    "mov rdx, rcx",
    "ret",
    ".size faultline_access_write, . - faultline_access_write",
    ".popsection",
);

unsafe extern "C" {
    fn faultline_access_load(address: *const u64) -> Outcome;
    fn faultline_access_store(address: *mut u64, value: u64) -> Outcome;
    fn faultline_access_read(to: *mut u8, from: *const u8, count: usize) -> Outcome;
    fn faultline_access_write(to: *mut u8, from: *const u8, count: usize) -> Outcome;
    // Labels: only their addresses mean anything.
    static faultline_access_load_at: u8;
    static faultline_access_load_done: u8;
    static faultline_access_store_at: u8;
    static faultline_access_store_done: u8;
    static faultline_access_read_at: u8;
    static faultline_access_read_done: u8;
    static faultline_access_write_at: u8;
    static faultline_access_write_done: u8;
}

/// An instruction that may fault.
pub(super) struct Site {
    /// Its address.
    pub(super) at: *const u8,
    /// Where execution goes on if it does.
    pub(super) done: *const u8,
    /// Which register has the address that it accesses next.
    pub(super) address: libc::c_int,
    /// Which register counts the bytes that it still accesses; none: those of a word.
    pub(super) count: Option<libc::c_int>,
}

/// All of them.
pub(super) fn sites() -> [Site; 4] {
    [
        Site {
            at: &raw const faultline_access_load_at,
            done: &raw const faultline_access_load_done,
            address: libc::REG_RDI,
            count: None,
        },
        Site {
            at: &raw const faultline_access_store_at,
            done: &raw const faultline_access_store_done,
            address: libc::REG_RDI,
            count: None,
        },
        Site {
            at: &raw const faultline_access_read_at,
            done: &raw const faultline_access_read_done,
            address: libc::REG_RSI,
            count: Some(libc::REG_RCX),
        },
        Site {
            at: &raw const faultline_access_write_at,
            done: &raw const faultline_access_write_done,
            address: libc::REG_RDI,
            count: Some(libc::REG_RCX),
        },
    ]
}

/// Loads from `address`, which may fault.
///
/// # Safety
/// `address` is aligned, no Rust object is there, and [`install`](super::install) was called.
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

/// Copies `count` bytes from `from`, which may fault.
///
/// # Safety
/// No Rust object is at `from`, `to` may be written, and [`install`](super::install) was called.
pub(super) unsafe fn read(to: *mut u8, from: *const u8, count: usize) -> Result<(), Stopped> {
    // SAFETY: As in `load`.
    let outcome = unsafe { faultline_access_read(to, from, count) };
    stopped(&outcome, count)
}

/// Copies `count` bytes to `to`, which may fault.
///
/// # Safety
/// No Rust object is at `to`, `from` may be read, and [`install`](super::install) was called.
pub(super) unsafe fn write(to: *mut u8, from: *const u8, count: usize) -> Result<(), Stopped> {
    // SAFETY: As in `load`.
    let outcome = unsafe { faultline_access_write(to, from, count) };
    stopped(&outcome, count)
}

fn stopped(outcome: &Outcome, count: usize) -> Result<(), Stopped> {
    let copied = count - outcome.value as usize;
    fault(outcome.status).map_or(Ok(()), |fault| Err(Stopped { copied, fault }))
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
