// SPDX-License-Identifier: GPL-2.0-only
//! Kernel configurations: fragments, and whether a resolved configuration
//! still says what they asked for.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// Option name to value; "n" stands for "is not set".
pub(crate) type Options = BTreeMap<String, String>;

/// Reads a fragment or a `.config`; anything but options, comments and blank
/// lines is an error, since Kconfig would ignore it silently.
pub(crate) fn parse(text: &str) -> Result<Options> {
    let mut options = Options::new();
    for (number, line) in text.lines().enumerate() {
        match parse_line(line) {
            Line::Option(name, value) => {
                options.insert(name.into(), value.into());
            }
            Line::Nothing => {}
            Line::Malformed => bail!("line {}: not an option: {line}", number + 1),
        }
    }
    Ok(options)
}

enum Line<'a> {
    Option(&'a str, &'a str),
    Nothing,
    Malformed,
}

fn parse_line(line: &str) -> Line<'_> {
    let line = line.trim_end();
    let unset = line
        .strip_prefix("# ")
        .and_then(|l| l.strip_suffix(" is not set"));
    if let Some(name) = unset.filter(|n| is_name(n)) {
        return Line::Option(name, "n");
    }
    match line.split_once('=') {
        _ if line.is_empty() || line.starts_with('#') => Line::Nothing,
        Some((name, value)) if is_name(name) && !value.is_empty() => Line::Option(name, value),
        _ => Line::Malformed,
    }
}

fn is_name(text: &str) -> bool {
    text.strip_prefix("CONFIG_")
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

/// What was asked for and is not so, one line each. An option that Kconfig
/// left out altogether counts as "n".
pub(crate) fn dropped(wanted: &Options, resolved: &Options) -> Vec<String> {
    let value = |name: &str| resolved.get(name).map_or("n", String::as_str);
    wanted
        .iter()
        .filter(|(name, want)| value(name) != want.as_str())
        .map(|(name, want)| format!("{name}: asked for {want}, got {}", value(name)))
        .collect()
}

/// Whether an option is built in.
pub(crate) fn is_on(options: &Options, name: &str) -> bool {
    options.get(name).is_some_and(|v| v == "y")
}

/// A string option without its quotes.
pub(crate) fn text<'a>(options: &'a Options, name: &str) -> Option<&'a str> {
    options.get(name).map(|v| v.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_read() {
        let options =
            parse("# a comment\n\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"x y\"\n").unwrap();
        assert_eq!(options["CONFIG_A"], "y");
        assert_eq!(options["CONFIG_B"], "n");
        assert_eq!(text(&options, "CONFIG_C"), Some("x y"));
    }

    #[test]
    fn a_line_kconfig_would_ignore_is_an_error() {
        assert!(parse("CONFIG_A = y\n").is_err());
        assert!(parse("RUST=y\n").is_err());
        assert!(parse("CONFIG_A=\n").is_err());
    }

    #[test]
    fn a_later_fragment_wins() {
        let options = parse("CONFIG_A=y\n# CONFIG_A is not set\n").unwrap();
        assert_eq!(options["CONFIG_A"], "n");
    }

    #[test]
    fn every_difference_is_listed() {
        let wanted = parse(
            "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_N=64\nCONFIG_D=y\n# CONFIG_E is not set\n",
        )
        .unwrap();
        let resolved = parse("CONFIG_B=y\nCONFIG_N=8\nCONFIG_D=y\n").unwrap();
        assert_eq!(
            dropped(&wanted, &resolved),
            [
                "CONFIG_A: asked for y, got n",
                "CONFIG_B: asked for n, got y",
                "CONFIG_N: asked for 64, got 8"
            ]
        );
    }
}
