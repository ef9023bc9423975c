// SPDX-License-Identifier: GPL-2.0-only
//! Where the module says that its objects are.

use serde::{Deserialize, Serialize};

/// Bytes of a line.
const LINE: u64 = faultline_coherence::line::LINE;

/// One of them, as the module's file `objects` has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Object {
    /// What it is.
    object: String,
    /// Its first byte.
    address: u64,
    /// Its length.
    bytes: u64,
}

/// The object that has the byte at `address`, or else one that has a part of its line:
/// the smallest, as some are parts of others.
pub(crate) fn at(objects: &[Object], address: u64) -> Option<&str> {
    let line = address & !(LINE - 1);
    let of = |first: u64, bytes: u64| {
        let overlaps = move |object: &&Object| {
            object.address < first + bytes && first < object.address + object.bytes
        };
        let found = objects.iter().filter(overlaps);
        found.min_by_key(|object| object.bytes)
    };
    let object = of(address, 1).or_else(|| of(line, LINE))?;
    Some(&object.object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, address: u64, bytes: u64) -> Object {
        Object {
            object: name.into(),
            address,
            bytes,
        }
    }

    #[test]
    fn the_smallest_object_of_an_address_or_its_line_is_found() {
        let all = [
            object("Space", 0x1000, 0x400),
            object("Regions", 0x1080, 0x40),
            object("Leaf", 0x2010, 8),
        ];
        assert_eq!(at(&all, 0x1000), Some("Space"));
        assert_eq!(at(&all, 0x10bf), Some("Regions"));
        assert_eq!(at(&all, 0x2000), Some("Leaf"));
        assert_eq!(at(&all, 0x2040), None);
    }
}
