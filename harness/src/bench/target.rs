// SPDX-License-Identifier: GPL-2.0-only
//! What work can be measured on, by name: a space under each policy, and the kernel's
//! own kinds of memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::memory::{Arena, On, Show, unnamed_file};
use super::record;
use crate::Policy;

/// Memory to work on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A space under this policy.
    Space(Policy),
    /// Private anonymous memory.
    Anon,
    /// Shared anonymous memory.
    SharedAnon,
    /// A memfd, mapped shared.
    Memfd,
    /// A file without a name, mapped shared.
    File,
}

impl Subject {
    /// All there are: the policies of the interface, then the kernel's own memory.
    pub(crate) fn all() -> impl Iterator<Item = Subject> {
        let kernel = [
            Subject::Anon,
            Subject::SharedAnon,
            Subject::Memfd,
            Subject::File,
        ];
        Policy::all().map(Subject::Space).chain(kernel)
    }

    /// The one of this name.
    pub(crate) fn named(name: &str) -> Option<Subject> {
        Subject::all().find(|subject| subject.name() == name)
    }

    /// As it is typed and printed.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Space(policy) => policy.name(),
            Subject::Anon => "anon",
            Subject::SharedAnon => "shared-anon",
            Subject::Memfd => "memfd",
            Subject::File => "file",
        }
    }

    /// Whether it is a space.
    pub(crate) fn is_space(self) -> bool {
        matches!(self, Subject::Space(_))
    }

    /// Whether unmapped pages are kept, so that a later touch is not their first.
    pub(crate) fn keeps_pages(self) -> bool {
        matches!(self, Subject::Memfd | Subject::File)
    }

    /// A sentence for people; `dir` is where the file is.
    pub(crate) fn about(self, dir: &Path) -> String {
        match self {
            Subject::Space(policy) => {
                format!("a space of /dev/faultline under the policy {policy}, in one window")
            }
            Subject::Anon => "private anonymous memory of the kernel, mmap(2)".to_owned(),
            Subject::SharedAnon => "shared anonymous memory of the kernel, mmap(2)".to_owned(),
            Subject::Memfd => "a memfd mapped shared: it keeps pages that are unmapped".to_owned(),
            Subject::File => format!(
                "a file on {} in {} mapped shared: it keeps pages that are unmapped",
                file_system(dir),
                dir.display()
            ),
        }
    }

    /// As it stands in the records.
    pub(crate) fn record(self, dir: &Path) -> record::Target {
        record::Target {
            name: self.name().to_owned(),
            about: self.about(dir),
            kernel: !self.is_space(),
        }
    }

    /// An arena of `length` bytes in which pieces of `pages` pages may be touched at a time.
    pub(crate) fn arena(
        self,
        dir: &Path,
        length: u64,
        pages: u64,
        show: Show,
    ) -> io::Result<Arena> {
        match self {
            Subject::Space(policy) => Arena::shown(On::Space(policy), length, pages, show),
            Subject::Anon => Arena::new(On::Linux, length, pages),
            Subject::SharedAnon => Ok(Arena::SharedAnonymous),
            Subject::Memfd => Arena::new(On::Memfd, length, pages),
            Subject::File => {
                let file = file_without_name(dir)?;
                file.set_len(length)?;
                Ok(Arena::File(file.into()))
            }
        }
    }
}

/// Also where the file system cannot make it without one.
fn file_without_name(dir: &Path) -> io::Result<File> {
    let explain = |error: io::Error| {
        let text = format!("a file in {}: {error}", dir.display());
        io::Error::new(error.kind(), text)
    };
    match unnamed_file(dir) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
        result => return result.map_err(explain),
    }
    let path = dir.join(format!(".faultline-bench-{}", std::process::id()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).open(&path);
    let file = file.map_err(explain)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// The type of the file system that a path is on, as the kernel lists it.
fn file_system(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    file_system_in(&mounts, &path).unwrap_or_else(|| "an unknown file system".to_owned())
}

/// The last of the longest mount points above `path`: it hides those before.
fn file_system_in(mounts: &str, path: &Path) -> Option<String> {
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    above
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_are_all_different() {
        let all: Vec<_> = Subject::all().collect();
        assert_eq!(all.len(), 9);
        for subject in all {
            assert_eq!(Subject::named(subject.name()), Some(subject));
        }
        assert_eq!(Subject::named("linux"), None);
    }

    #[test]
    fn a_file_system_is_that_of_the_nearest_mount() {
        let mounts = "none / rootfs rw 0 0\n/dev/vda / ext4 rw 0 0\ntmp /tmp tmpfs rw 0 0\n";
        let kind = |path| file_system_in(mounts, Path::new(path));
        assert_eq!(kind("/home").as_deref(), Some("ext4"));
        assert_eq!(kind("/tmp/a").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/tmpa").as_deref(), Some("ext4"));
    }

    #[test]
    fn a_file_can_be_worked_on_and_leaves_nothing() {
        let dir = std::env::temp_dir().join(format!("faultline-target-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let arena = Subject::File.arena(&dir, 8192, 2, Show::Whole).unwrap();
        let piece = arena.map(4096, 4096).unwrap();
        piece.touch();
        arena.unmap(piece).unwrap();
        fs::remove_dir(&dir).expect("an empty directory");
    }
}
