// SPDX-License-Identifier: GPL-2.0-only
//! Which figures differ between two runs.

use std::fmt;

use crate::bench::cells::{Cell, cells, latencies};
use crate::bench::record::{Record, Sample};
use crate::bench::stats::{Summary, adjusted, least_probability, mann_whitney};

/// Of all figures that are called better or worse, the part that may be chance.
const CHANCE: f64 = 0.05;
/// Values beyond a percentile that a round has to have, for it to be a figure.
const BEYOND: f64 = 10.0;
/// A machine that was slower by less is not to be told from one that was not.
const DRIFT: f64 = 0.03;

const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// The least changes that count, as parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) least_rate: f64,
    pub(super) least_latency: f64,
}

/// What became of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Better,
    Worse,
    Same,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::Same => "same",
        })
    }
}

/// A figure in both runs.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) workload: String,
    pub(super) target: String,
    pub(super) threads: u32,
    /// "rate", or a percentile of latencies in microseconds.
    pub(super) name: &'static str,
    pub(super) before: Summary,
    /// Corrected for the speed of the machine.
    pub(super) after: Summary,
    /// Of the median, as a part: 0.1 is 10 % more.
    pub(super) change: f64,
    /// How likely so great a change is chance, adjusted.
    pub(super) chance: f64,
    pub(super) verdict: Verdict,
}

/// Two runs beside each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) figures: Vec<Figure>,
    /// What one has to know.
    pub(super) notes: Vec<String>,
}

impl Comparison {
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        let of_it = |figure: &&Figure| figure.verdict == verdict;
        self.figures.iter().filter(of_it).count()
    }

    pub(super) fn is_worse(&self) -> bool {
        self.count(Verdict::Worse) > 0
    }
}

/// The values of a figure, round by round.
struct Values<'a> {
    cell: &'a Cell<'a>,
    name: &'static str,
    is_latency: bool,
    before: Vec<f64>,
    after: Vec<f64>,
}

/// Compares all that both runs have.
pub(super) fn judge(a: &[Record], b: &[Record], rules: Rules) -> Result<Comparison, String> {
    let (cells_a, cells_b) = (cells(a), cells(b));
    let mut notes = Vec::new();
    let speed = speed(&cells_a, &cells_b, &mut notes);
    let mut all = Vec::new();
    for cell in cells_a.iter().filter(|cell| !is_empty_loop(cell)) {
        match cells_b.iter().find(|other| other.key() == cell.key()) {
            Some(other) => all.extend(values(cell, other, speed)),
            None => notes.push(format!("only in the first run: {}", name(cell))),
        }
    }
    let is_new = |cell: &&Cell<'_>| !cells_a.iter().any(|other| other.key() == cell.key());
    let new = cells_b.iter().filter(is_new);
    notes.extend(new.map(|cell| format!("only in the second run: {}", name(cell))));
    if all.is_empty() {
        return Err("the runs have nothing in common".to_owned());
    }
    notes.extend(power(&all));
    let chances: Vec<f64> = all
        .iter()
        .map(|values| mann_whitney(&values.before, &values.after))
        .collect();
    let figures = all.iter().zip(adjusted(&chances));
    let figures: Vec<_> = figures
        .filter_map(|(values, chance)| figure(values, chance, rules))
        .collect();
    notes.extend(noise(&figures, rules));
    Ok(Comparison { figures, notes })
}

fn name(cell: &Cell<'_>) -> String {
    let (workload, target, threads) = cell.key();
    format!("{workload} on {target} with {threads} threads")
}

fn is_empty_loop(cell: &Cell<'_>) -> bool {
    cell.work().0.starts_with("empty")
}

/// How fast the machine was in the second run, beside the first, by the empty loop.
fn speed(a: &[Cell<'_>], b: &[Cell<'_>], notes: &mut Vec<String>) -> f64 {
    let rates = |cells: &[Cell<'_>]| {
        let empty = cells.iter().filter(|cell| cell.work().0 == "empty");
        let rates: Vec<(u32, f64)> = empty
            .filter_map(|cell| Some((cell.threads(), cell.rate()?.median)))
            .collect();
        rates
    };
    let (a, b) = (rates(a), rates(b));
    let ratios: Vec<f64> = a
        .iter()
        .filter_map(|(threads, rate)| {
            let same = b.iter().find(|(other, _)| other == threads)?;
            (*rate > 0.0).then(|| same.1 / rate)
        })
        .collect();
    let Some(speed) = Summary::of(&ratios).map(|summary| summary.median) else {
        notes.push(
            "neither corrected for the machine's speed nor checked for it: the workload \"empty\" \
             is not in both runs"
                .to_owned(),
        );
        return 1.0;
    };
    if (speed - 1.0).abs() < DRIFT {
        return 1.0;
    }
    let percent = (speed - 1.0) * 100.0;
    notes.push(format!(
        "the machine's speed was {percent:+.0} % in the second run, by the workload \"empty\": \
         its figures are corrected for that, as far as it makes them more alike"
    ));
    speed
}

