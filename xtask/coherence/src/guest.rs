// SPDX-License-Identifier: GPL-2.0-only
//! What a line of the guest's memory belongs to, as its kernel knows it: looked up in
//! the kernel's own structures when a phase ends.
//!
//! Of the kernel (x86-64) this knows where `System.map` says its variables are, that a
//! `struct page` has 64 bytes with the page's type at byte 48, and the numbers of these
//! types (include/linux/page-flags.h). Where a slab has its cache and a cache its name it
//! finds out from the cache of all caches, whose name it knows: if anything is otherwise
//! than expected, no cache is named.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::measured::{Kind, Owner};
use crate::shared::is_kernel;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Bytes of a `struct page`.
const STRUCT_PAGE: usize = 64;
/// The first of the guest's possible processors' words in `__per_cpu_offset`, in bytes each.
const WORD: u64 = 8;
/// Name and variable of the cache that all caches are objects of.
const CACHE_OF_CACHES: &str = "kmem_cache";
/// How far into a cache its name is looked for, in bytes.
const CACHE: u64 = 256;
/// The longest name of a cache.
const NAME: usize = 64;
/// Pages of a slab: at most two to the power of this.
const MAX_ORDER: u32 = 10;

/// The guest's memory, by the addresses of its kernel.
pub trait Memory {
    /// Reads all of `to`, or returns false.
    fn read(&self, address: u64, to: &mut [u8]) -> bool;
}

/// Where the kernel's variables are.
#[derive(Clone, Debug, Default)]
pub struct Variables(HashMap<String, u64>);

/// Those that are looked at.
const VARIABLES: [&str; 7] = [
    "page_offset_base",
    "vmemmap_base",
    "vmalloc_base",
    "__per_cpu_offset",
    "__per_cpu_start",
    "__per_cpu_end",
    CACHE_OF_CACHES,
];

impl Variables {
    /// Reads them out of a `System.map`.
    pub fn parse(map: &str) -> Variables {
        let variable = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let name = words.nth(1)?;
            VARIABLES
                .contains(&name)
                .then(|| (name.to_owned(), address))
        };
        Variables(map.lines().filter_map(variable).collect())
    }
}

/// The guest, as it is at the end of a phase.
pub struct Guest<'a, M> {
    memory: &'a M,
    variables: &'a Variables,
    direct: u64,
    pages: u64,
    vmalloc: u64,
    slabs: Option<Slabs>,
    /// How far each processor's copies of variables are from the image's.
    offsets: Vec<u64>,
    /// Names of caches, by address.
    caches: RefCell<HashMap<u64, Option<String>>>,
}

/// Where a slab has its cache, and a cache its name, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slabs {
    cache: usize,
    name: u64,
}

/// What is said of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct What {
    /// Its owner, as far as the kernel's structures tell.
    pub owner: Owner,
    /// If each processor has one of it: where the kernel's image has the variable.
    pub variable: Option<u64>,
}

