// SPDX-License-Identifier: GPL-2.0-only
//! Thin, safe forms of the system calls that std does not offer.

use std::arch::asm;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

pub(crate) use crate::client::ioctl;

/// Room for a control message with one descriptor, aligned for its header.
#[repr(C, align(8))]
struct Control([u8; 32]);

/// Sends `fd` over `socket` (SCM_RIGHTS).
pub fn send_fd(socket: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut byte = [0u8; 1];
    let mut vector = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut control = Control([0; 32]);
    let message = message(&mut vector, &mut control);
    // SAFETY: `message` points at a control buffer with room for one header.
    let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    let size = size_of::<libc::c_int>() as u32;
    // SAFETY: CMSG_LEN only computes.
    let length = unsafe { libc::CMSG_LEN(size) } as _;
    // SAFETY: `header` is not null, see above, and aligned by `Control`.
    let header_mut = unsafe { &mut *header };
    header_mut.cmsg_level = libc::SOL_SOCKET;
    header_mut.cmsg_type = libc::SCM_RIGHTS;
    header_mut.cmsg_len = length;
    // SAFETY: The data of the header lies in the control buffer.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: There is room for one descriptor, unaligned or not.
    unsafe { data.cast::<libc::c_int>().write_unaligned(fd.as_raw_fd()) };
    // SAFETY: `message` and all it points at are alive.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, 0) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Receives a descriptor sent by [`send_fd`]. InvalidData if the message
/// carried none.
pub fn receive_fd(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0u8; 1];
    let mut vector = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut control = Control([0; 32]);
    let mut message = message(&mut vector, &mut control);
    // SAFETY: `message` and all it points at are alive.
    let got = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: The kernel filled in the control buffer and its length.
    let header = unsafe { libc::CMSG_FIRSTHDR(&message) };
    // SAFETY: A header that is not null lies in the control buffer.
    match unsafe { header.as_ref() } {
        Some(h) if h.cmsg_level == libc::SOL_SOCKET && h.cmsg_type == libc::SCM_RIGHTS => {
            // SAFETY: The data of the header lies in the control buffer.
            let data = unsafe { libc::CMSG_DATA(header) };
            // SAFETY: SCM_RIGHTS carries at least one descriptor.
            let fd = unsafe { data.cast::<libc::c_int>().read_unaligned() };
            // SAFETY: The kernel made it for us; nobody else owns it.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "no descriptor in the message",
        )),
    }
}

/// A message of one byte and one control buffer.
fn message(vector: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: All zeroes is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<libc::c_int>() as u32) } as _;
    message
}

/// The CPUs this thread may run on.
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: All zeroes is a valid cpu_set_t.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: The set is as large as said.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    if result < 0 {
        return vec![0];
    }
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: The index is below CPU_SETSIZE.
        .filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) })
        .collect()
}

/// Keeps this thread on one CPU.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    // SAFETY: All zeroes is a valid cpu_set_t.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    assert!(cpu < libc::CPU_SETSIZE as usize, "no CPU {cpu}");
    // SAFETY: The index is below CPU_SETSIZE.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: The set is as large as said.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Keeps this thread on the CPU of this number of those it may use, or of the
/// number that is left when there are fewer.
pub fn pin_to_nth_cpu(number: usize) -> io::Result<()> {
    let cpus = allowed_cpus();
    pin_to(cpus[number % cpus.len()])
}

