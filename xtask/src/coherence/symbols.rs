// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel and its modules have at which address, by `/proc/kallsyms`.

/// How far behind the last symbol an address may still be its own, in bytes.
const REACH: u64 = 1 << 20;

/// All symbols, by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols(Vec<Symbol>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    address: u64,
    /// As a programmer knows it.
    pub(crate) name: String,
    /// The module that it is of.
    pub(crate) module: Option<String>,
}

impl Symbols {
    /// Reads the text of the file.
    pub(crate) fn parse(text: &str) -> Symbols {
        let symbol = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let name = words.nth(1)?;
            let module = words.next().map(|m| m.trim_matches(['[', ']']).to_owned());
            Some(Symbol {
                address,
                name: readable(name),
                module,
            })
        };
        let mut symbols: Vec<Symbol> = text.lines().filter_map(symbol).collect();
        symbols.sort_by_key(|symbol| symbol.address);
        Symbols(symbols)
    }

    /// The symbol that an address belongs to.
    pub(crate) fn at(&self, address: u64) -> Option<&Symbol> {
        let behind = self.0.partition_point(|symbol| symbol.address <= address);
        let symbol = self.0.get(behind.checked_sub(1)?)?;
        (address - symbol.address < REACH).then_some(symbol)
    }

    /// Whether an address is in a module of this name.
    pub(crate) fn is_in(&self, address: u64, module: &str) -> bool {
        self.at(address)
            .is_some_and(|symbol| symbol.module.as_deref() == Some(module))
    }
}

/// A name of Rust as it is written there, without hashes and without the crate that the
/// module is.
fn readable(name: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(name));
    name.replace("faultline_main::", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_symbol_before_it() {
        let symbols = Symbols::parse(
            "ffffffff81000020 T second\nffffffff81000000 T first\nffffffffc0000000 t fault\t[faultline]\n",
        );
        let name = |address| symbols.at(address).map(|symbol| symbol.name.as_str());
        assert_eq!(name(0xffff_ffff_8100_001f), Some("first"));
        assert_eq!(name(0xffff_ffff_8100_0020), Some("second"));
        assert_eq!(name(0x1000), None);
        assert_eq!(name(0xffff_8880_0000_0000), None);
        assert!(symbols.is_in(0xffff_ffff_c000_0010, "faultline"));
        assert!(!symbols.is_in(0xffff_ffff_8100_0010, "faultline"));
    }

    #[test]
    fn names_of_rust_are_readable() {
        let mangled = "_RNvMNtNtCs9BruGFBVtlK_14faultline_main6driver7regionsNtB2_7Regions6remove";
        assert_eq!(readable(mangled), "<driver::regions::Regions>::remove");
        assert_eq!(readable("vma_start_read"), "vma_start_read");
    }
}
