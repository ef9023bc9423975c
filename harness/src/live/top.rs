// SPDX-License-Identifier: GPL-2.0-only
//! `faultline top`: what happens in the spaces that there are.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::end;
use super::rates::Picture;
use super::source::{Reading, Trouble};
use super::terminal::{Terminal, Woken};
use super::view::{self, Room};

/// Options of `faultline top`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "On a terminal the picture is renewed in place, until q or Ctrl-C; \
else one follows the other."
)]
pub struct Top {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_interval)]
    interval: Duration,

    /// End after so many intervals
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// A JSON object for each interval, one a line
    #[arg(long)]
    json: bool,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match seconds {
        0.01..=86400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("from 0.01 to 86400 seconds".to_owned()),
    }
}

/// Shows the spaces until there is an end.
pub fn run(top: &Top) -> ExitCode {
    let result = match Terminal::is_there() && !top.json {
        true => on_a_terminal(top),
        false => line_by_line(top, &mut io::stdout().lock()),
    };
    end("top", result)
}

/// Two readings, one after the other.
struct Watch {
    before: Option<(Reading, Instant)>,
    picture: Picture,
}

impl Watch {
    /// Has a first look.
    fn begin() -> Result<Watch, Trouble> {
        let reading = Reading::take()?;
        Ok(Watch {
            picture: Picture::of(None, &reading, Duration::ZERO),
            before: Some((reading, Instant::now())),
        })
    }

    /// Has another look.
    fn look(&mut self) -> Result<(), Trouble> {
        let reading = Reading::take()?;
        let now = Instant::now();
        let (before, then) = self.before.take().unzip();
        let time = then.map_or(Duration::ZERO, |then| now.duration_since(then));
        self.picture = Picture::of(before.as_ref(), &reading, time);
        self.before = Some((reading, now));
        Ok(())
    }
}

fn line_by_line(top: &Top, out: &mut impl Write) -> Result<(), Trouble> {
    let mut watch = Watch::begin()?;
    let mut shown = 0;
    while top.count != Some(shown) {
        thread::sleep(top.interval);
        watch.look()?;
        print(&watch.picture, top.json, shown == 0, out).map_err(Trouble::Output)?;
        shown += 1;
    }
    Ok(())
}

fn print(picture: &Picture, json: bool, is_first: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        writeln!(out, "{}", view::json(picture))?;
        return out.flush();
    }
    if !is_first {
        writeln!(out)?;
    }
    for line in view::lines(picture, Room::default()) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

fn on_a_terminal(top: &Top) -> Result<(), Trouble> {
    // Before the terminal is taken, so that what is missing can be said.
    let mut watch = Watch::begin()?;
    let mut terminal = Terminal::take().map_err(Trouble::Output)?;
    let mut shown = 0;
    while top.count != Some(shown) {
        let deadline = Instant::now() + top.interval;
        loop {
            let lines = view::lines(&watch.picture, terminal.room());
            terminal.show(&lines).map_err(Trouble::Output)?;
            match terminal.wait(deadline).map_err(Trouble::Output)? {
                Woken::InTime => break,
                Woken::Resized => {}
                Woken::Quit => return Ok(()),
            }
        }
        watch.look()?;
        shown += 1;
    }
    // The last picture stays behind when the alternate screen goes.
    let room = terminal.room();
    drop(terminal);
    let mut out = io::stdout().lock();
    view::lines(&watch.picture, room)
        .iter()
        .try_for_each(|line| writeln!(out, "{line}"))
        .map_err(Trouble::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_sensible() {
        assert_eq!(parse_interval("0.5"), Ok(Duration::from_millis(500)));
        for nonsense in ["", "x", "0", "-1", "nan", "inf", "1e9"] {
            assert!(parse_interval(nonsense).is_err(), "{nonsense}");
        }
    }
}
