// SPDX-License-Identifier: GPL-2.0-only
//! `faultline top` and `faultline maps`, as they are called.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use serde_json::Value;

use crate::selftest::check::{Outcome, Stop, ensure, ensure_eq};
use crate::selftest::runner::{Needs, Test, tests};
use crate::selftest::state::{AMPLE, Arena, Live, regions};
use crate::selftest::sys::kmodule;
use crate::{EXIT_FAIL, EXIT_SKIP, EXIT_USAGE, Policy, Prot};

pub(super) const TESTS: &[Test] = tests![Needs::Module, "view":
    maps_verb_shows_regions,
    maps_verb_says_what_is_missing,
    top_verb_shows_rates,
    top_verb_leaves_the_terminal_as_it_was,
    verbs_are_for_root,
];

pub(super) const WITH_UNLOADING: &[Test] = tests![Needs::Unloading, "view":
    verbs_say_that_the_module_is_not_loaded,
];

/// This very binary.
fn faultline(arguments: &[&str]) -> Result<Command, Stop> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it prints; it must succeed and not complain.
fn printed(arguments: &[&str]) -> Result<String, Stop> {
    Live::required()?;
    let output = faultline(arguments)?.output()?;
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    ensure!(
        status.success() && stderr.is_empty(),
        "{arguments:?}: {status}, {}",
        text(&stderr)
    );
    Ok(text(&stdout))
}

/// It must fail with `status`, print nothing, and complain of `what`.
fn complains(command: &mut Command, status: u8, what: &str) -> Outcome {
    let output = command.output()?;
    let message = text(&output.stderr);
    ensure_eq!(
        output.status.code(),
        Some(status.into()),
        "status: {message}"
    );
    ensure_eq!(text(&output.stdout), "", "output");
    ensure!(message.contains(what), "no word of \"{what}\": {message}");
    Ok(())
}

fn json(text: &str) -> Result<Vec<Value>, Stop> {
    let parse = |line| serde_json::from_str(line);
    let values: Result<Vec<Value>, _> = text.lines().map(parse).collect();
    values.map_err(|error| Stop::fail(format!("{error}: {text}")))
}

fn maps_verb_shows_regions() -> Outcome {
    let arena = Arena::new(8, Prot::READ_WRITE)?;
    arena.protect(2, 3, Prot::READ)?;
    let expected = regions(&arena.space)?;
    let pid = process::id().to_string();
    let shown = printed(&["maps", &pid])?;
    ensure_eq!(
        shown.lines().count(),
        expected.len() + 1,
        "lines of {shown}"
    );
    let everything = printed(&["maps"])?;
    ensure!(
        everything.contains(&shown),
        "{shown} is not in {everything}"
    );
    let spaces = json(&printed(&["maps", "--json", &pid])?)?;
    ensure_eq!(spaces.len(), 1, "spaces");
    let seen = spaces[0]["regions"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    ensure_eq!(seen.len(), expected.len(), "regions in {seen:?}");
    for (seen, expected) in seen.iter().zip(expected) {
        let numbers = ["start", "end", "offset", "generation"].map(|name| seen[name].as_u64());
        let Some([start, end, offset, generation]) = all(numbers) else {
            return Err(Stop::fail(format!("numbers of {seen}")));
        };
        ensure_eq!((start, end), (expected.start, expected.end), "range");
        ensure_eq!(
            (offset, generation),
            (expected.offset, expected.generation),
            "offset and generation"
        );
    }
    Ok(())
}

fn all(numbers: [Option<u64>; 4]) -> Option<[u64; 4]> {
    let numbers: Option<Vec<u64>> = numbers.into_iter().collect();
    numbers?.try_into().ok()
}

fn maps_verb_says_what_is_missing() -> Outcome {
    Live::required()?;
    let _arena = Arena::new(1, Prot::READ)?;
    let init = &mut faultline(&["maps", "1"])?;
    complains(init, EXIT_FAIL, "process 1 has opened none")?;
    let nobody = &mut faultline(&["maps", "4194303"])?;
    complains(nobody, EXIT_FAIL, "no process 4194303")?;
    let nonsense = &mut faultline(&["maps", "x"])?;
    complains(nonsense, EXIT_USAGE, "invalid value 'x'")?;
    let nonsense = &mut faultline(&["top", "--interval", "0"])?;
    complains(nonsense, EXIT_USAGE, "0.01 to 86400 seconds")
}

/// Touches pages anew until `watch` has returned.
fn beside_faults<R>(arena: &Arena, watch: impl FnOnce() -> Result<R, Stop>) -> Result<R, Stop> {
    let (done, told) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let toucher = scope.spawn(move || {
            while told.try_recv() == Err(mpsc::TryRecvError::Empty) {
                arena.remap(0, 16, Prot::READ_WRITE)?;
                arena.stamp(0, 16, 1)?;
            }
            Ok::<(), Stop>(())
        });
        let watched = watch();
        drop(done);
        toucher.join().expect("no panic")?;
        watched
    })
}

