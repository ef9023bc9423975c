// SPDX-License-Identifier: GPL-2.0-only

//! The tracepoints of spaces: see `trace_space.h`. The names that they print are in
//! `trace_names.h`, checked here.

use kernel::ffi::{c_int, c_ulong};

use super::{bindings, trace::declare_trace};
use crate::portable::fault::Cause;

/// Declares an enum with the names that its events print.
macro_rules! named {
    ($(#[$doc:meta])* enum $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum $name {
            $($variant,)*
        }

        impl $name {
            const NAMES: &'static [&'static str] = &[$($text),*];
        }
    };
}

named! {
    /// How a fault was handled.
    enum Path {
        Speculative = "speculative",
        Region = "region",
        Locked = "locked",
    }
}

named! {
    /// What came of a fault: see the counters in `struct faultline_stats`.
    enum Outcome {
        Ok = "ok",
        NoRegion = "no_region",
        Denied = "denied",
        Limit = "limit",
        Killed = "killed",
        NoMemory = "no_memory",
        Retried = "retried",
        Again = "again",
        NoPage = "no_page",
        Io = "io",
    }
}

const CAUSES: [&str; Cause::ALL.len()] = {
    let mut names = [""; Cause::ALL.len()];
    let mut number = 0;
    while number < names.len() {
        assert!(Cause::ALL[number] as usize == number);
        names[number] = Cause::ALL[number].name();
        number += 1;
    }
    names
};

const _: () = must_name(bindings::FAULTLINE_SPELLED_CAUSES, &CAUSES);
const _: () = must_name(bindings::FAULTLINE_SPELLED_PATHS, Path::NAMES);
const _: () = must_name(bindings::FAULTLINE_SPELLED_OUTCOMES, Outcome::NAMES);

/// Panics unless the counters of a space have these names, in this order.
pub(crate) const fn must_name_counters(names: &[&str]) {
    must_name(bindings::FAULTLINE_SPELLED_COUNTERS, names);
}

/// Panics unless `table`, as C spells it, has exactly these names, numbered from 0.
const fn must_name(table: &[u8], names: &[&str]) {
    let mut at = 0;
    let mut number = 0;
    while number < names.len() {
        assert!(number < 100);
        if number != 0 {
            at = behind(table, at, b", ");
        }
        at = behind(table, at, b"{ ");
        if number >= 10 {
            at = behind(table, at, &[b'0' + (number / 10) as u8]);
        }
        at = behind(table, at, &[b'0' + (number % 10) as u8]);
        at = behind(table, at, b", \"");
        at = behind(table, at, names[number].as_bytes());
        at = behind(table, at, b"\" }");
        number += 1;
    }
    assert!(behind(table, at, b"\0") == table.len(), "more names in C");
}

/// The end of `word`, which stands in `text` at `at`.
const fn behind(text: &[u8], at: usize, word: &[u8]) -> usize {
    let mut read = 0;
    while read < word.len() {
        assert!(
            text[at + read] == word[read],
            "names of trace_names.h are others than those here"
        );
        read += 1;
    }
    at + read
}

declare_trace! {
    fn space_start_locking(lock: c_ulong, start: u64, end: u64, write: bool);
    fn space_acquire_returned(lock: c_ulong, start: u64, end: u64, write: bool, success: bool);
    fn space_released(lock: c_ulong, start: u64, end: u64, write: bool);
    fn space_counted(space: c_ulong, counter: u32, value: u64);
    fn fault_speculated(space: c_ulong, address: c_ulong, page: u64, write: bool, backing: u32);
    fn fault_aborted(
        space: c_ulong,
        address: c_ulong,
        page: u64,
        write: bool,
        cause: u32,
        sequence: u64,
    );
    fn fault_fell_back(space: c_ulong, address: c_ulong, page: u64, write: bool);
    fn fault_completed(
        space: c_ulong,
        address: c_ulong,
        page: u64,
        write: bool,
        path: u32,
        result: u32,
    );
    fn commit(space: c_ulong, page: u64, leaf: c_ulong, filled: bool);
    fn zap(space: c_ulong, first: u64, pages: u64);
    fn map(space: c_ulong, start: u64, end: u64, prot: u32, backing: u32, result: c_int);
    fn unmap(space: c_ulong, start: u64, end: u64, result: c_int);
    fn protect(space: c_ulong, start: u64, end: u64, prot: u32, result: c_int);
    fn remap(space: c_ulong, start: u64, end: u64, to: u64, new_pages: u64, result: c_int);
    fn advise(space: c_ulong, start: u64, end: u64, advice: u32, result: c_int);
}
