// SPDX-License-Identifier: GPL-2.0-only
//! What the kernel and its modules have at which address, by `/proc/kallsyms`.

/// How far behind the last symbol an address may still be its own, in bytes.
const REACH: u64 = 1 << 20;

/// All symbols, by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Symbols(Vec<Symbol>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Symbol {
    address: u64,
    name: String,
    module: Option<String>,
}

impl Symbols {
    /// Reads the text of the file.
    pub(crate) fn parse(text: &str) -> Symbols {
        let symbol = |line: &str| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let name = words.nth(1)?.to_owned();
            let module = words.next().map(|m| m.trim_matches(['[', ']']).to_owned());
            Some(Symbol {
                address,
                name,
                module,
            })
        };
        let mut symbols: Vec<Symbol> = text.lines().filter_map(symbol).collect();
        symbols.sort_by_key(|symbol| symbol.address);
        Symbols(symbols)
    }

    fn at(&self, address: u64) -> Option<&Symbol> {
        let behind = self.0.partition_point(|symbol| symbol.address <= address);
        let symbol = self.0.get(behind.checked_sub(1)?)?;
        (address - symbol.address < REACH).then_some(symbol)
    }

    /// The symbol that an address belongs to.
    pub(crate) fn name(&self, address: u64) -> Option<&str> {
        Some(&self.at(address)?.name)
    }

    /// Whether an address is in a module of this name.
    pub(crate) fn is_in(&self, address: u64, module: &str) -> bool {
        self.at(address)
            .is_some_and(|symbol| symbol.module.as_deref() == Some(module))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_symbol_before_it() {
        let symbols = Symbols::parse(
            "ffffffff81000020 T second\nffffffff81000000 T first\nffffffffc0000000 t fault\t[faultline]\n",
        );
        assert_eq!(symbols.name(0xffff_ffff_8100_001f), Some("first"));
        assert_eq!(symbols.name(0xffff_ffff_8100_0020), Some("second"));
        assert_eq!(symbols.name(0x1000), None);
        assert_eq!(symbols.name(0xffff_8880_0000_0000), None);
        assert!(symbols.is_in(0xffff_ffff_c000_0010, "faultline"));
        assert!(!symbols.is_in(0xffff_ffff_8100_0010, "faultline"));
    }
}
