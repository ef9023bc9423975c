// SPDX-License-Identifier: GPL-2.0-only
//! Arguments of the plugin: `out=FILE,memory=BYTES,map=FILE`.

use std::path::PathBuf;

/// What it was loaded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// File that the results go to, as JSON Lines.
    pub out: PathBuf,
    /// Physical addresses go up to this many bytes.
    pub memory: u64,
    /// The kernel's `System.map`.
    pub map: PathBuf,
}

impl Options {
    /// Reads them; the error says what is wrong.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<Options, String> {
        let (mut out, mut memory, mut map) = (None, None, None);
        for argument in arguments {
            match argument.split_once('=') {
                Some(("out", path)) if !path.is_empty() => out = Some(PathBuf::from(path)),
                Some(("map", path)) if !path.is_empty() => map = Some(PathBuf::from(path)),
                Some(("memory", bytes)) => {
                    let number = bytes.parse().ok().filter(|&bytes| bytes > 0);
                    let number =
                        number.ok_or_else(|| format!("memory={bytes}: not a size in bytes"))?;
                    memory = Some(number);
                }
                _ => {
                    return Err(format!(
                        "{argument}: unknown; there are out=FILE, memory=BYTES and map=FILE"
                    ));
                }
            }
        }
        Ok(Options {
            out: out.ok_or("out=FILE is missing")?,
            memory: memory.ok_or("memory=BYTES is missing")?,
            map: map.ok_or("map=FILE is missing")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_needed_and_no_others_are_taken() {
        let good = Options::parse(["out=/a=b", "memory=4096", "map=/m"]).unwrap();
        assert_eq!((good.out, good.memory), ("/a=b".into(), 4096));
        for bad in [
            &["out=/a"][..],
            &["memory=1"],
            &["out=/a", "memory=x", "map=/m"],
            &["out=/a", "memory=0", "map=/m"],
            &["out=/a", "memory=1"],
            &["out=/a", "memory=1", "map=/m", "verbose"],
        ] {
            assert!(Options::parse(bad.iter().copied()).is_err(), "{bad:?}");
        }
    }
}