/// A new memfd of `length` bytes.
pub fn memfd(length: u64) -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: The name is a string.
    let fd = unsafe { libc::memfd_create(c"faultline".as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: Just made, and nobody else's.
    let file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(length)?;
    Ok(file.into())
}

/// The time-stamp counter: an order of events across threads, good enough for
/// a log, at the price of one instruction.
pub fn ticks() -> u64 {
    // SAFETY: Every x86_64 CPU has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time in user mode, in seconds.
    pub user_seconds: f64,
    /// The same, in the kernel.
    pub system_seconds: f64,
    /// Context switches because it waited.
    pub voluntary_switches: u64,
    /// Context switches because others were to run.
    pub involuntary_switches: u64,
}

impl Usage {
    /// What was used since then.
    pub fn since(&self, before: &Usage) -> Usage {
        Usage {
            user_seconds: self.user_seconds - before.user_seconds,
            system_seconds: self.system_seconds - before.system_seconds,
            voluntary_switches: self.voluntary_switches - before.voluntary_switches,
            involuntary_switches: self.involuntary_switches - before.involuntary_switches,
        }
    }
}

/// What this process has used, with all its threads.
pub fn usage() -> io::Result<Usage> {
    // SAFETY: All zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: The structure is ours.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Usage {
        user_seconds: seconds(usage.ru_utime),
        system_seconds: seconds(usage.ru_stime),
        voluntary_switches: usage.ru_nvcsw as u64,
        involuntary_switches: usage.ru_nivcsw as u64,
    })
}

/// The name that the hypervisor under this machine gives itself, if there is one.
pub fn hypervisor() -> Option<String> {
    /// Leaf 1, ecx: there is a hypervisor, and its leaves.
    const PRESENT: u32 = 1 << 31;
    let leaf = |number| {
        // Safe since some Rust, and unsafe before.
        #[allow(unused_unsafe, reason = "older compilers want it")]
        // SAFETY: Every x86_64 CPU has the instruction.
        unsafe {
            core::arch::x86_64::__cpuid(number)
        }
    };
    if leaf(1).ecx & PRESENT == 0 {
        return None;
    }
    let name = leaf(0x4000_0000);
    let bytes: Vec<u8> = [name.ebx, name.ecx, name.edx]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .take_while(|&byte| byte != 0)
        .collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `uname`: the kernel's name, release and version.
pub fn uname() -> io::Result<String> {
    // SAFETY: All zeroes is a valid utsname.
    let mut name: libc::utsname = unsafe { mem::zeroed() };
    // SAFETY: The structure is ours.
    if unsafe { libc::uname(&mut name) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let text = |field: &[libc::c_char]| {
        let bytes = field.iter().map(|&c| c as u8);
        let bytes: Vec<u8> = bytes.take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let fields = [
        text(&name.sysname),
        text(&name.release),
        text(&name.version),
    ];
    Ok(fields.join(" "))
}

/// Keeps all but interrupts from the processors of this thread and of those that it
/// starts (SCHED_FIFO). PermissionDenied unless root.
pub fn become_realtime() -> io::Result<()> {
    // SAFETY: All zeroes is a valid sched_param.
    let mut param: libc::sched_param = unsafe { mem::zeroed() };
    param.sched_priority = 1;
    // SAFETY: The structure is ours.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How often this thread has slept so far, waiting for something.
pub fn thread_sleeps() -> io::Result<u64> {
    // SAFETY: All zeroes is a valid rusage.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: The structure is ours.
    match unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) } {
        0 => Ok(usage.ru_nvcsw as u64),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Marks the begin of a phase for a plugin of QEMU; a no-op otherwise.
pub fn mark_begin() {
    // SAFETY: `nopl 0x464c0001(%rax,%rax,1)`: it computes an address, and does nothing.
    unsafe { asm!(".byte 0x0f, 0x1f, 0x84, 0x00, 0x01, 0x00, 0x4c, 0x46") }
}

/// Marks its end.
pub fn mark_end() {
    // SAFETY: As above, `nopl 0x464c0002(%rax,%rax,1)`.
    unsafe { asm!(".byte 0x0f, 0x1f, 0x84, 0x00, 0x02, 0x00, 0x4c, 0x46") }
}

/// Says to it that this processor waits for others.
pub fn mark_wait() {
    // SAFETY: As above, `nopl 0x464c0003(%rax,%rax,1)`.
    unsafe { asm!(".byte 0x0f, 0x1f, 0x84, 0x00, 0x03, 0x00, 0x4c, 0x46") }
}
