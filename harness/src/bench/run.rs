// SPDX-License-Identifier: GPL-2.0-only
//! Runs a plan: rounds in which every workload has its turn on every target, one after
//! the other, so that whatever disturbs the machine disturbs all of them.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::machine::machine;
use super::options::{Options, Plan};
use super::record::{End, Record, Run, Sample, VERSION};
use super::target::Subject;
use super::turn::{Outcome, Turn};
use super::workload::Kind;
use crate::sys;

/// The part of a turn that the one before the first round takes, which is discarded.
const WARM_UP: f64 = 0.5;

/// A workload with so many threads, on all targets that it fits.
struct Row {
    kind: &'static Kind,
    threads: u32,
    cells: Vec<Cell>,
}

/// One of these targets.
struct Cell {
    on: Subject,
    /// Ticks that an operation is held up to slow it down as planted.
    drag: u64,
}

/// Where records go, and those of the twin.
pub(super) trait Sinks {
    /// Takes a record.
    fn take(&mut self, record: Record) -> io::Result<()>;
    /// Takes one of the twin.
    fn take_twin(&mut self, record: Record) -> io::Result<()>;
}

/// Measures all of it.
pub(super) fn run(options: &Options, plan: &Plan, sinks: &mut impl Sinks) -> io::Result<()> {
    let began = Instant::now();
    let (mut rows, mut skipped) = rows(plan);
    let mut head = head(options, plan);
    let planted = head.planted_slowdown.take();
    match options.twin {
        None => head.planted_slowdown = planted,
        Some(_) => sinks.take_twin(Record::Run(Box::new(Run {
            planted_slowdown: planted,
            ..head.clone()
        })))?,
    }
    sinks.take(Record::Run(Box::new(head)))?;
    let progress = Progress::new(options, plan.rounds);
    progress.say_warm_up();
    for row in &mut rows {
        warm_up(options, plan, row, &mut skipped)?;
    }
    for round in 0..plan.rounds {
        progress.say(round);
        for row in &rows {
            take_turns(options, plan, row, round, sinks)?;
        }
    }
    let end = End {
        seconds: began.elapsed().as_secs_f64(),
        skipped,
    };
    if options.twin.is_some() {
        sinks.take_twin(Record::End(end.clone()))?;
    }
    sinks.take(Record::End(end))
}

/// Workload, target, threads, and why it was not run.
type Skipped = (String, String, u32, String);

fn rows(plan: &Plan) -> (Vec<Row>, Vec<Skipped>) {
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for (kind, counts) in &plan.workloads {
        for &threads in counts {
            let mut cells = Vec::new();
            for (number, &on) in plan.targets.iter().enumerate() {
                let why = match kind.empty && number > 0 {
                    // Not worth a word: it is run once, on the first.
                    true => continue,
                    false => (kind.unfit)(on, threads),
                };
                match why {
                    None => cells.push(Cell { on, drag: 0 }),
                    Some(why) => skipped.push(skip(kind, on, threads, why)),
                }
            }
            rows.push(Row {
                kind,
                threads,
                cells,
            });
        }
    }
    (rows, skipped)
}

fn skip(kind: &Kind, on: Subject, threads: u32, why: &str) -> Skipped {
    let (workload, target) = (kind.name.to_owned(), on.name().to_owned());
    (workload, target, threads, why.to_owned())
}

fn head(options: &Options, plan: &Plan) -> Run {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let workloads = plan.workloads.iter();
    Run {
        version: VERSION,
        began: now.map_or(0, |time| time.as_secs()),
        command_line: std::env::args().collect(),
        seed: plan.seed,
        preset: plan.preset.to_owned(),
        rounds: plan.rounds,
        turn_ms: plan.turn.as_millis() as u64,
        planted_slowdown: options.plant_slowdown,
        machine: machine(options.config_hash.clone()),
        workloads: workloads
            .map(|(kind, threads)| kind.record(&plan.sizes, threads))
            .collect(),
        targets: plan
            .targets
            .iter()
            .map(|on| on.record(&options.dir))
            .collect(),
    }
}

/// A turn of each cell that is thrown away. What cannot be run for want of room is
/// skipped from here on.
fn warm_up(
    options: &Options,
    plan: &Plan,
    row: &mut Row,
    skipped: &mut Vec<Skipped>,
) -> io::Result<()> {
    let mut error = None;
    row.cells.retain_mut(|cell| {
        let turn = turn(options, plan, row.kind, row.threads, cell.on, 0);
        let time = turn.time.mul_f64(WARM_UP);
        let clock = (Instant::now(), sys::ticks());
        match (row.kind.run)(&Turn { time, ..turn }) {
            Ok(outcome) => {
                let ticks = sys::ticks().wrapping_sub(clock.1) as f64;
                let a_second = ticks / clock.0.elapsed().as_secs_f64();
                // The empty loop stays as it is, to tell how fast the machine is.
                if let (Some(percent), false) = (options.plant_slowdown, row.kind.empty) {
                    cell.drag = drag(&outcome, percent, a_second);
                }
                true
            }
            Err(why) if why.kind() == io::ErrorKind::QuotaExceeded => {
                skipped.push(skip(row.kind, cell.on, row.threads, &why.to_string()));
                false
            }
            Err(why) => {
                error = error.take().or(Some(explain(row.kind, cell.on, why)));
                true
            }
        }
    });
    error.map_or(Ok(()), Err)
}

