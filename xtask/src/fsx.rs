// SPDX-License-Identifier: GPL-2.0-only
//! Files that appear whole or not at all, and fingerprints of files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

/// Makes a directory and its parents.
pub(crate) fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

/// Removes a file or a tree; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let done = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match done {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads a text file, naming it in the error.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Writes a file under a temporary name and renames it into place.
pub(crate) fn write_atomic(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let staged = sibling(path);
    fs::write(&staged, content).with_context(|| format!("writing {}", staged.display()))?;
    rename(&staged, path)
}

/// Moves a finished file or tree to its final name.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("renaming {} to {}", from.display(), to.display()))
}

/// A directory to fill beside `path`, empty, to be renamed to it when complete.
pub(crate) fn staging_dir(path: &Path) -> Result<PathBuf> {
    let staged = sibling(path);
    remove(&staged)?;
    make_dir(&staged)?;
    Ok(staged)
}

fn sibling(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    path.with_file_name(name)
}

/// Reads a JSON record; `None` when it is absent or not of this shape (an
/// older version wrote it, say), which callers treat as "not built yet".
pub(crate) fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a JSON record atomically.
pub(crate) fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    write_atomic(path, text)
}

/// All regular files below `dir`, relative to it and sorted; hidden ones and
/// directories named `target` are left out.
pub(crate) fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(relative) = todo.pop() {
        let here = dir.join(&relative);
        for entry in fs::read_dir(&here).with_context(|| format!("listing {}", here.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") || name == "target" {
                continue;
            }
            let path = relative.join(&name);
            match entry.file_type()? {
                t if t.is_dir() => todo.push(path),
                t if t.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A key built from labelled parts, so that two lists of parts that merely
/// concatenate to the same bytes have different keys.
#[derive(Default)]
pub(crate) struct Key(Sha256);

impl Key {
    /// Adds one part.
    pub(crate) fn part(mut self, label: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.0.update(format!("{label}:{}:", bytes.len()));
        self.0.update(bytes);
        self
    }

    /// Adds a file's content.
    pub(crate) fn file(self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(self.part("file", bytes))
    }

    /// Adds every file below `dir`, with its name.
    pub(crate) fn tree(mut self, dir: &Path) -> Result<Self> {
        for path in walk(dir)? {
            self = self.part("name", path.as_os_str().as_encoded_bytes());
            self = self.file(&dir.join(path))?;
        }
        Ok(self)
    }

    /// 16 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        let digest = self.0.finalize();
        digest[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_depends_on_where_parts_end() {
        let joined = Key::default().part("a", "xy").part("a", "z").finish();
        let split = Key::default().part("a", "x").part("a", "yz").finish();
        assert_ne!(joined, split);
        assert_eq!(joined.len(), 16);
    }

    #[test]
    fn a_record_of_another_shape_is_absent() {
        let dir = std::env::temp_dir().join(format!("fsx-{}", std::process::id()));
        make_dir(&dir).unwrap();
        let path = dir.join("record.json");
        save(&path, &"text").unwrap();
        assert_eq!(load::<String>(&path).as_deref(), Some("text"));
        assert!(load::<Vec<u32>>(&path).is_none());
        assert!(load::<String>(&dir.join("missing")).is_none());
        remove(&dir).unwrap();
    }
}
