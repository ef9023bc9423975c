// SPDX-License-Identifier: GPL-2.0-only
//! What QEMU calls. All of it runs in the threads of vCPUs, but for the installation.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::slice;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use crate::abi::{self, Id, Info, MemInfo, Tb};
use crate::context::{Entries, Step};
use crate::guest::{Guest, Memory, Variables};
use crate::insn::{self, Marker};
use crate::line::{Kind, MAX_CPUS};
use crate::options::Options;
use crate::phase::{Access, Phases};
use crate::report::{Record, VERSION, records};

/// The longest instruction, in bytes.
const LONGEST: usize = 15;
/// Bit of the word that stands for an instruction: it is atomic. Addresses repeat
/// bit 56 from there on, also with five levels of page tables.
const ATOMIC: u64 = 1 << 62;
/// Another one: it repeats.
const REPEATS: u64 = 1 << 61;
/// Bits above those of an address.
const UNUSED: u32 = 7;

/// How long a processor that waits leaves the host to others at a time.
const WAIT: Duration = Duration::from_micros(200);

struct State {
    entries: Entries,
    variables: Variables,
    vcpus: u32,
    phases: Phases,
    out: Mutex<BufWriter<File>>,
}

static STATE: OnceLock<State> = OnceLock::new();

/// The version of the interface that this plugin is written for; QEMU reads it.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "QEMU's name")]
pub static qemu_plugin_version: c_int = abi::API_VERSION;

/// Loads the plugin; QEMU calls it, and does not start if it returns other than 0.
///
/// # Safety
///
/// As QEMU promises: `info` is valid during the call, `argv` has `argc` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    info: *const Info,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: By the contract of this function.
    let info = unsafe { &*info };
    // SAFETY: As above.
    let argv = unsafe { arguments(argc, argv) };
    match install(info, &argv) {
        Ok(()) => {
            // SAFETY: The callback has the type that QEMU expects and is never unloaded.
            unsafe { abi::qemu_plugin_register_vcpu_tb_trans_cb(id, translated) };
            0
        }
        Err(error) => {
            eprintln!("coherence plugin: {error}");
            1
        }
    }
}

