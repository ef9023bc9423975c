// SPDX-License-Identifier: GPL-2.0-only
//! What a shared line is, and who accesses it, in words.

use faultline_coherence::measured::{Code, Hot, Kind, Owner};

/// What the figures are.
pub(super) const NOTE: &str = "Counted under emulation, by physical lines of 64 bytes; interrupts \
are left out. Sharing writes: writes to lines that another processor writes or reads in the same \
phase; they do not depend on how processors are interleaved. Moves do: they are what happened \
here, where only as many virtual processors run at a time as the host has. Of the module: by its \
instructions, or to its objects.";

/// Owners of shared lines that are shown.
pub(super) const OWNERS: usize = 8;

/// What a line belongs to.
pub(super) fn owner(owner: &Owner) -> String {
    let named = !owner.name.is_empty();
    let (alone, before, behind) = match owner.kind {
        Kind::Symbol => ("a variable", "variable ", ""),
        Kind::PerCpu => ("a per-CPU variable", "per-CPU variable ", ""),
        Kind::Module => ("an object of faultline's", "faultline's ", ""),
        Kind::Slab => ("a slab object", "slab object ", ""),
        Kind::PageStruct => ("struct page", "struct page of ", ""),
        // Its name is what is in it.
        Kind::Page => ("a page", "", ""),
        Kind::User => ("the program's memory", "the program's memory (", ")"),
        Kind::Unknown => ("memory without a name", "", ""),
    };
    match named {
        true => format!("{before}{}{behind}", owner.name),
        false => alone.to_owned(),
    }
}

/// A function, the module it is of, and the line in it.
pub(super) fn code(code: &Code) -> String {
    let mut text = match code.function.as_str() {
        "" => "unknown code".to_owned(),
        name => name.to_owned(),
    };
    if let Some(module) = &code.module {
        text += &format!(" [{module}]");
    }
    if let Some(line) = &code.line {
        text += &format!(" at {line}");
    }
    text
}

/// "1 CPU", "2 CPUs".
pub(super) fn cpus(count: u32) -> String {
    match count {
        1 => "1 CPU".to_owned(),
        n => format!("{n} CPUs"),
    }
}

/// How often phases were done, and so what is told of them.
pub(super) fn rounds(count: u32) -> String {
    match count {
        1 => "one round".to_owned(),
        n => format!("of {n} rounds the one with the median of sharing writes"),
    }
}

/// The least and the most of all rounds.
pub(super) fn spread([least, most]: [f64; 2]) -> String {
    format!("{least:.2} to {most:.2}")
}

/// How processors meet in a line.
pub(super) fn sharing(hot: &Hot) -> &'static str {
    match hot.is_truly_shared {
        true => "truly",
        false => "falsely",
    }
}

/// All of a line in one go: what it is, and the function that writes it most.
pub(super) fn line(hot: &Hot) -> String {
    let by = hot.code.first().map(|most| Code {
        line: None,
        ..most.clone()
    });
    let by = by.map_or_else(|| "unknown code".to_owned(), |most| code(&most));
    let falsely = if hot.is_truly_shared {
        ""
    } else {
        ", shared falsely"
    };
    format!("{}, by {by}{falsely}", owner(&hot.owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_told_with_and_without_a_name() {
        let told = |kind, name: &str| {
            owner(&Owner {
                kind,
                name: name.to_owned(),
            })
        };
        assert_eq!(told(Kind::Slab, "filp"), "slab object filp");
        assert_eq!(
            told(Kind::PageStruct, "a page table"),
            "struct page of a page table"
        );
        assert_eq!(told(Kind::Page, "a free page"), "a free page");
        let user = "the program's memory (anonymous memory)";
        assert_eq!(told(Kind::User, "anonymous memory"), user);
        assert_eq!(told(Kind::User, ""), "the program's memory");
    }

    #[test]
    fn a_line_is_told_by_its_owner_and_its_code() {
        let mut hot = Hot {
            is_truly_shared: true,
            owner: Owner {
                kind: Kind::Slab,
                name: "mm_struct".to_owned(),
            },
            code: vec![Code {
                function: "fault".to_owned(),
                module: Some("faultline".to_owned()),
                line: Some("fault.rs:12".to_owned()),
                ..Code::default()
            }],
            ..Hot::default()
        };
        assert_eq!(line(&hot), "slab object mm_struct, by fault [faultline]");
        assert_eq!(code(&hot.code[0]), "fault [faultline] at fault.rs:12");
        hot = Hot::default();
        let nothing = "memory without a name, by unknown code, shared falsely";
        assert_eq!(line(&hot), nothing);
        assert_eq!(code(&Code::default()), "unknown code");
    }
}
