// SPDX-License-Identifier: GPL-2.0-only
//! `faultline maps`: the regions of each space.

use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::end;
use super::source::{self, Trouble};

/// Options of `faultline maps`.
#[derive(Args, Clone, Debug)]
pub struct Maps {
    /// Only the spaces that this process has opened
    #[arg(value_name = "PID")]
    pid: Option<u32>,

    /// A JSON object for each space, one a line
    #[arg(long)]
    json: bool,
}

/// Prints the regions.
pub fn run(maps: &Maps) -> ExitCode {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = print(maps, &mut out).and_then(|()| out.flush().map_err(Trouble::Output));
    end("maps", result)
}

fn print(maps: &Maps, out: &mut impl Write) -> Result<(), Trouble> {
    let (path, lines) = source::open("maps")?;
    let mut printer = Printer {
        maps,
        space: None,
        found: 0,
    };
    for line in lines.lines() {
        let line = line.map_err(|error| Trouble::File(path.clone(), error))?;
        let parsed = Line::parse(&line)
            .ok_or_else(|| Trouble::Contents(path.clone(), format!("the line \"{line}\"")))?;
        printer.take(&line, parsed, out).map_err(Trouble::Output)?;
    }
    printer.end(out).map_err(Trouble::Output)?;
    match maps.pid {
        Some(pid) if printer.found == 0 && !Path::new(&format!("/proc/{pid}")).exists() => {
            Err(Trouble::NoProcess(pid))
        }
        Some(pid) if printer.found == 0 => Err(Trouble::NoSpace(pid)),
        _ => Ok(()),
    }
}

/// Prints lines as they come.
struct Printer<'a> {
    maps: &'a Maps,
    /// What lines of regions belong to, if it is to be shown; with them, for JSON.
    space: Option<Value>,
    /// Spaces that were.
    found: usize,
}

impl Printer<'_> {
    fn take(&mut self, text: &str, line: Line, out: &mut impl Write) -> io::Result<()> {
        match line {
            Line::Space(space) => {
                self.end(out)?;
                let is_wanted = self.maps.pid.is_none_or(|pid| space["pid"] == pid);
                self.space = is_wanted.then_some(space);
                self.found += usize::from(is_wanted);
            }
            Line::Region(region) => {
                if let Some(space) = &mut self.space {
                    if let Some(regions) = space["regions"].as_array_mut() {
                        regions.push(region);
                    }
                }
            }
        }
        if self.space.is_some() && !self.maps.json {
            writeln!(out, "{text}")?;
        }
        Ok(())
    }

    /// The space that was begun has no more lines.
    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        match self.space.take() {
            Some(space) if self.maps.json => writeln!(out, "{space}"),
            _ => Ok(()),
        }
    }
}

/// A line of the module's file.
#[derive(Clone, Debug, PartialEq)]
enum Line {
    Space(Value),
    Region(Value),
}

impl Line {
    fn parse(line: &str) -> Option<Line> {
        match line.strip_prefix("space ") {
            Some(rest) => parse_space(rest).map(Line::Space),
            None => parse_region(line).map(Line::Region),
        }
    }
}

fn parse_space(rest: &str) -> Option<Value> {
    let (id, rest) = rest.split_once(" pid ")?;
    let (pid, rest) = rest.split_once(" policy ")?;
    let (policy, command) = rest.split_once(" command ")?;
    let (id, pid) = (id.parse::<u64>().ok()?, pid.parse::<u64>().ok()?);
    Some(json!({
        "id": id, "pid": pid, "policy": policy, "command": command, "regions": [],
    }))
}

fn parse_region(line: &str) -> Option<Value> {
    let mut words = line.split(' ');
    let mut word = || words.next();
    let (start, end) = word()?.split_once('-')?;
    let (prot, backing) = (word()?, word()?);
    let (offset, generation) = (word()?, word()?.parse::<u64>().ok()?);
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end, offset) = (hex(start)?, hex(end)?, hex(offset)?);
    words.next().is_none().then(|| {
        json!({
            "start": start, "end": end, "prot": prot, "backing": backing, "offset": offset,
            "generation": generation,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: [&str; 5] = [
        "space 3 pid 12 policy range command a b",
        "000000001000-000000003000 rw anon 0000000000000000 7",
        "space 4 pid 13 policy global command space 5 pid 12",
        "000000001000-000000002000 -- shared 0000000000004000 8",
        "000000002000-000000003000 r- private 0000000000005000 9",
    ];

    fn printed(pid: Option<u32>, json: bool) -> (String, usize) {
        let maps = Maps { pid, json };
        let mut printer = Printer {
            maps: &maps,
            space: None,
            found: 0,
        };
        let mut out = Vec::new();
        for text in FILE {
            let line = Line::parse(text).expect("a line");
            printer.take(text, line, &mut out).expect("room");
        }
        printer.end(&mut out).expect("room");
        (String::from_utf8(out).expect("text"), printer.found)
    }

    #[test]
    fn lines_are_printed_as_they_are() {
        assert_eq!(printed(None, false), (FILE.join("\n") + "\n", 2));
    }

    #[test]
    fn a_pid_chooses_spaces_and_nothing_else() {
        assert_eq!(printed(Some(12), false), (FILE[..2].join("\n") + "\n", 1));
        assert_eq!(printed(Some(5), false), (String::new(), 0));
    }

    #[test]
    fn json_has_an_object_for_each_space() {
        let (text, found) = printed(None, true);
        let spaces: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert_eq!((spaces.len(), found), (2, 2));
        assert_eq!(spaces[0]["command"], "a b");
        assert_eq!(spaces[0]["regions"][0]["end"], 0x3000);
        assert_eq!(spaces[1]["regions"][1]["offset"], 0x5000);
        assert_eq!(spaces[1]["regions"][0]["prot"], "--");
    }

    #[test]
    fn torn_lines_are_none() {
        for line in ["", "space 3", "1000-2000 rw anon 0", "x-2000 rw anon 0 1"] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
        assert_eq!(Line::parse(&format!("{} 5", FILE[1])), None);
    }
}
