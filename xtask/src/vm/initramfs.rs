// SPDX-License-Identifier: GPL-2.0-only
//! The guest's file system: a cpio archive, written without root.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc;

use super::{Spec, Task};
use crate::host::busybox;
use crate::module::{self, Variant};

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

const DIRS: [&str; 13] = [
    "bin",
    "dev",
    "etc",
    "job",
    "lib",
    "lib/faultline",
    "out",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
];

/// Writes the archive for one boot.
pub(crate) fn write(path: &Path, spec: &Spec, init: &Path, shell: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    let mut archive = Archive {
        out: BufWriter::new(file),
        dirs: Vec::new(),
    };
    fill(&mut archive, spec, init, shell).with_context(|| format!("writing {}", path.display()))?;
    newc::trailer(archive.out)?.flush()?;
    Ok(())
}

fn fill(archive: &mut Archive, spec: &Spec, init: &Path, shell: &Path) -> Result<()> {
    for dir in DIRS {
        archive.dir(dir)?;
    }
    archive.host_file("init", init, 0o755)?;
    archive.host_file("bin/busybox", shell, 0o755)?;
    for applet in busybox::applets(shell)?.iter().filter(|a| *a != "busybox") {
        archive.entry(&format!("bin/{applet}"), SYMLINK | 0o777, b"busybox")?;
    }
    archive.entry(
        "etc/passwd",
        REGULAR | 0o644,
        b"root:x:0:0:root:/root:/bin/sh\n",
    )?;
    archive.entry("etc/group", REGULAR | 0o644, b"root:x:0:\n")?;
    for module in &spec.modules {
        archive.host_file(&module.variant.guest_path(), &module.path, 0o644)?;
        if let Some(torture) = &module.torture {
            archive.host_file(module::TORTURE, torture, 0o644)?;
        }
    }
    if let Some(harness) = &spec.harness {
        archive.host_file("bin/faultline", harness, 0o755)?;
    }
    for added in &spec.added {
        let mode = fs::metadata(&added.host)?.permissions().mode() & 0o777;
        archive.host_file(&added.guest, &added.host, mode | 0o111)?;
    }
    archive.entry("job/env", REGULAR | 0o644, environment(spec).as_bytes())?;
    archive.entry("job/cmd", REGULAR | 0o755, command(&spec.task).as_bytes())
}

/// The assignments that the init script reads.
fn environment(spec: &Spec) -> String {
    let (cols, rows) = terminal_size();
    let task = match spec.task {
        Task::Probe => "probe",
        Task::Run { .. } => "run",
        Task::Shell => "shell",
    };
    let module = spec.load.map(|v: Variant| format!("/{}", v.guest_path()));
    let values = [
        ("TASK", task.to_owned()),
        ("MODULE", module.unwrap_or_default()),
        ("PARAMS", spec.params.join(" ")),
        ("KMEMLEAK", u8::from(spec.leak_check).to_string()),
        ("BRING", u8::from(spec.bring).to_string()),
        ("ROWS", rows.to_string()),
        ("COLS", cols.to_string()),
    ];
    let line = |(name, value): (&str, String)| {
        format!(
            "{name}={}\n",
            String::from_utf8_lossy(quoted(value.as_ref()).as_bytes())
        )
    };
    values.into_iter().map(line).collect()
}

/// A script that becomes the command, whatever bytes its arguments have.
fn command(task: &Task) -> OsString {
    let argv = match task {
        Task::Run { argv, .. } => argv.clone(),
        Task::Shell => vec!["sh".into(), "-l".into()],
        Task::Probe => vec!["true".into()],
    };
    let mut script = OsString::from("exec");
    for word in argv {
        script.push(" ");
        script.push(quoted(&word));
    }
    script.push("\n");
    script
}

/// A word in single quotes.
fn quoted(word: &OsStr) -> OsString {
    let mut bytes = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => bytes.extend_from_slice(br"'\''"),
            other => bytes.push(*other),
        }
    }
    bytes.push(b'\'');
    OsString::from_vec(bytes)
}

fn terminal_size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(std::io::stdin()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

/// An archive under construction.
struct Archive {
    out: BufWriter<File>,
    dirs: Vec<String>,
}

impl Archive {
    fn dir(&mut self, name: &str) -> Result<()> {
        self.dirs.push(name.to_owned());
        self.put(name, DIRECTORY | 0o755, b"")
    }

    fn host_file(&mut self, name: &str, host: &Path, mode: u32) -> Result<()> {
        let content = fs::read(host).with_context(|| format!("reading {}", host.display()))?;
        self.entry(name, REGULAR | mode, &content)
    }

    /// Adds an entry and the directories above it.
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let slashes = name.match_indices('/').map(|(at, _)| &name[..at]);
        for above in slashes.collect::<Vec<_>>() {
            if !self.dirs.iter().any(|d| d == above) {
                self.dir(above)?;
            }
        }
        self.put(name, mode, content)
    }

    fn put(&mut self, name: &str, mode: u32, content: &[u8]) -> Result<()> {
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
        let mut entry = newc::Builder::new(name)
            .mode(mode)
            .write(&mut self.out, size);
        entry.write_all(content)?;
        entry.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::tests_support::spec;

    #[test]
    fn arguments_survive_the_shell() {
        let argv = ["sh", "-c", "echo 'a  b' $X"].map(OsString::from).to_vec();
        let script = command(&Task::Run { argv, echo: false });
        assert_eq!(
            script,
            OsString::from("exec 'sh' '-c' 'echo '\\''a  b'\\'' $X'\n")
        );
    }

    #[test]
    fn the_job_names_the_module() {
        let mut spec = spec(Task::Shell);
        spec.load = Some(Variant::Busted);
        let text = environment(&spec);
        assert!(text.contains("TASK='shell'\n"));
        assert!(text.contains("MODULE='/lib/faultline/busted/faultline.ko'\n"));
    }
}
