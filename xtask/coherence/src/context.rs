// SPDX-License-Identifier: GPL-2.0-only
//! Whether a processor works on what it was asked to do, or on an interrupt.
//!
//! The timer's work depends on how long a phase takes under emulation, not on what is
//! done in it, so it is counted apart. Each entry of the kernel is noted, and each
//! `iretq` of its entry code takes back the last one. What runs while an interrupt is
//! on, a task that it has switched to included, is the interrupt's. Interrupts by
//! which one processor asks another to do something (a flush of its TLB) are part of
//! the operation.

use std::collections::HashSet;
use std::ops::Range;

/// Entries that are nobody's operation.
const BACKGROUND: [&str; 5] = [
    "asm_sysvec_apic_timer_interrupt",
    "asm_sysvec_reschedule_ipi",
    "asm_sysvec_irq_work",
    "asm_common_interrupt",
    "asm_spurious_interrupt",
];
/// Entries of other kinds: their `iretq` is not that of one of these.
const OTHERS: [&str; 2] = ["asm_exc_", "asm_sysvec_"];
/// Entered once more from within, or never left by `iretq`.
const NOT_COUNTED: [&str; 2] = ["asm_exc_nmi", "asm_exc_double_fault"];

/// What an instruction of the kernel's entry code does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An interrupt begins.
    Interrupt,
    /// An exception begins, or an interrupt that asks for something.
    Exception,
    /// The last of these has ended.
    Return,
}

/// Where the kernel is entered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    interrupts: HashSet<u64>,
    exceptions: HashSet<u64>,
    text: Range<u64>,
}

impl Entries {
    /// Reads them out of a `System.map`.
    pub fn parse(map: &str) -> Result<Entries, String> {
        let mut entries = Entries::default();
        for line in map.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Ok(address) = u64::from_str_radix(address, 16) else {
                continue;
            };
            match name {
                "__entry_text_start" => entries.text.start = address,
                "__entry_text_end" => entries.text.end = address,
                _ if NOT_COUNTED.contains(&name) => {}
                _ if BACKGROUND.contains(&name) => drop(entries.interrupts.insert(address)),
                _ if OTHERS.iter().any(|prefix| name.starts_with(prefix)) => {
                    entries.exceptions.insert(address);
                }
                _ => {}
            }
        }
        if entries.interrupts.is_empty() || entries.text.is_empty() {
            return Err("it names no entries of an x86 kernel".into());
        }
        Ok(entries)
    }

    /// What the instruction at `address` does.
    pub fn step(&self, address: u64, bytes: &[u8]) -> Option<Step> {
        const IRETQ: [u8; 2] = [0x48, 0xcf];
        if self.interrupts.contains(&address) {
            return Some(Step::Interrupt);
        }
        if self.exceptions.contains(&address) {
            return Some(Step::Exception);
        }
        (bytes == IRETQ && self.text.contains(&address)).then_some(Step::Return)
    }
}

/// The entries that a processor has not returned from, the last one lowest: a bit
/// each, set for an interrupt, below a set one. At most 62 can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nesting(pub u64);

impl Nesting {
    /// None.
    pub const NONE: Nesting = Nesting(1);

    /// Behind this step. A return from what began before anybody looked is none.
    pub fn after(self, step: Step) -> Nesting {
        match step {
            Step::Return if self.0 == 1 => self,
            Step::Return => Nesting(self.0 >> 1),
            _ if self.0 >> 63 != 0 => self,
            Step::Interrupt => Nesting(self.0 << 1 | 1),
            Step::Exception => Nesting(self.0 << 1),
        }
    }

    /// Whether an interrupt is among them.
    pub fn in_interrupt(self) -> bool {
        self.0.count_ones() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_inside_an_interrupt_is_the_interrupts() {
        let fault = Nesting::NONE.after(Step::Exception);
        assert!(!fault.in_interrupt());
        let timer = fault.after(Step::Interrupt);
        let inner = timer.after(Step::Exception);
        assert!(timer.in_interrupt() && inner.in_interrupt());
        assert_eq!(inner.after(Step::Return), timer);
        assert_eq!(timer.after(Step::Return), fault);
        assert_eq!(fault.after(Step::Return), Nesting::NONE);
        assert_eq!(Nesting::NONE.after(Step::Return), Nesting::NONE);
    }

    #[test]
    fn entries_are_read_from_a_map() {
        let map = "ffffffff81000000 T __entry_text_start\n\
                   ffffffff81000aa0 T asm_exc_page_fault\n\
                   ffffffff81000bf0 T asm_sysvec_apic_timer_interrupt\n\
                   ffffffff81000c70 T asm_sysvec_call_function_single\n\
                   ffffffff81001fff T __entry_text_end\n";
        let entries = Entries::parse(map).unwrap();
        let step =
            |address: u64, bytes: &[u8]| entries.step(0xffff_ffff_8100_0000 + address, bytes);
        assert_eq!(step(0xaa0, &[]), Some(Step::Exception));
        assert_eq!(step(0xbf0, &[]), Some(Step::Interrupt));
        assert_eq!(step(0xc70, &[]), Some(Step::Exception));
        assert_eq!(step(0xd39, &[0x48, 0xcf]), Some(Step::Return));
        assert_eq!(
            step(0x3000, &[0x48, 0xcf]),
            None,
            "sync_core() has one, too"
        );
        assert!(Entries::parse("0 A nothing\n").is_err());
    }
}
