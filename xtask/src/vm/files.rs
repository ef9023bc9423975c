// SPDX-License-Identifier: GPL-2.0-only
//! What comes back from the guest: an archive of /out, written to a port when the
//! command has ended, and unpacked here.
//!
//! The guest may have died at any byte of it, and may have put anything into it. So
//! only directories and regular files are taken, below one directory, and whatever is
//! missing or left out is said.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use tar::{Archive, Entry, EntryType};

use crate::fsx;

/// An archive ends with so many bytes of zeroes.
const END: u64 = 1024;

/// What came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brought {
    /// The directory that it was unpacked in.
    pub(crate) dir: PathBuf,
    /// All complete files, relative to it, in the order of the archive.
    pub(crate) files: Vec<PathBuf>,
    /// Their sizes' sum.
    pub(crate) bytes: u64,
    /// What is incomplete or was left out.
    pub(crate) problems: Vec<String>,
}

/// Unpacks `archive` in `dir`, which is made anew. An error is one of this host;
/// whatever is wrong with the archive is among the problems.
pub(crate) fn unpack(archive: &Path, dir: &Path) -> Result<Brought> {
    fsx::remove(dir)?;
    fsx::make_dir(dir)?;
    let mut brought = Brought {
        dir: dir.to_owned(),
        ..Brought::default()
    };
    let file = match File::open(archive) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            brought.problems.push("the guest sent none".into());
            return Ok(brought);
        }
        Err(e) => return Err(e).with_context(|| format!("opening {}", archive.display())),
    };
    let length = file.metadata()?.len();
    let mut archive = Archive::new(BufReader::new(file));
    let mut end = 0;
    for entry in archive.entries()? {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                brought
                    .problems
                    .push(format!("the archive breaks off: {e}"));
                return Ok(brought);
            }
        };
        end = entry.raw_file_position() + entry.size().next_multiple_of(512);
        take(&mut entry, length, &mut brought)?;
    }
    if length < end + END {
        brought
            .problems
            .push("the archive breaks off: its end is missing".into());
    }
    Ok(brought)
}

/// Unpacks one entry, if it is one that may be, of an archive of `length` bytes.
fn take<R: Read>(entry: &mut Entry<'_, R>, length: u64, brought: &mut Brought) -> Result<()> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let Some(relative) = entry.path().ok().and_then(|p| below(&p)) else {
        brought
            .problems
            .push(format!("{name} is left out: it leads elsewhere"));
        return Ok(());
    };
    let path = brought.dir.join(&relative);
    match entry.header().entry_type() {
        EntryType::Directory => return fsx::make_dir(&path),
        EntryType::Regular => {}
        EntryType::Link => return link(entry, relative, brought),
        kind => {
            brought.problems.push(format!(
                "{name} is left out: {kind:?}, not a file or directory"
            ));
            return Ok(());
        }
    }
    if let Some(parent) = path.parent() {
        fsx::make_dir(parent)?;
    }
    let have = length.saturating_sub(entry.raw_file_position());
    if have < entry.size() {
        brought.problems.push(format!(
            "{name} is incomplete: {have} of {} bytes came",
            entry.size()
        ));
        return Ok(());
    }
    let mut file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let copied =
        io::copy(entry, &mut file).with_context(|| format!("writing {}", path.display()))?;
    brought.bytes += copied;
    brought.files.push(relative);
    Ok(())
}

/// A second name of a file, which has come before: a copy of it here.
fn link<R: Read>(entry: &Entry<'_, R>, name: PathBuf, brought: &mut Brought) -> Result<()> {
    let first = entry.link_name().ok().flatten().and_then(|p| below(&p));
    match first.filter(|first| brought.files.contains(first)) {
        Some(first) => {
            let (from, to) = (brought.dir.join(first), brought.dir.join(&name));
            let copied = fs::copy(&from, &to);
            brought.bytes += copied.with_context(|| format!("writing {}", to.display()))?;
            brought.files.push(name);
        }
        None => brought.problems.push(format!(
            "{} is left out: what it links to did not come",
            name.display()
        )),
    }
    Ok(())
}

/// A path of names only; `None` for one that may lead out of its directory.
fn below(path: &Path) -> Option<PathBuf> {
    let mut names = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(names)
}

impl Brought {
    /// Copies all files to `to`, which is made if it is not there.
    pub(crate) fn copy_to(&self, to: &Path) -> Result<()> {
        fsx::make_dir(to)?;
        for file in &self.files {
            let target = to.join(file);
            if let Some(parent) = target.parent() {
                fsx::make_dir(parent)?;
            }
            fs::copy(self.dir.join(file), &target)
                .with_context(|| format!("copying {} to {}", file.display(), to.display()))?;
        }
        Ok(())
    }