/// # Safety
///
/// `argv` has `argc` strings.
unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<String> {
    if argc <= 0 {
        return Vec::new();
    }
    // SAFETY: By the contract of this function.
    let words = unsafe { slice::from_raw_parts(argv, argc as usize) };
    words
        .iter()
        // SAFETY: As above.
        .map(|&word| unsafe { CStr::from_ptr(word) })
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

fn install(info: &Info, argv: &[String]) -> Result<(), String> {
    let options = Options::parse(argv.iter().map(String::as_str))?;
    if !info.system_emulation {
        return Err("only whole machines have physical memory".into());
    }
    let vcpus = info.smp_vcpus.unsigned_abs();
    if vcpus > MAX_CPUS {
        return Err(format!(
            "{vcpus} vCPUs, and at most {MAX_CPUS} can be told apart"
        ));
    }
    let phases = Phases::new(options.memory)
        .map_err(|error| format!("a table for {} bytes: {error}", options.memory))?;
    let map = options.map.display();
    let map_text = fs::read_to_string(&options.map).map_err(|error| format!("{map}: {error}"))?;
    let entries = Entries::parse(&map_text).map_err(|error| format!("{map}: {error}"))?;
    let file = File::create(&options.out)
        .map_err(|error| format!("{}: {error}", options.out.display()))?;
    let state = State {
        entries,
        variables: Variables::parse(&map_text),
        vcpus,
        phases,
        out: Mutex::new(BufWriter::new(file)),
    };
    state.write(&[Record::Plugin {
        version: VERSION,
        qemu_api: info.version_cur,
        vcpus,
    }]);
    STATE.set(state).map_err(|_| "it is loaded twice".into())
}

impl State {
    fn write(&self, records: &[Record]) {
        let mut out = self.out.lock().expect("no panic");
        let written = records.iter().try_for_each(|record| {
            serde_json::to_writer(&mut *out, record)?;
            out.write_all(b"\n")
        });
        // Whoever reads the file finds it incomplete.
        if let Err(error) = written.and_then(|()| out.flush()) {
            eprintln!("coherence plugin: writing the results: {error}");
        }
    }
}

/// A block is about to be translated: asks for a call for each access to memory, and
/// at markers.
extern "C" fn translated(_: Id, tb: *mut Tb) {
    // SAFETY: QEMU passes a block that is valid during this call.
    let count = unsafe { abi::qemu_plugin_tb_n_insns(tb) };
    for index in 0..count {
        // SAFETY: As above, and it has that many instructions.
        let insn = unsafe { abi::qemu_plugin_tb_get_insn(tb, index) };
        let mut bytes = [0; LONGEST];
        // SAFETY: The instruction is valid as long as its block, and the buffer has
        // as many bytes.
        let length =
            unsafe { abi::qemu_plugin_insn_data(insn, bytes.as_mut_ptr().cast(), LONGEST) };
        let bytes = &bytes[..length.min(LONGEST)];
        // SAFETY: As above.
        let code = unsafe { abi::qemu_plugin_insn_vaddr(insn) };
        if let Some(marker) = insn::marker(bytes) {
            let call = match marker {
                Marker::Begin => begins,
                Marker::End => ends,
                Marker::Wait => waits,
            };
            let none = std::ptr::null_mut();
            // SAFETY: As above; the callback has the type that QEMU expects.
            unsafe {
                abi::qemu_plugin_register_vcpu_insn_exec_cb(insn, call, abi::CB_NO_REGS, none);
            }
            continue;
        }
        if insn::is_pause(bytes) {
            let none = std::ptr::null_mut();
            // SAFETY: As above.
            unsafe {
                abi::qemu_plugin_register_vcpu_insn_exec_cb(insn, pauses, abi::CB_NO_REGS, none);
            }
            continue;
        }
        if let Some(step) = STATE
            .get()
            .and_then(|state| state.entries.step(code, bytes))
        {
            watch_entry(insn, step);
        }
        let mut word = code;
        if insn::is_atomic(bytes) {
            word ^= ATOMIC;
        }
        if insn::repeats(bytes) {
            word ^= REPEATS;
        }
        let data = std::ptr::without_provenance_mut(word as usize);
        // SAFETY: As above.
        unsafe {
            abi::qemu_plugin_register_vcpu_mem_cb(
                insn,
                accessed,
                abi::CB_NO_REGS,
                abi::MEM_RW,
                data,
            );
        }
    }
}

/// Calls at each entry of the kernel and each return.
fn watch_entry(insn: *mut abi::Insn, step: Step) {
    let call = match step {
        Step::Interrupt => interrupted,
        Step::Exception => excepted,
        Step::Return => returned,
    };
    let none = std::ptr::null_mut();
    // SAFETY: The instruction is of the block that is being translated; the callback
    // has the type that QEMU expects.
    unsafe { abi::qemu_plugin_register_vcpu_insn_exec_cb(insn, call, abi::CB_NO_REGS, none) };
}

extern "C" fn interrupted(cpu: c_uint, _: *mut c_void) {
    enter(cpu, Step::Interrupt);
}

extern "C" fn excepted(cpu: c_uint, _: *mut c_void) {
    enter(cpu, Step::Exception);
}

extern "C" fn returned(cpu: c_uint, _: *mut c_void) {
    enter(cpu, Step::Return);
}

fn enter(cpu: c_uint, step: Step) {
    if let Some(state) = STATE.get() {
        state.phases.enter(cpu, step);
    }
}

extern "C" fn begins(_: c_uint, _: *mut c_void) {
    if let Some(state) = STATE.get() {
        state.phases.begin();
    }
}

extern "C" fn ends(_: c_uint, _: *mut c_void) {
    let Some(state) = STATE.get() else { return };
    if let Some(collected) = state.phases.end() {
        let beyond = state.phases.beyond.swap(0, Relaxed);
        let guest = Guest::new(&OfThisVcpu, &state.variables, state.vcpus);
        let look = |physical, address| {
            let what = guest.as_ref().map(|guest| guest.what(physical, address));
            what.unwrap_or_default()
        };
        state.write(&records(&collected, beyond, look));
    }
}

/// Who waits has nothing to do, and the others may need the host's processors. Interrupts
/// still come, in between.
extern "C" fn waits(_: c_uint, _: *mut c_void) {
    thread::sleep(WAIT);
}

/// Who waits for a lock may wait for a vCPU that has no processor of the host: with many
/// more vCPUs than processors nothing else would get on.
extern "C" fn pauses(_: c_uint, _: *mut c_void) {
    thread::yield_now();
}

/// The guest's memory as the vCPU sees it that calls.
struct OfThisVcpu;

impl Memory for OfThisVcpu {
    fn read(&self, address: u64, to: &mut [u8]) -> bool {
        // SAFETY: It has no requirements.
        let array = unsafe { abi::g_byte_array_new() };
        // SAFETY: The array was just made; a vCPU calls this.
        let read = unsafe { abi::qemu_plugin_read_memory_vaddr(address, array, to.len()) };
        // SAFETY: It was made above and not freed yet.
        let bytes = unsafe { &*array };
        let is_whole = read && bytes.len as usize == to.len();
        if is_whole {
            // SAFETY: It has as many bytes as it says.
            to.copy_from_slice(unsafe { slice::from_raw_parts(bytes.data, to.len()) });
        }
        // SAFETY: Not used behind this.
        unsafe { abi::g_byte_array_unref(array) };
        is_whole
    }
}

extern "C" fn accessed(cpu: c_uint, info: MemInfo, address: u64, data: *mut c_void) {
    let Some(state) = STATE.get().filter(|state| state.phases.is_active()) else {
        return;
    };
    let word = data.addr() as u64;
    let code = ((word << UNUSED) as i64 >> UNUSED) as u64;
    let is_atomic = (word ^ code) & ATOMIC != 0;
    // SAFETY: It only decodes the word that it is given.
    let is_store = unsafe { abi::qemu_plugin_mem_is_store(info) };
    if is_atomic && !is_store {
        // QEMU (9.2 and later) tells of an atomic access twice, as a load and a store:
        // one access, for which the line moves once.
        return;
    }
    // SAFETY: QEMU passes what it knows of this access; the handle is used during the
    // call only.
    let at = unsafe { abi::qemu_plugin_get_hwaddr(info, address) };
    // SAFETY: As above.
    if at.is_null() || unsafe { abi::qemu_plugin_hwaddr_is_io(at) } {
        return;
    }
    // SAFETY: As above.
    let physical = unsafe { abi::qemu_plugin_hwaddr_phys_addr(at) };
    // SAFETY: It only decodes the word that it is given.
    let size = 1 << unsafe { abi::qemu_plugin_mem_size_shift(info) };
    state.phases.access(Access {
        cpu,
        kind: match (is_store, is_atomic) {
            (false, _) => Kind::Read,
            (true, false) => Kind::Write,
            (true, true) => Kind::Atomic,
        },
        code,
        address,
        physical,
        size,
        repeats: (word ^ code) & REPEATS != 0,
    });
}
