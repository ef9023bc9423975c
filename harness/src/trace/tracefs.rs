// SPDX-License-Identifier: GPL-2.0-only
//! A tracefs instance of one's own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::Usage;
use super::select::Name;

/// Where tracefs is mounted.
const ROOT: &str = "/sys/kernel/tracing";
/// The tracer that `--function-graph` takes.
const GRAPH: &str = "function_graph";

/// Functions on the way of a fault and of a change. Of the module only those in C can be
/// traced: there is no call of the tracer in what rustc makes.
const FUNCTIONS: [&str; 12] = [
    ":mod:faultline",
    "handle_mm_fault",
    "__do_fault",
    "do_page_mkwrite",
    "vmf_insert_page_mkwrite",
    "filemap_fault",
    "shmem_fault",
    "unmap_mapping_pages",
    "unmap_mapping_range",
    "down_read_killable",
    "down_write_killable",
    "schedule",
];

/// An instance: ring buffers and switches that nobody else has. Removed when it is
/// dropped, with all that it has switched on.
///
/// Switching an event changes code. QEMU's emulation may lose a change of code that
/// another processor is about to run (ARCHITECTURE, "The VM"): so it is done while
/// nothing else runs, before the command has begun and after it has ended.
pub struct Instance {
    dir: PathBuf,
}

impl Instance {
    /// A new one.
    pub fn new() -> Result<Instance> {
        let name = format!("instances/faultline-{}", std::process::id());
        let dir = Path::new(ROOT).join(name);
        fs::create_dir(&dir).with_context(|| {
            format!("making {}: is tracefs mounted, and may you?", dir.display())
        })?;
        Ok(Instance { dir })
    }

    /// A file of the instance.
    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    /// Reads a file of the instance.
    pub fn read(&self, file: &str) -> Result<String> {
        read(&self.path(file))
    }

    /// Writes a file of the instance.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        let path = self.path(file);
        fs::write(&path, value).with_context(|| format!("writing {value:?} to {}", path.display()))
    }

    /// Takes a clock for the time stamps.
    pub fn set_clock(&self, clock: &str) -> Result<()> {
        let there = self.read("trace_clock")?;
        let there = there.replace(['[', ']'], "");
        if !there.split_whitespace().any(|name| name == clock) {
            bail!(Usage(format!(
                "--clock {clock}: there is none; the kernel has {}",
                there.trim()
            )));
        }
        self.set("trace_clock", clock)
    }

    /// All events that there are, but ftrace's own.
    pub fn events(&self) -> Result<Vec<Name>> {
        let mut names = Vec::new();
        for system in directories(&self.path("events"))? {
            if system == "ftrace" {
                continue;
            }
            for event in directories(&self.path("events").join(&system))? {
                names.push(Name {
                    system: system.clone(),
                    event,
                });
            }
        }
        names.sort();
        Ok(names)
    }

    /// Switches events on or off.
    pub fn switch(&self, events: &[Name], on: bool) -> Result<()> {
        for event in events {
            self.set(&file_of(event, "enable"), if on { "1" } else { "0" })?;
        }
        Ok(())
    }

    /// Sets a filter. The kernel says what is wrong with one in the file of the filter.
    pub fn filter(&self, event: &Name, expression: &str) -> Result<()> {
        let file = file_of(event, "filter");
        let Err(error) = fs::write(self.path(&file), expression) else {
            return Ok(());
        };
        // It has the expression, and below it a caret and the reason.
        let said = self.read(&file).unwrap_or_default();
        let said = match said.trim() {
            "" | "none" => error.to_string(),
            _ => indent(&said),
        };
        let fields = fields(&self.read(&file_of(event, "format"))?).join(", ");
        bail!(Usage(format!(
            "the kernel does not take the filter of {}:\n{said}\n  its fields are {fields}",
            event.text()
        )))
    }

    /// Traces functions on the way of a fault, if the kernel can.
    pub fn trace_functions(&self) -> Result<()> {
        let tracers = self.read("available_tracers")?;
        if !tracers.split_whitespace().any(|tracer| tracer == GRAPH) {
            bail!(Usage(format!(
                "--function-graph: this kernel cannot (it has the tracers {}); build one with \
                 CONFIG_FUNCTION_GRAPH_TRACER and CONFIG_DYNAMIC_FTRACE",
                tracers.trim()
            )));
        }
        // An instance has no set_graph_function: what is called is chosen by name, too.
        // A line of its own each, or the kernel takes the command for a name.
        let chosen = FUNCTIONS.iter().filter(|name| {
            let mut file = OpenOptions::new();
            let file = file.append(true).open(self.path("set_ftrace_filter"));
            file.and_then(|mut file| writeln!(file, "{name}")).is_ok()
        });
        if chosen.count() == 0 {
            bail!("the kernel can trace none of {}", FUNCTIONS.join(", "));
        }
        self.set("current_tracer", GRAPH)
    }

    /// Takes the tracer away again.
    pub fn stop_functions(&self) -> Result<()> {
        self.set("current_tracer", "nop")
    }

    /// The numbers of the processors that have a buffer.
    pub fn cpus(&self) -> Result<Vec<usize>> {
        let names = directories(&self.path("per_cpu"))?;
        let number = |name: &String| name.strip_prefix("cpu")?.parse().ok();
        let mut cpus: Vec<usize> = names.iter().filter_map(number).collect();
        cpus.sort_unstable();
        Ok(cpus)
    }

    /// Removes it. Fails while somebody else uses it.
    pub fn remove(self) -> Result<()> {
        fs::remove_dir(&self.dir).with_context(|| format!("removing {}", self.dir.display()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nothing is left to be done about one that somebody looks at.
        let _ = fs::remove_dir(&self.dir);
    }
}

/// A file outside of instances, such as `saved_cmdlines`; empty if there is none.
pub fn shared(file: &str) -> Vec<u8> {
    read_bytes(&Path::new(ROOT).join(file)).unwrap_or_default()
}

fn file_of(event: &Name, file: &str) -> String {
    format!("events/{}/{}/{file}", event.system, event.event)
}

/// Reads a text file, naming it in the error.
pub fn read(path: &Path) -> Result<String> {
    let bytes = read_bytes(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// With a large buffer: `header_page` has no more to say in a second read.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    let mut bytes = Vec::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The names of the directories in one, sorted.
pub fn directories(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", dir.display()))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn indent(text: &str) -> String {
    let lines = text.trim_end().lines().map(|line| format!("  {line}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of an event's own fields.
fn fields(format: &str) -> Vec<String> {
    let parsed = super::format::Format::parse("", format);
    let all = parsed.map(|format| format.fields).unwrap_or_default();
    let own = all.into_iter().map(|field| field.name);
    own.filter(|name| !name.starts_with("common_")).collect()
}