    /// "3 files, 1234567 bytes".
    pub(crate) fn text(&self) -> String {
        match self.files.len() {
            1 => format!("1 file, {} bytes", self.bytes),
            n => format!("{n} files, {} bytes", self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tar::{Builder, Header};

    /// A directory of its own, gone at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("files-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(name);
            fsx::remove(&dir).unwrap();
            fsx::make_dir(&dir).unwrap();
            Self(dir)
        }

        /// Unpacks these bytes.
        fn unpack(&self, archive: &[u8]) -> Brought {
            let path = self.0.join("a.tar");
            File::create(&path).unwrap().write_all(archive).unwrap();
            unpack(&path, &self.0.join("out")).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fsx::remove(&self.0).ok();
        }
    }

    /// An archive of such entries, whatever their names are.
    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            if matches!(kind, EntryType::Symlink | EntryType::Link) {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn files_come_with_their_directories() {
        let scratch = Scratch::new("whole");
        let bytes = archive(&[
            ("./", EntryType::Directory, b""),
            ("./deep/er/", EntryType::Directory, b""),
            ("./deep/er/a", EntryType::Regular, b"text"),
            ("b", EntryType::Regular, b""),
        ]);
        let brought = scratch.unpack(&bytes);
        assert_eq!(brought.problems, Vec::<String>::new());
        assert_eq!(brought.text(), "2 files, 4 bytes");
        let to = scratch.0.join("to");
        brought.copy_to(&to).unwrap();
        assert_eq!(fs::read(to.join("deep/er/a")).unwrap(), b"text");
        assert_eq!(fs::read(to.join("b")).unwrap(), b"");
    }

    #[test]
    fn nothing_leaves_the_directory() {
        let scratch = Scratch::new("escape");
        let bytes = archive(&[
            ("../stray", EntryType::Regular, b"x"),
            ("/tmp/stray", EntryType::Regular, b"x"),
            ("a/../../stray", EntryType::Regular, b"x"),
            ("link", EntryType::Symlink, b""),
            ("fifo", EntryType::Fifo, b""),
            ("hard", EntryType::Link, b""),
            ("kept", EntryType::Regular, b"x"),
        ]);
        let brought = scratch.unpack(&bytes);
        assert_eq!(brought.files, [PathBuf::from("kept")]);
        assert_eq!(brought.problems.len(), 6, "{:?}", brought.problems);
        assert_eq!(
            fs::read_dir(&scratch.0).unwrap().count(),
            2,
            "archive and out"
        );
        assert_eq!(fs::read_dir(scratch.0.join("out")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_two_names_comes_twice() {
        let scratch = Scratch::new("twice");
        fs::write(scratch.0.join("one"), "text").unwrap();
        let mut builder = Builder::new(Vec::new());
        builder
            .append_path_with_name(scratch.0.join("one"), "./one")
            .unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Link);
        header.set_size(0);
        builder.append_link(&mut header, "./two", "./one").unwrap();
        let brought = scratch.unpack(&builder.into_inner().unwrap());
        assert!(brought.problems.is_empty(), "{:?}", brought.problems);
        assert_eq!(brought.text(), "2 files, 8 bytes");
        assert_eq!(fs::read(scratch.0.join("out/two")).unwrap(), b"text");
    }

    #[test]
    fn what_breaks_off_is_said() {
        let scratch = Scratch::new("broken");
        let whole = archive(&[
            ("first", EntryType::Regular, &[1; 512]),
            ("second", EntryType::Regular, &[2; 1000]),
        ]);
        for (length, files, problem) in [
            (0, 0, "its end is missing"),
            (300, 0, "breaks off"),
            (1024, 1, "its end is missing"),
            (1024 + 512 + 100, 1, "second is incomplete: 100 of 1000"),
            (whole.len() - 600, 2, "breaks off"),
        ] {
            let brought = scratch.unpack(&whole[..length]);
            assert_eq!(brought.files.len(), files, "{length}: {brought:?}");
            let said = brought.problems.join("; ");
            assert!(said.contains(problem), "{length}: {said}");
        }
        assert!(scratch.unpack(&whole).problems.is_empty());
    }

    #[test]
    fn no_archive_is_said() {
        let scratch = Scratch::new("none");
        let brought = unpack(&scratch.0.join("absent"), &scratch.0.join("out")).unwrap();
        assert_eq!(brought.problems, ["the guest sent none"]);
    }
}