impl<'a, M: Memory> Guest<'a, M> {
    /// The guest with so many processors; `None` if its kernel has not these variables.
    pub fn new(memory: &'a M, variables: &'a Variables, cpus: u32) -> Option<Guest<'a, M>> {
        let read = |name| word(memory, *variables.0.get(name)?);
        let mut guest = Guest {
            memory,
            variables,
            direct: read("page_offset_base")?,
            pages: read("vmemmap_base")?,
            vmalloc: read("vmalloc_base")?,
            slabs: None,
            offsets: Vec::new(),
            caches: RefCell::default(),
        };
        if let Some(all) = variables.0.get("__per_cpu_offset") {
            let offset = |cpu: u32| word(memory, all + u64::from(cpu) * WORD);
            guest.offsets = (0..cpus).map_while(offset).collect();
        }
        guest.slabs = guest.find_slabs();
        Some(guest)
    }

    /// What is at this physical address, which was accessed at `address`.
    pub fn what(&self, physical: u64, address: u64) -> What {
        if let Some(what) = self.per_cpu(self.direct + physical) {
            return what;
        }
        if let Some(page) = self.described(address) {
            return What {
                owner: owner(Kind::PageStruct, &self.page(page).name),
                variable: None,
            };
        }
        let of_page = self.page(physical / PAGE);
        let is_plain = of_page.kind == Kind::Page && of_page.name == OTHER;
        let owner = match is_kernel(address) && is_plain && self.is_vmalloc(address) {
            true => owner(Kind::Page, "vmalloc or a kernel stack"),
            false => of_page,
        };
        What {
            owner,
            variable: None,
        }
    }

    fn is_vmalloc(&self, address: u64) -> bool {
        (self.vmalloc..self.pages).contains(&address)
    }

    /// The number of the page that the `struct page` at this address describes.
    fn described(&self, address: u64) -> Option<u64> {
        const MOST: u64 = 1 << 40;
        let offset = address.checked_sub(self.pages)?;
        (offset < MOST).then_some(offset / STRUCT_PAGE as u64)
    }

    /// What it is if it is one of those that each processor has: a variable of the
    /// kernel's image, or else allocated.
    fn per_cpu(&self, address: u64) -> Option<What> {
        let at = |name| self.variables.0.get(name).copied();
        let (start, end) = (at("__per_cpu_start")?, at("__per_cpu_end")?);
        // Each has as much room as lies between two of them. More is elsewhere.
        let room = match self.offsets[..] {
            [first, second, ..] => second.wrapping_sub(first),
            _ => end - start,
        };
        let of_cpu = |offset: &u64| {
            let variable = address.wrapping_sub(*offset);
            (variable.wrapping_sub(start) < room).then_some(variable)
        };
        let variable = self.offsets.iter().find_map(of_cpu)?;
        let is_static = variable < end;
        Some(What {
            owner: owner(Kind::PerCpu, if is_static { "" } else { ALLOCATED }),
            variable: is_static.then_some(variable),
        })
    }

    /// What page `number` is used for.
    fn page(&self, number: u64) -> Owner {
        let Some(page) = self.head(number) else {
            return Owner::default();
        };
        // PGTY_*, in the upper byte.
        match page.word32(48) >> 24 {
            0xf0 => owner(Kind::Page, "a free page"),
            0xf2 => owner(Kind::Page, "a page table"),
            0xf5 => owner(Kind::Slab, &self.cache(&page).unwrap_or_default()),
            0xf8 => owner(Kind::Page, "a large kmalloc"),
            _ => match page.word(24) {
                0 => owner(Kind::Page, OTHER),
                mapping if mapping & 1 != 0 => owner(Kind::Page, "anonymous memory"),
                _ => owner(Kind::Page, "a page of a file"),
            },
        }
    }

    /// The first page of what a page is part of: those behind it have bit 0 of their
    /// second word set.
    fn head(&self, number: u64) -> Option<Page> {
        let first = |order: u32| number & !((1 << order) - 1);
        (0..=MAX_ORDER).map(first).find_map(|number| {
            let page = self.descriptor(number)?;
            (page.word(8) & 1 == 0).then_some(page)
        })
    }

    fn descriptor(&self, number: u64) -> Option<Page> {
        let mut bytes = [0; STRUCT_PAGE];
        let address = self.pages + number * STRUCT_PAGE as u64;
        self.memory.read(address, &mut bytes).then_some(Page(bytes))
    }

    fn cache(&self, slab: &Page) -> Option<String> {
        let slabs = self.slabs?;
        let cache = slab.word(slabs.cache);
        let name = || text(self.memory, word(self.memory, cache + slabs.name)?);
        let mut caches = self.caches.borrow_mut();
        caches.entry(cache).or_insert_with(name).clone()
    }

    /// The cache of all caches is an object of its own.
    fn find_slabs(&self) -> Option<Slabs> {
        let cache = word(self.memory, *self.variables.0.get(CACHE_OF_CACHES)?)?;
        let slab = self.head(cache.checked_sub(self.direct)? / PAGE)?;
        let offsets = (0..STRUCT_PAGE).step_by(8);
        let in_slab = { offsets }.find(|&offset| slab.word(offset) == cache)?;
        let is_name = |offset: &u64| {
            let name = word(self.memory, cache + offset);
            name.and_then(|name| text(self.memory, name)).as_deref() == Some(CACHE_OF_CACHES)
        };
        let name = (0..CACHE).step_by(8).find(is_name)?;
        Some(Slabs {
            cache: in_slab,
            name,
        })
    }
}

/// What each processor has one of, and no variable.
const ALLOCATED: &str = "allocated";
/// A page that none of this is known of.
const OTHER: &str = "a page of the kernel";

struct Page([u8; STRUCT_PAGE]);

impl Page {
    fn word(&self, at: usize) -> u64 {
        let bytes = self.0[at..].first_chunk().expect("within a page");
        u64::from_le_bytes(*bytes)
    }

    fn word32(&self, at: usize) -> u32 {
        let bytes = self.0[at..].first_chunk().expect("within a page");
        u32::from_le_bytes(*bytes)
    }
}

fn owner(kind: Kind, name: &str) -> Owner {
    Owner {
        kind,
        name: name.to_owned(),
    }
}

fn word(memory: &impl Memory, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory
        .read(address, &mut bytes)
        .then(|| u64::from_le_bytes(bytes))
}