/// Ticks by which each operation has to be longer for a rate that is so much lower.
fn drag(outcome: &Outcome, percent: f64, ticks_a_second: f64) -> u64 {
    let done: u64 = outcome.per_thread.iter().sum();
    let threads = outcome.per_thread.len() as f64;
    let seconds = outcome.time.as_secs_f64() * threads / done.max(1) as f64;
    let part = percent / 100.0;
    (seconds * part / (1.0 - part) * ticks_a_second) as u64
}

/// A turn of each cell, and of each one's twin. Who begins goes round.
fn take_turns(
    options: &Options,
    plan: &Plan,
    row: &Row,
    round: u32,
    sinks: &mut impl Sinks,
) -> io::Result<()> {
    let first = round as usize % row.cells.len().max(1);
    let (behind, before) = row.cells.split_at(first);
    for cell in before.iter().chain(behind) {
        let measure = |drag| {
            let turn = turn(options, plan, row.kind, row.threads, cell.on, round);
            let outcome = (row.kind.run)(&Turn { drag, ..turn });
            let outcome = outcome.map_err(|why| explain(row.kind, cell.on, why))?;
            Ok::<_, io::Error>(Record::Sample(Box::new(sample(row, cell, round, outcome)?)))
        };
        match (&options.twin, round % 2) {
            (None, _) => sinks.take(measure(cell.drag)?)?,
            (Some(_), 0) => {
                sinks.take(measure(0)?)?;
                sinks.take_twin(measure(cell.drag)?)?;
            }
            (Some(_), _) => {
                sinks.take_twin(measure(cell.drag)?)?;
                sinks.take(measure(0)?)?;
            }
        }
    }
    Ok(())
}

fn turn<'a>(
    options: &'a Options,
    plan: &Plan,
    kind: &Kind,
    threads: u32,
    on: Subject,
    round: u32,
) -> Turn<'a> {
    let weight = match options.turns_are_weighted() {
        true => kind.weight,
        false => 1,
    };
    Turn {
        on,
        dir: &options.dir,
        threads: threads as usize,
        time: plan.turn * weight,
        sizes: plan.sizes,
        // The same on all targets.
        seed: plan.seed.wrapping_add(u64::from(round)),
        drag: 0,
    }
}

fn sample(row: &Row, cell: &Cell, round: u32, outcome: Outcome) -> io::Result<Sample> {
    let usage = outcome.growth.usage;
    let histogram = outcome.latencies.as_ref().map(encode);
    Ok(Sample {
        workload: row.kind.name.to_owned(),
        target: cell.on.name().to_owned(),
        threads: row.threads,
        round,
        seconds: outcome.time.as_secs_f64(),
        per_thread: outcome.per_thread,
        histogram: histogram.transpose()?,
        counters: outcome.growth.space,
        vmstat: outcome.growth.vmstat,
        voluntary_switches: usage.voluntary_switches,
        involuntary_switches: usage.involuntary_switches,
        user_seconds: usage.user_seconds,
        system_seconds: usage.system_seconds,
        extra: outcome.extra,
    })
}

/// As it stands in the records.
pub(super) fn encode(latencies: &Histogram<u64>) -> io::Result<String> {
    let mut bytes = Vec::new();
    let result = V2DeflateSerializer::new().serialize(latencies, &mut bytes);
    let failed = |error| io::Error::other(format!("a histogram: {error:?}"));
    result.map(|_| STANDARD.encode(bytes)).map_err(failed)
}

fn explain(kind: &Kind, on: Subject, error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{}, {}: {error}", kind.name, on.name()),
    )
}

/// Says on stderr how far it is, between rounds only.
struct Progress {
    is_wanted: bool,
    rounds: u32,
    began: Instant,
}

impl Progress {
    fn new(options: &Options, rounds: u32) -> Progress {
        Progress {
            // A pipe may be the same as stdout's.
            is_wanted: io::stderr().is_terminal() || !options.json,
            rounds,
            began: Instant::now(),
        }
    }

    fn say_warm_up(&self) {
        if self.is_wanted {
            eprintln!("warming up ...");
        }
    }

    fn say(&self, round: u32) {
        if !self.is_wanted {
            return;
        }
        // In turns of a round: the warm-up has taken a part of one.
        let done = WARM_UP + f64::from(round);
        let left = self
            .began
            .elapsed()
            .mul_f64(f64::from(self.rounds - round) / done);
        let left = Duration::from_secs(left.as_secs() + 1);
        eprintln!(
            "round {} of {}, about {left:?} left ...",
            round + 1,
            self.rounds
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_slowdown_takes_its_part_of_the_time() {
        let outcome = Outcome {
            time: Duration::from_secs(1),
            per_thread: vec![500, 500],
            ..Outcome::default()
        };
        // An operation takes 2 ms; a fifth of the rate is lost if it takes 2.5.
        assert_eq!(drag(&outcome, 20.0, 1e9), 500_000);
    }
}
