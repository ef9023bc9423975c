// SPDX-License-Identifier: GPL-2.0-only
//! Running a command with events on.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::drain::{Drain, Pages};
use super::options::Record;
use super::select::{self, Name};
use super::stats::BufferStats;
use super::tracefs::{self, Instance};
use super::write::{self, Header, OPTION_CLOCK, OPTION_CPUSTAT, OPTION_UNAME, OPTION_VERSION};

/// Status of a process that a signal told to end.
const INTERRUPTED: u8 = 130;
/// How often the command and the signals are looked at.
const POLL: Duration = Duration::from_millis(5);

/// Records the command. Returns its status.
pub fn run(options: &Record) -> Result<u8> {
    let stop = catch_signals()?;
    let instance = Instance::new()?;
    let there = instance.events()?;
    let events = select::select(&there, &options.events)?;
    instance.set_clock(&options.clock)?;
    instance.set("buffer_size_kb", &(options.buffer >> 10).to_string())?;
    for option in &options.filters {
        let (filtered, expression) = select::filter(&there, option)?;
        for event in &filtered {
            instance.filter(event, expression)?;
        }
    }
    let mut header = header(&instance, &events, options)?;
    let cpus = instance.cpus()?;
    // Nothing else runs yet, readers neither: see `Instance`. The kernel does not change a
    // tracer while somebody reads, either.
    if options.function_graph {
        instance.trace_functions()?;
    }
    instance.switch(&events, true)?;
    let drain = Drain::start(&instance, &cpus, header.page_size as usize, &options.out)?;
    eprintln!(
        "faultline trace: {} kinds of events, clock {}, {} KiB of buffer for each of {} processors",
        events.len(),
        options.clock,
        options.buffer >> 10,
        cpus.len()
    );
    let ended = command(options).and_then(|child| wait(child, &stop));
    instance.set("tracing_on", "0")?;
    let pages = drain.finish()?;
    // Whoever takes the tracer away takes the statistics, too.
    let buffers = finish(&instance, &mut header, &cpus)?;
    // And now nothing else runs any more.
    instance.switch(&events, false)?;
    if options.function_graph {
        instance.stop_functions()?;
    }
    let code = ended?;
    instance.remove()?;
    write::write(&options.out, &header, &pages)?;
    say_what_came(&options.out, &pages, &buffers);
    Ok(code)
}

/// A flag that SIGINT and the like set. The command gets a signal of the terminal, too.
fn catch_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("catching signals")?;
    }
    Ok(stop)
}

fn command(options: &Record) -> Result<Child> {
    let (program, arguments) = options
        .command
        .split_first()
        .context("there is no command")?;
    Command::new(program)
        .args(arguments)
        .spawn()
        .with_context(|| format!("starting {}", program.to_string_lossy()))
}

/// Waits for the command, which is killed when a signal comes.
fn wait(mut child: Child, stop: &AtomicBool) -> Result<u8> {
    loop {
        if let Some(status) = child.try_wait().context("waiting for the command")? {
            return Ok(code_of(status));
        }
        if stop.load(Ordering::Relaxed) {
            // Fails only if it has ended.
            let _ = child.kill();
            child.wait().context("waiting for the command")?;
            return Ok(INTERRUPTED);
        }
        std::thread::sleep(POLL);
    }
}

/// As a shell has it.
fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
}

/// What is known before the command runs: it may take the module out.
fn header(instance: &Instance, events: &[Name], options: &Record) -> Result<Header> {
    let page_kb: u32 = match instance.read("buffer_subbuf_size_kb") {
        Ok(text) => text.trim().parse().context("buffer_subbuf_size_kb")?,
        Err(_) => 4,
    };
    let bytes = |file: &str| instance.read(file).map(String::into_bytes);
    // Numbers of options and formats of all that may be in a buffer.
    let mut systems: Vec<String> = events.iter().map(|event| event.system.clone()).collect();
    systems.dedup();
    let systems = systems.into_iter().map(|system| {
        let formats = formats(instance, &system)?;
        Ok((system, formats))
    });
    let symbols = symbols(options.function_graph);
    let clock = text(instance.read("trace_clock")?);
    Ok(Header {
        page_size: page_kb << 10,
        header_page: bytes("events/header_page")
            .unwrap_or_else(|_| tracefs::shared("events/header_page")),
        header_event: bytes("events/header_event")
            .unwrap_or_else(|_| tracefs::shared("events/header_event")),
        ftrace: shared_formats(),
        systems: systems.collect::<Result<_>>()?,
        symbols,
        printk: tracefs::shared("printk_formats"),
        cmdlines: Vec::new(),
        clock: clock.clone(),
        options: vec![
            (OPTION_CLOCK, clock),
            (OPTION_UNAME, text(uname())),
            (OPTION_VERSION, text(description(events, options))),
        ],
    })
}

