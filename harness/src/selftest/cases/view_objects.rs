// SPDX-License-Identifier: GPL-2.0-only
//! Where debugfs says that objects are: `objects`.

use std::ops::Range;

use super::view::{own_space, parse, text};
use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{Arena, BASE, Live, at};
use crate::{PAGE_SIZE, Prot, Space};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "view":
    objects_appear_and_go,
    objects_do_not_overlap,
];

/// Pages of a leaf.
const LEAF: u64 = 512;

/// A line.
#[derive(Clone, Debug)]
struct Object {
    space: u64,
    name: String,
    bytes: Range<u64>,
    cpu: Option<u64>,
    page: Option<u64>,
}

impl Object {
    fn read(line: &str) -> Result<Object, Stop> {
        let value = parse(line)?;
        let number = |name: &str| value[name].as_u64();
        let read = || {
            let (start, length) = (number("address")?, number("bytes")?);
            Some(Object {
                space: number("space")?,
                name: value["object"].as_str()?.to_owned(),
                bytes: start..start.checked_add(length)?,
                cpu: number("cpu"),
                page: number("page"),
            })
        };
        let object = read().filter(|object| !object.bytes.is_empty());
        object.ok_or_else(|| Stop::fail(format!("the line {line}")))
    }

    fn has(&self, other: &Object) -> bool {
        self.bytes.start <= other.bytes.start && other.bytes.end <= self.bytes.end
    }

    fn overlaps(&self, other: &Object) -> bool {
        self.bytes.start < other.bytes.end && other.bytes.start < self.bytes.end
    }
}

fn objects() -> Result<Vec<Object>, Stop> {
    text("objects")?.lines().map(Object::read).collect()
}

/// The pages of those of a space that have this name.
fn pages(id: u64, name: &str) -> Result<Vec<u64>, Stop> {
    let all = objects()?;
    let named = all
        .iter()
        .filter(|object| object.space == id && object.name == name);
    Ok(named.filter_map(|object| object.page).collect())
}

/// How many objects of this name the space has.
fn count(id: u64, name: &str) -> Result<usize, Stop> {
    let is_it = |object: &&Object| object.space == id && object.name == name;
    Ok(objects()?.iter().filter(is_it).count())
}

fn objects_appear_and_go() -> Outcome {
    Live::required()?;
    let arena = Arena::empty(4)?;
    let id = own_space()?["id"].as_u64().unwrap_or(0);
    for name in [
        "Space",
        "SpaceLock::global",
        "SpaceLock::range",
        "Regions",
        "Directory",
    ] {
        ensure_eq!(count(id, name)?, 1, "{name}");
    }
    let cpus = count(id, "Stats")?;
    ensure!(cpus > 0, "no counters of processors");
    ensure_eq!(count(id, "PageCount")?, cpus + 1, "PageCount");
    ensure_eq!(count(0, "TOTAL_PAGES")?, 1, "TOTAL_PAGES");
    ensure_eq!(count(0, "numbers")?, cpus + 1, "numbers");

    arena.remap(0, 4, Prot::READ_WRITE)?;
    let first = BASE / PAGE_SIZE;
    ensure_eq!(pages(id, "Region")?, [first], "the region");
    ensure_eq!(pages(id, "Leaf")?.len(), 0, "leaves before a touch");
    // The first page is the last of its leaf.
    arena.stamp(0, 1, 1)?;
    let leaf = first / LEAF * LEAF;
    ensure_eq!(pages(id, "Leaf")?, [leaf], "the leaf");
    ensure_eq!(pages(id, "Leaf::slots")?, [leaf], "its slots");
    arena.stamp(1, 1, 1)?;
    ensure_eq!(pages(id, "Leaf")?, [leaf, leaf + LEAF], "both leaves");
    // Both parts that are left are the same object.
    arena.unmap(1, 1)?;
    ensure_eq!(pages(id, "Leaf")?, [leaf], "the leaf that is left");
    let second = at(2) / PAGE_SIZE;
    ensure_eq!(pages(id, "Region")?, [first, second], "parts");
    drop(arena);
    let left = objects()?
        .iter()
        .filter(|object| object.space == id)
        .count();
    ensure_eq!(left, 0, "objects of a space that has ended");
    Ok(())
}

fn objects_do_not_overlap() -> Outcome {
    Live::required()?;
    let _empty = Space::open()?;
    let arenas = [
        Arena::new(4, Prot::READ_WRITE)?,
        Arena::new(4, Prot::READ)?,
        Arena::new(4, Prot::READ_WRITE)?,
    ];
    arenas[0].stamp(0, 4, 1)?;
    arenas[2].stamp(0, 4, 1)?;
    arenas[2].unmap(1, 1)?;
    let all = objects()?;
    for (number, one) in all.iter().enumerate() {
        for other in &all[..number] {
            let in_space = |outer: &Object, inner: &Object| {
                outer.space == inner.space && outer.name == "Space" && outer.has(inner)
            };
            let is_one = |name: &str| one.name == name && other.name == name;
            let is_right = !one.overlaps(other)
                || in_space(one, other)
                || in_space(other, one)
                || (is_one("Region") && one.bytes == other.bytes && one.space == other.space);
            ensure!(is_right, "they overlap: {one:x?}, {other:x?}");
            // What a processor counts for itself shares no line with what another does.
            let lines = |object: &Object| object.bytes.start / 64..=(object.bytes.end - 1) / 64;
            let (a, b) = (lines(one), lines(other));
            let meet = a.start() <= b.end() && b.start() <= a.end();
            let apart = one.cpu.is_none() || other.cpu.is_none() || one.cpu == other.cpu;
            ensure!(apart || !meet, "they share a line: {one:x?}, {other:x?}");
        }
    }
    Ok(())
}