fn values<'a>(before: &'a Cell<'a>, after: &Cell<'_>, speed: f64) -> Vec<Values<'a>> {
    let of = |cell: &Cell<'_>, value: &dyn Fn(&Sample) -> f64| {
        let samples = cell.samples().iter();
        samples.map(|sample| value(sample)).collect::<Vec<_>>()
    };
    let mut all = vec![Values {
        cell: before,
        name: "rate",
        is_latency: false,
        before: of(before, &Sample::rate),
        after: of(after, &Sample::rate),
    }];
    for (name, quantile) in PERCENTILES {
        let at = |sample: &&Sample| at_quantile(sample, quantile);
        let values = |cell: &Cell<'_>| cell.samples().iter().map(at).collect::<Option<Vec<_>>>();
        let (Some(first), Some(second)) = (values(before), values(after)) else {
            continue;
        };
        all.push(Values {
            cell: before,
            name,
            is_latency: true,
            before: first,
            after: second,
        });
    }
    all.iter_mut().for_each(|values| values.correct(speed));
    all
}

impl Values<'_> {
    /// Corrects what came after for the speed of the machine: as far as that brings it
    /// nearer to what was before, and no farther. How fast the machine was is measured,
    /// too, and may be off; so what is called a change is one with and without this.
    fn correct(&mut self, speed: f64) {
        let medians = (Summary::of(&self.before), Summary::of(&self.after));
        let (Some(before), Some(after)) = medians else {
            return;
        };
        // What a rate has to be divided by, and a latency multiplied with.
        let whole = if self.is_latency { 1.0 / speed } else { speed };
        let enough = after.median / before.median;
        if enough.is_finite() && enough > 0.0 {
            let factor = enough.clamp(whole.min(1.0), whole.max(1.0));
            self.after.iter_mut().for_each(|value| *value /= factor);
        }
    }
}

/// In microseconds; nothing if there are too few values to say.
fn at_quantile(sample: &Sample, quantile: f64) -> Option<f64> {
    let all = latencies(sample)?;
    let is_enough = all.len() as f64 * (1.0 - quantile) >= BEYOND;
    is_enough.then(|| all.value_at_quantile(quantile) as f64 / 1e3)
}

fn figure(values: &Values<'_>, chance: f64, rules: Rules) -> Option<Figure> {
    let (before, after) = (Summary::of(&values.before)?, Summary::of(&values.after)?);
    let change = match before.median == 0.0 {
        true => 0.0,
        false => after.median / before.median - 1.0,
    };
    let least = match values.is_latency {
        true => rules.least_latency,
        false => rules.least_rate,
    };
    let is_more = change > 0.0;
    let verdict = match change.abs() >= least && change != 0.0 && chance < CHANCE {
        false => Verdict::Same,
        // More of a rate is better, of a latency it is not.
        true if is_more != values.is_latency => Verdict::Better,
        true => Verdict::Worse,
    };
    let (workload, target, threads) = values.cell.key();
    Some(Figure {
        workload: workload.to_owned(),
        target: target.to_owned(),
        threads,
        name: values.name,
        before,
        after,
        change,
        chance,
        verdict,
    })
}

/// Says so if some are called the same only because chance does as much.
fn noise(figures: &[Figure], rules: Rules) -> Option<String> {
    // The greater of the two, so that it is no small matter for any of them.
    let is_off = |figure: &&Figure| {
        figure.verdict == Verdict::Same && figure.change.abs() >= rules.least_latency
    };
    let off = figures.iter().filter(is_off).count();
    (off > 0).then(|| {
        format!(
            "{off} figures that are called the same differ by {:.0} % or more, but no more than \
             chance makes them differ: more rounds or a quieter machine would tell",
            rules.least_latency * 100.0
        )
    })
}

/// Says so if there are too few rounds to find one changed figure among all.
fn power(all: &[Values<'_>]) -> Option<String> {
    let rounds = |values: &Values<'_>| values.before.len().min(values.after.len());
    let fewest = all.iter().map(rounds).min()?;
    let finds_one = |rounds| least_probability(rounds, rounds) * (all.len() as f64) < CHANCE;
    if finds_one(fewest) {
        return None;
    }
    let enough = (fewest..).find(|&rounds| finds_one(rounds))?;
    Some(format!(
        "with {fewest} rounds one changed figure among {} cannot be told from chance, only a \
         change of many: {enough} rounds can (--rounds), or fewer workloads",
        all.len()
    ))
}
