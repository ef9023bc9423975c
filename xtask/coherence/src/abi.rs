// SPDX-License-Identifier: GPL-2.0-only
//! What is used of QEMU's plugin interface, declared by hand: no header is packaged.
//!
//! Source: include/qemu/qemu-plugin.h. Version 3 (QEMU 9.1) is where
//! `qemu_plugin_insn_data` began to copy, version 4 (QEMU 9.2) where memory can be read;
//! nothing used here has changed since. QEMU refuses to load a plugin whose
//! `qemu_plugin_version` it does not support.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// Version of the interface that this is written for.
pub(crate) const API_VERSION: c_int = 4;

/// `qemu_plugin_id_t`
pub(crate) type Id = u64;
/// `qemu_plugin_meminfo_t`
pub(crate) type MemInfo = u32;

/// `struct qemu_plugin_tb`: a block that is being translated.
#[repr(C)]
pub(crate) struct Tb {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_insn`: an instruction of it.
#[repr(C)]
pub(crate) struct Insn {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_hwaddr`: where an access went.
#[repr(C)]
pub(crate) struct HwAddr {
    _opaque: [u8; 0],
}

/// `GByteArray` of GLib, which is part of QEMU's interface.
#[repr(C)]
pub(crate) struct ByteArray {
    pub(crate) data: *mut u8,
    pub(crate) len: c_uint,
}

/// `struct qemu_info_t`
#[repr(C)]
pub struct Info {
    pub(crate) target_name: *const c_char,
    pub(crate) version_min: c_int,
    pub(crate) version_cur: c_int,
    pub(crate) system_emulation: bool,
    pub(crate) smp_vcpus: c_int,
    pub(crate) max_vcpus: c_int,
}

/// `enum qemu_plugin_cb_flags`: the callback reads no registers.
pub(crate) const CB_NO_REGS: c_int = 0;
/// `enum qemu_plugin_mem_rw`: loads and stores.
pub(crate) const MEM_RW: c_int = 3;

pub(crate) type TbTransCb = extern "C" fn(Id, *mut Tb);
pub(crate) type ExecCb = extern "C" fn(c_uint, *mut c_void);
pub(crate) type MemCb = extern "C" fn(c_uint, MemInfo, u64, *mut c_void);

// QEMU itself has them, or GLib, which it is linked with: they are bound when it loads the plugin.
unsafe extern "C" {
    pub(crate) fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, cb: TbTransCb);
    pub(crate) fn qemu_plugin_tb_n_insns(tb: *const Tb) -> usize;
    pub(crate) fn qemu_plugin_tb_get_insn(tb: *const Tb, index: usize) -> *mut Insn;
    pub(crate) fn qemu_plugin_insn_data(insn: *const Insn, to: *mut c_void, len: usize) -> usize;
    pub(crate) fn qemu_plugin_insn_vaddr(insn: *const Insn) -> u64;
    pub(crate) fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut Insn,
        cb: ExecCb,
        flags: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_register_vcpu_mem_cb(
        insn: *mut Insn,
        cb: MemCb,
        flags: c_int,
        rw: c_int,
        data: *mut c_void,
    );
    pub(crate) fn qemu_plugin_mem_is_store(info: MemInfo) -> bool;
    pub(crate) fn qemu_plugin_mem_size_shift(info: MemInfo) -> c_uint;
    pub(crate) fn qemu_plugin_get_hwaddr(info: MemInfo, address: u64) -> *mut HwAddr;
    pub(crate) fn qemu_plugin_hwaddr_is_io(at: *const HwAddr) -> bool;
    pub(crate) fn qemu_plugin_hwaddr_phys_addr(at: *const HwAddr) -> u64;
    pub(crate) fn qemu_plugin_read_memory_vaddr(
        address: u64,
        to: *mut ByteArray,
        len: usize,
    ) -> bool;
    pub(crate) fn g_byte_array_new() -> *mut ByteArray;
    pub(crate) fn g_byte_array_unref(array: *mut ByteArray);
}
