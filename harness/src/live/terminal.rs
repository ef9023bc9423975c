// SPDX-License-Identifier: GPL-2.0-only
//! The terminal, while `top` has it.

use std::env;
use std::io::{self, IsTerminal, Read, Stdin, Stdout, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level};

use super::view::Room;

/// The alternate screen, no cursor, and no new line where one is too long.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// All that taken back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

const CTRL_C: u8 = 3;

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The time has come.
    InTime,
    /// The terminal has another size.
    Resized,
    /// The user, or a signal, wants an end.
    Quit,
}

/// A terminal that shows pictures, and is as it was once this is dropped.
pub(super) struct Terminal {
    out: Stdout,
    keys: Option<Keys>,
    /// Signals write a byte to the other end.
    signals: UnixStream,
    quit: Arc<AtomicBool>,
}

/// Keys that are read one by one, without echo.
struct Keys {
    input: Stdin,
    /// How the terminal was.
    before: Termios,
}

impl Terminal {
    /// Whether the output is a terminal that can show pictures.
    pub(super) fn is_there() -> bool {
        let is_able = env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        is_able && io::stdout().is_terminal()
    }

    /// Takes the terminal.
    pub(super) fn take() -> io::Result<Terminal> {
        let (signals, other) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        other.set_nonblocking(true)?;
        let quit = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&quit))?;
        }
        // Behind the flags, which are to be set when it wakes.
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGWINCH] {
            low_level::pipe::register(signal, other.try_clone()?)?;
        }
        let mut terminal = Terminal {
            out: io::stdout(),
            keys: Keys::take()?,
            signals,
            quit,
        };
        terminal.write(ENTER)?;
        Ok(terminal)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// How much it can show.
    pub(super) fn room(&self) -> Room {
        let size = tcgetwinsize(&self.out).ok();
        let size = size.filter(|size| size.ws_col != 0 && size.ws_row != 0);
        // A serial line does not say.
        size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
            .into()
    }

    /// Shows lines, and nothing else. In one write, so that it does not flicker.
    pub(super) fn show(&mut self, lines: &[String]) -> io::Result<()> {
        let mut frame = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index != 0 {
                frame.push_str("\r\n");
            }
            frame.push_str(line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        self.write(&frame)
    }

    /// Waits for something to do, at most until `deadline`.
    pub(super) fn wait(&mut self, deadline: Instant) -> io::Result<Woken> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let has_key = self.poll(left)?;
            // The pipe wakes behind it; one that comes later wakes the next time.
            if self.quit.load(Ordering::Relaxed) {
                return Ok(Woken::Quit);
            }
            if let Some(keys) = self.keys.as_mut().filter(|_| has_key) {
                if keys.want_an_end()? {
                    return Ok(Woken::Quit);
                }
            }
            if self.drain_signals() {
                return Ok(Woken::Resized);
            }
            if left.is_zero() {
                return Ok(Woken::InTime);
            }
        }
    }

    /// Whether there are keys. Also returns at a signal.
    fn poll(&self, left: Duration) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if let Some(keys) = &self.keys {
            fds.push(PollFd::new(&keys.input, PollFlags::IN));
        }
        let left = Timespec {
            tv_sec: left.as_secs() as _,
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(fds.get(1).is_some_and(|fd| !fd.revents().is_empty()))
    }

    /// Whether there was a signal.
    fn drain_signals(&mut self) -> bool {
        let mut bytes = [0; 64];
        self.signals.read(&mut bytes).is_ok_and(|read| read != 0)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = self.write(LEAVE);
        if let Some(keys) = &self.keys {
            keys.give_back();
        }
    }
}

impl Keys {
    /// `None` if the input is no terminal.
    fn take() -> io::Result<Option<Keys>> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Now, &raw)?;
        Ok(Some(Keys { input, before }))
    }

    fn give_back(&self) {
        let _ = tcsetattr(&self.input, OptionalActions::Now, &self.before);
    }

    /// Reads what was typed: whether that was q or Ctrl-C, or the terminal is gone.
    fn want_an_end(&mut self) -> io::Result<bool> {
        let mut typed = [0; 64];
        match rustix::io::read(self.input.as_fd(), &mut typed) {
            Ok(0) | Err(Errno::IO) => Ok(true),
            Ok(length) => Ok(typed[..length]
                .iter()
                .any(|key| b"qQ".contains(key) || *key == CTRL_C)),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl From<(usize, usize)> for Room {
    fn from((columns, lines): (usize, usize)) -> Room {
        Room { columns, lines }
    }
}
