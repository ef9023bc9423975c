// SPDX-License-Identifier: GPL-2.0-only
//! What the plugin has to know of x86 instructions: which are atomic, and which
//! mark a phase.

/// First bytes of a marker: `nopl disp32(%rax,%rax,1)`, a no-op on any processor.
const MARKER: [u8; 4] = [0x0f, 0x1f, 0x84, 0x00];
/// Upper half of its displacement: "FL".
const MAGIC: [u8; 2] = [0x4c, 0x46];

/// What a guest marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Displacement 0x464c0001: the measured part begins.
    Begin,
    /// Displacement 0x464c0002: it has ended.
    End,
    /// Displacement 0x464c0003: this processor waits for others.
    Wait,
}

/// The marker that an instruction is.
pub fn marker(bytes: &[u8]) -> Option<Marker> {
    let rest = bytes.strip_prefix(&MARKER)?;
    match rest {
        [1, 0, magic @ ..] if magic == MAGIC => Some(Marker::Begin),
        [2, 0, magic @ ..] if magic == MAGIC => Some(Marker::End),
        [3, 0, magic @ ..] if magic == MAGIC => Some(Marker::Wait),
        _ => None,
    }
}

/// Whether an instruction reads and writes memory in one: it has a lock prefix, or
/// is an exchange with memory, which needs none.
pub fn is_atomic(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let [first, more @ ..] = rest {
        match first {
            0xf0 => return true,
            // Segments, sizes, repetition and REX.
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf2 | 0xf3 | 0x40..=0x4f => rest = more,
            0x86 | 0x87 => return more.first().is_some_and(|modrm| modrm >> 6 != 3),
            _ => return false,
        }
    }
    false
}

/// Whether an instruction says that its processor waits in a loop.
pub fn is_pause(bytes: &[u8]) -> bool {
    bytes == [0xf3, 0x90]
}

/// Whether an instruction is a repeated string instruction, which accesses a line in
/// many steps.
pub fn repeats(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut is_repeated = false;
    while let [first, more @ ..] = rest {
        match first {
            0xf2 | 0xf3 => is_repeated = true,
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0x40..=0x4f => {}
            0xa4..=0xa7 | 0xaa..=0xaf => return is_repeated,
            _ => return false,
        }
        rest = more;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_other_no_ops() {
        let marker =
            |low, magic: [u8; 2]| marker(&[0x0f, 0x1f, 0x84, 0x00, low, 0x00, magic[0], magic[1]]);
        assert_eq!(marker(1, MAGIC), Some(Marker::Begin));
        assert_eq!(marker(2, MAGIC), Some(Marker::End));
        assert_eq!(marker(3, MAGIC), Some(Marker::Wait));
        assert_eq!(marker(4, MAGIC), None);
        assert_eq!(marker(0, [0, 0]), None);
    }

    #[test]
    fn locked_instructions_and_exchanges_with_memory_are_atomic() {
        let lock_incl = [0xf0, 0xff, 0x07];
        let xchg_memory = [0x48, 0x87, 0x07];
        let xchg_registers = [0x48, 0x87, 0xc7];
        let gs_lock_xadd = [0x65, 0xf0, 0x48, 0x0f, 0xc1, 0x07];
        let mov = [0x48, 0x89, 0x07];
        let found = [
            &lock_incl[..],
            &xchg_memory,
            &xchg_registers,
            &gs_lock_xadd,
            &mov,
        ]
        .map(is_atomic);
        assert_eq!(found, [true, true, false, true, false]);
    }
}
