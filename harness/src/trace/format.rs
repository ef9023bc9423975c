// SPDX-License-Identifier: GPL-2.0-only
//! The format of an event: where its fields are, and what numbers in them mean.

use anyhow::{Context, Result};

/// An event's format.
#[derive(Clone, Debug, Default)]
pub struct Format {
    /// The system that it belongs to.
    pub system: String,
    /// Its name.
    pub name: String,
    /// What the records of it begin with.
    pub id: u16,
    /// Common fields first.
    pub fields: Vec<Field>,
}

/// A field of an event.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Bytes from the beginning of the record.
    pub offset: usize,
    /// Its size in bytes.
    pub size: usize,
    /// What it is.
    pub kind: Kind,
    /// Names of its values, if it has such.
    pub names: Vec<(u64, String)>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Unsigned,
    /// A number that may be negative.
    Signed,
    /// An address or a pointer.
    Address,
    /// True or false.
    Bool,
    /// Text, up to a zero.
    Text,
    /// Text elsewhere in the record: its place is in the low half, its length above.
    Elsewhere,
    /// Anything else.
    Bytes,
}

impl Format {
    /// Reads the file `format` of an event.
    pub fn parse(system: &str, text: &str) -> Result<Format> {
        let mut format = Format {
            system: system.to_owned(),
            ..Format::default()
        };
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("name: ") {
                format.name = name.trim().to_owned();
            } else if let Some(id) = line.strip_prefix("ID: ") {
                format.id = id.trim().parse().context("the ID of an event's format")?;
            } else if let Some(field) = line.trim_start().strip_prefix("field:") {
                let field = Field::parse(field)
                    .with_context(|| format!("a field of an event's format: {line}"))?;
                format.fields.push(field);
            } else if let Some(print) = line.strip_prefix("print fmt: ") {
                for field in &mut format.fields {
                    field.names = names_in(print, &field.name);
                }
            }
        }
        if format.name.is_empty() {
            anyhow::bail!("an event's format has no name");
        }
        Ok(format)
    }

    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Field {
    /// "type name;\toffset:8;\tsize:8;\tsigned:0;"
    pub fn parse(text: &str) -> Option<Field> {
        let (declaration, places) = text.split_once(';')?;
        let number = |key: &str| -> Option<usize> {
            let at = places.find(key)? + key.len();
            places[at..].split(';').next()?.trim().parse().ok()
        };
        let (offset, size) = (number("offset:")?, number("size:")?);
        let signed = number("signed:").unwrap_or(0) != 0;
        let declaration = declaration.trim();
        let (base, dimension) = match declaration.find('[') {
            // "__data_loc char[] name" has them in the middle.
            Some(at) if declaration.ends_with(']') => declaration.split_at(at),
            _ => (declaration, ""),
        };
        let name = base.rsplit([' ', '*']).next()?.to_owned();
        let type_name = base.strip_suffix(&name)?.trim();
        let is_char = type_name.ends_with("char");
        let kind = match size {
            _ if declaration.starts_with("__data_loc") => Kind::Elsewhere,
            _ if !dimension.is_empty() && is_char => Kind::Text,
            _ if type_name == "bool" => Kind::Bool,
            8 if type_name.ends_with('*') || is_address(&name, type_name) => Kind::Address,
            1 | 2 | 4 | 8 if signed => Kind::Signed,
            1 | 2 | 4 | 8 => Kind::Unsigned,
            _ => Kind::Bytes,
        };
        Some(Field {
            name,
            offset,
            size,
            kind,
            names: Vec::new(),
        })
    }

    /// The number at its place in a record; `None` if the record is too short.
    pub fn number(&self, record: &[u8]) -> Option<u64> {
        let bytes = record.get(self.offset..self.offset + self.size)?;
        let mut wide = [0; 8];
        wide.get_mut(..self.size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(wide))
    }

    /// The name of a value.
    pub fn name_of(&self, value: u64) -> Option<&str> {
        let mut names = self.names.iter();
        names
            .find(|(number, _)| *number == value)
            .map(|(_, name)| name.as_str())
    }
}