fn top_verb_shows_rates() -> Outcome {
    let quiet = Arena::new(4, Prot::READ_WRITE)?;
    quiet.space.set_policy(Policy::GLOBAL)?;
    quiet.stamp(0, 4, 1)?;
    let busy = Arena::new(16, Prot::READ_WRITE)?;
    let arguments = ["top", "--interval", "0.3", "--count", "2"];
    let shown = beside_faults(&busy, || printed(&arguments))?;
    ensure!(!shown.contains('\u{1b}'), "escape codes: {shown:?}");
    let pictures: Vec<&str> = shown.split("\n\n").collect();
    ensure_eq!(pictures.len(), 2, "pictures in {shown}");
    ensure!(pictures[1].starts_with("2 spaces, "), "{shown}");
    let arguments = ["top", "--interval", "0.3", "--count", "1", "--json"];
    let pictures = json(&beside_faults(&busy, || printed(&arguments))?)?;
    ensure_eq!(pictures.len(), 1, "pictures");
    let spaces = &pictures[0]["spaces"];
    let rate = |rates: &Value| rates["faults_per_s"].as_f64().unwrap_or(-1.0);
    let faults = |index: usize| rate(&spaces[index]["rates"]);
    ensure_eq!(faults(1), 0.0, "faults/s of the quiet space");
    ensure_eq!(spaces[1]["pages"], 4, "pages of the quiet space");
    ensure_eq!(spaces[1]["policy"], "global", "policy of the quiet space");
    for rate in [faults(0), rate(&pictures[0]["totals"])] {
        let is_high = rate > 16.0;
        ensure!(is_high, "faults/s: {rate} in {}", pictures[0]);
    }
    Ok(())
}

/// Both ends of a terminal.
fn terminal() -> Result<(File, OwnedFd), Stop> {
    let errno = |error: rustix::io::Errno| Stop::skip(format!("no terminals: {error}"));
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).map_err(errno)?;
    grantpt(&ours).map_err(errno)?;
    unlockpt(&ours).map_err(errno)?;
    let name = ptsname(&ours, Vec::new()).map_err(errno)?;
    let name = name.into_string().map_err(|_| Stop::fail("a name"))?;
    let mut options = File::options();
    let theirs = options.read(true).write(true).open(name)?;
    Ok((File::from(ours), theirs.into()))
}

/// Reads on until `wanted` has come; what has come so far.
fn read_until(screen: &mpsc::Receiver<Vec<u8>>, seen: &mut String, wanted: &str) -> Outcome {
    while !seen.contains(wanted) {
        let piece = screen
            .recv_timeout(AMPLE)
            .map_err(|_| Stop::fail(format!("{wanted:?} never came: {seen:?}")))?;
        seen.push_str(&text(&piece));
    }
    Ok(())
}

fn top_verb_leaves_the_terminal_as_it_was() -> Outcome {
    const ENTER: &str = "\u{1b}[?1049h";
    const LEAVE: &str = "\u{1b}[?1049l";
    Live::required()?;
    let _arena = Arena::new(4, Prot::READ_WRITE)?;
    for (key, columns) in [("q", 200), ("\u{3}", 30)] {
        let (mut ours, theirs) = terminal()?;
        let size = |ws_col| Winsize {
            ws_row: 20,
            ws_col,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let errno = |error: rustix::io::Errno| Stop::fail(error.to_string());
        tcsetwinsize(&theirs, size(columns)).map_err(errno)?;
        let modes = || tcgetattr(&theirs).map(|t| format!("{t:?}")).map_err(errno);
        let before = modes()?;
        let end = || theirs.try_clone().map(Stdio::from);
        let mut child = faultline(&["top", "--interval", "0.2"])?
            .env("TERM", "linux")
            .stdin(end()?)
            .stdout(end()?)
            .spawn()?;
        let mut reader = ours.try_clone()?;
        let (send, screen) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                if send.send(piece[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut seen = String::new();
        read_until(&screen, &mut seen, ENTER)?;
        read_until(&screen, &mut seen, "faults/s, ")?;
        ensure!(modes()? != before, "keys wait for the end of a line");
        let has_all = seen.contains("WINDOWS");
        ensure_eq!(has_all, columns == 200, "all columns in {seen:?}");
        ours.write_all(key.as_bytes())?;
        let status = child.wait()?;
        ensure!(status.success(), "{status} after {key:?}");
        read_until(&screen, &mut seen, LEAVE)?;
        ensure_eq!(modes()?, before, "modes of the terminal");
    }
    Ok(())
}

fn verbs_are_for_root() -> Outcome {
    Live::required()?;
    for verb in ["top", "maps"] {
        complains(faultline(&[verb])?.uid(65534), EXIT_FAIL, "only root")?;
    }
    Ok(())
}

fn verbs_say_that_the_module_is_not_loaded() -> Outcome {
    kmodule::unload().map_err(|error| Stop::fail(format!("rmmod: {error}")))?;
    for verb in ["top", "maps"] {
        complains(&mut faultline(&[verb])?, EXIT_SKIP, "not loaded")?;
    }
    Ok(())
}