/// A string that ends with a zero.
fn text(memory: &impl Memory, address: u64) -> Option<String> {
    let mut bytes = [0; NAME];
    // Not all at once: it may stand at the end of what can be read.
    let read = |at: usize| {
        let mut one = [0];
        let read = memory.read(address + at as u64, &mut one);
        read.then_some(one[0])
    };
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = read(at)?;
        if *byte == 0 {
            let text = std::str::from_utf8(&bytes[..at]).ok()?;
            return Some(text.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: u64 = 0xffff_8880_0000_0000;
    const VMALLOC: u64 = 0xffff_c900_0000_0000;
    const PAGES: u64 = 0xffff_ea00_0000_0000;
    const MAP: &str = "ffffffff81000000 D page_offset_base\n\
                       ffffffff81000008 D vmemmap_base\n\
                       ffffffff81000010 D vmalloc_base\n\
                       ffffffff81000018 D kmem_cache\n\
                       ffffffff81000020 D __per_cpu_offset\n\
                       ffffffff81100000 D __per_cpu_start\n\
                       ffffffff81110000 D __per_cpu_end\n";

    /// Words by address.
    #[derive(Default)]
    struct Words(HashMap<u64, u64>);

    impl Memory for Words {
        fn read(&self, address: u64, to: &mut [u8]) -> bool {
            for (address, byte) in (address..).zip(to) {
                let word = self.0.get(&(address & !7)).copied().unwrap_or_default();
                *byte = word.to_le_bytes()[(address % 8) as usize];
            }
            true
        }
    }

    /// A guest whose page 16 is of a slab of two pages, with caches at page 5.
    fn words() -> Words {
        let mut words = Words::default();
        let base = 0xffff_ffff_8100_0000;
        let (cache, name) = (DIRECT + 5 * PAGE, DIRECT + 6 * PAGE);
        let nodes = cache + 256;
        let text = |text: &[u8; 8]| u64::from_le_bytes(*text);
        let known = [
            (base, DIRECT),
            (base + 8, PAGES),
            (base + 0x10, VMALLOC),
            (base + 0x18, cache),
            (base + 0x20, DIRECT.wrapping_sub(0xffff_ffff_8100_0000)),
            (base + 0x28, DIRECT.wrapping_sub(0xffff_ffff_80fe_0000)),
            (cache + 88, name),
            (name, text(b"kmem_cac")),
            (name + 8, text(b"he\0\0\0\0\0\0")),
            (nodes + 88, name + 16),
            (name + 16, text(b"nodes\0\0\0")),
            (PAGES + 5 * 64 + 8, cache),
            (PAGES + 5 * 64 + 48, 0xf500_0000),
            (PAGES + 16 * 64 + 8, nodes),
            (PAGES + 16 * 64 + 48, 0xf500_0000),
            (PAGES + 17 * 64 + 8, 1),
            (PAGES + 18 * 64 + 48, 0xf200_0000),
            (PAGES + 19 * 64 + 24, DIRECT + 1),
            (PAGES + 19 * 64 + 48, 0xffff_ffff),
        ];
        words.0.extend(known);
        words
    }

    fn what(physical: u64, address: u64) -> What {
        let (words, variables) = (words(), Variables::parse(MAP));
        let guest = Guest::new(&words, &variables, 2).unwrap();
        guest.what(physical, address)
    }

    #[test]
    fn a_slabs_cache_is_named_also_by_its_later_pages() {
        for page in [16, 17] {
            let found = what(page * PAGE + 64, DIRECT + page * PAGE + 64);
            assert_eq!(found.owner, owner(Kind::Slab, "nodes"));
        }
    }

    #[test]
    fn pages_have_a_use_whoever_accesses_them() {
        let of = |page: u64, address| what(page * PAGE, address).owner;
        assert_eq!(of(18, DIRECT), owner(Kind::Page, "a page table"));
        assert_eq!(of(19, 0x7000), owner(Kind::Page, "anonymous memory"));
        let stack = of(20, VMALLOC + PAGE);
        assert_eq!(stack.name, "vmalloc or a kernel stack");
        let descriptor = of(21, PAGES + 16 * 64 + 52);
        assert_eq!(descriptor, owner(Kind::PageStruct, "nodes"));
    }

    #[test]
    fn a_processors_copy_is_that_of_a_variable() {
        let second = 0x10_0000 + 0x2_0000;
        let found = what(second + 0x40, DIRECT + second + 0x40);
        assert_eq!(found.owner, owner(Kind::PerCpu, ""));
        assert_eq!(found.variable, Some(0xffff_ffff_8110_0040));
        let beyond = what(second + 0x1_0040, DIRECT + second + 0x1_0040);
        assert_eq!(beyond.owner, owner(Kind::PerCpu, ALLOCATED));
        assert_eq!(beyond.variable, None);
    }

    #[test]
    fn an_unknown_kernel_is_no_guest() {
        assert!(Guest::new(&words(), &Variables::parse("0 A nothing\n"), 2).is_none());
    }
}