/// The module's and the kernel's `unsigned long` are pointers where they are named so.
fn is_address(name: &str, type_name: &str) -> bool {
    type_name == "unsigned long"
        && [
            "space",
            "lock",
            "address",
            "ip",
            "func",
            "parent_ip",
            "retaddr",
        ]
        .contains(&name)
}

/// The table of `__print_symbolic(REC->field, { 0, "name" }, ...)`.
fn names_in(print: &str, field: &str) -> Vec<(u64, String)> {
    let call = format!("__print_symbolic(REC->{field},");
    let Some(at) = print.find(&call) else {
        return Vec::new();
    };
    let mut rest = print[at + call.len()..].trim_start();
    let mut names = Vec::new();
    while let Some(inside) = rest.strip_prefix('{') {
        let Some((entry, behind)) = inside.split_once('}') else {
            break;
        };
        if let Some((number, name)) = entry.split_once(',') {
            if let Some(number) = parse_number(number.trim()) {
                names.push((number, name.trim().trim_matches('"').to_owned()));
            }
        }
        rest = behind.trim_start_matches([',', ' ']);
    }
    names
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As the kernel shows it.
    pub(in crate::trace) const ABORTED: &str = "name: faultline_fault_aborted\nID: 701\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
        \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:unsigned long space;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:unsigned long address;\toffset:16;\tsize:8;\tsigned:0;\n\
        \tfield:u64 page;\toffset:24;\tsize:8;\tsigned:0;\n\
        \tfield:bool write;\toffset:32;\tsize:1;\tsigned:0;\n\
        \tfield:u32 cause;\toffset:36;\tsize:4;\tsigned:0;\n\
        \tfield:u64 sequence;\toffset:40;\tsize:8;\tsigned:0;\n\n\
        print fmt: \"space=%p cause=%s\", (void *)REC->space, __print_symbolic(REC->cause, \
        { 0, \"writer_active\" }, { 0x1, \"no_region\" }, { 9, \"no_memory\" }), REC->sequence\n";

    #[test]
    fn fields_and_names_are_found() {
        let format = Format::parse("faultline", ABORTED).unwrap();
        assert_eq!((format.id, format.fields.len()), (701, 10));
        let cause = format.field("cause").unwrap();
        assert_eq!((cause.offset, cause.size), (36, 4));
        assert_eq!(cause.name_of(1), Some("no_region"));
        assert_eq!(cause.name_of(9), Some("no_memory"));
        assert_eq!(cause.name_of(4), None);
        assert_eq!(format.field("space").unwrap().kind, Kind::Address);
        assert_eq!(format.field("write").unwrap().kind, Kind::Bool);
        assert_eq!(format.field("common_pid").unwrap().kind, Kind::Signed);
        assert!(format.field("page").unwrap().names.is_empty());
    }

    #[test]
    fn declarations_of_all_kinds_are_read() {
        let places = ";\toffset:8;\tsize:8;\tsigned:0;";
        for (declaration, name, kind) in [
            ("__data_loc char[] path", "path", Kind::Elsewhere),
            ("char comm[16]", "comm", Kind::Text),
            ("const char *name", "name", Kind::Address),
            ("void * call_site", "call_site", Kind::Address),
            ("unsigned long args[6]", "args", Kind::Unsigned),
            ("u64 start", "start", Kind::Unsigned),
        ] {
            let field = Field::parse(&format!("{declaration}{places}")).unwrap();
            assert_eq!(
                (field.name.as_str(), field.kind),
                (name, kind),
                "{declaration}"
            );
        }
    }

    #[test]
    fn a_short_record_has_no_number() {
        let format = Format::parse("faultline", ABORTED).unwrap();
        assert_eq!(format.field("page").unwrap().number(&[0; 31]), None);
        assert_eq!(
            format.field("page").unwrap().number(&[1; 32]),
            Some(0x0101010101010101)
        );
    }
}