fn formats(instance: &Instance, system: &str) -> Result<Vec<Vec<u8>>> {
    let events = tracefs::directories(&instance.path("events").join(system))?;
    let format = |event: &String| instance.read(&format!("events/{system}/{event}/format"));
    events
        .iter()
        .map(|event| format(event).map(String::into_bytes))
        .collect()
}

/// Those of ftrace's own events, which no instance has.
fn shared_formats() -> Vec<Vec<u8>> {
    let dir = Path::new("/sys/kernel/tracing/events/ftrace");
    let events = tracefs::directories(dir).unwrap_or_default();
    let format = |event: String| tracefs::read(&dir.join(event).join("format")).ok();
    let formats = events.into_iter().filter_map(format);
    formats.map(String::into_bytes).collect()
}

/// Functions by their addresses: the module's, or all if functions are traced.
fn symbols(all: bool) -> Vec<u8> {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let wanted = |line: &&str| all || line.ends_with("[faultline]");
    let mut text = String::new();
    for line in symbols.lines().filter(wanted) {
        text.push_str(line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Text as options have it: with a zero at its end.
fn text(text: impl Into<String>) -> Vec<u8> {
    let mut bytes = text.into().into_bytes();
    bytes.push(0);
    bytes
}

fn uname() -> String {
    let read = |file: &str| {
        let text = std::fs::read_to_string(Path::new("/proc/sys/kernel").join(file));
        text.unwrap_or_default().trim().to_owned()
    };
    format!(
        "{} {} {}",
        read("ostype"),
        read("osrelease"),
        read("version")
    )
}

/// Lines that [`report`](super::report) reads again.
fn description(events: &[Name], options: &Record) -> String {
    let words = options.command.iter().map(|word| word.to_string_lossy());
    let command = words.collect::<Vec<_>>().join(" ");
    let names: Vec<String> = events.iter().map(Name::text).collect();
    let mut text = format!("faultline {}\n", env!("CARGO_PKG_VERSION"));
    let _ = writeln!(text, "command: {}", command.replace('\n', " "));
    let _ = writeln!(text, "events: {}", names.join(","));
    let _ = writeln!(text, "buffer: {}", options.buffer);
    if !options.filters.is_empty() {
        let _ = writeln!(text, "filters: {}", options.filters.join("; "));
    }
    text
}

/// What is known when all has been read.
fn finish(instance: &Instance, header: &mut Header, cpus: &[usize]) -> Result<Vec<BufferStats>> {
    let mut buffers = Vec::new();
    for cpu in cpus {
        let stats = instance.read(&format!("per_cpu/cpu{cpu}/stats"))?;
        buffers.push(BufferStats::parse(*cpu, &stats));
        let option = text(format!("CPU: {cpu}\n{stats}"));
        header.options.push((OPTION_CPUSTAT, option));
    }
    header.cmdlines = tracefs::shared("saved_cmdlines");
    Ok(buffers)
}

fn say_what_came(out: &Path, pages: &[Pages], buffers: &[BufferStats]) {
    let bytes: u64 = pages.iter().map(|cpu| cpu.bytes).sum();
    let read: u64 = buffers.iter().map(|buffer| buffer.read).sum();
    let lost: u64 = buffers.iter().map(BufferStats::lost).sum();
    let losses = match lost {
        0 => "none lost".to_owned(),
        lost => format!("{lost} LOST: take a larger --buffer, or fewer --events"),
    };
    eprintln!(
        "faultline trace: {read} events in {} KiB, {losses}; they are in {}",
        bytes >> 10,
        out.display()
    );
}
