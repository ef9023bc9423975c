// SPDX-License-Identifier: GPL-2.0-only

//! Bytes that anybody may have chosen, such as the name of a command, in text that
//! others read.

use core::fmt::{self, Write as _};

/// A part of one line: what could end the line, or move a terminal's cursor, is
/// shown byte by byte in octal, as `\012`, and so are a backslash and what is not
/// UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub &'a [u8]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octal = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "\\{byte:03o}"))
        };
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => octal(f, b"\\")?,
                    c if breaks_text(c) => octal(f, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                    c => f.write_char(c)?,
                }
            }
            octal(f, chunk.invalid())?;
        }
        Ok(())
    }
}

/// A JSON string, with its quotes, in one line. What is not UTF-8 becomes U+FFFD.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(pub &'a [u8]);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    // All of these lie below U+10000, so that one unit is enough.
                    c if breaks_text(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_str("\\ufffd")?;
            }
        }
        f.write_char('"')
    }
}

/// Control characters, and what some readers take for the end of a line.
fn breaks_text(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["", "faultline", "a b", "Grüße", "(sd-pam)", "it's"] {
            assert_eq!(Line(name.as_bytes()).to_string(), name);
        }
        assert_eq!(Json(b"a b").to_string(), "\"a b\"");
        assert_eq!(Json("Grüße".as_bytes()).to_string(), "\"Grüße\"");
    }

    #[test]
    fn a_line_stays_one_line() {
        let hostile = "a\nb\r\t\u{1b}[2J\u{85}\u{2028}\\".as_bytes();
        let shown = Line(hostile).to_string();
        assert_eq!(
            shown,
            "a\\012b\\015\\011\\033[2J\\302\\205\\342\\200\\250\\134"
        );
        assert!(!shown.chars().any(breaks_text));
    }

    #[test]
    fn json_strings_cannot_be_ended_from_inside() {
        let shown = Json("\",\"x\":1,\"\\\n\u{85}".as_bytes()).to_string();
        assert_eq!(shown, "\"\\\",\\\"x\\\":1,\\\"\\\\\\u000a\\u0085\"");
    }

    #[test]
    fn what_is_not_utf8_is_marked() {
        // A name is cut off after so many bytes, be it inside a character.
        let cut = &"Grüße".as_bytes()[..3];
        assert_eq!(Line(cut).to_string(), "Gr\\303");
        assert_eq!(Json(cut).to_string(), "\"Gr\\ufffd\"");
    }
}
