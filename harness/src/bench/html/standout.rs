// SPDX-License-Identifier: GPL-2.0-only
//! What stands out, in sentences that are made from the figures and nothing else.

use std::cmp::{Ordering, Reverse};

use super::data::{Cell, Data};
use super::number;
use super::summary::ratio;

/// A few sentences. None of them says more than the figures of this run do.
pub(super) fn sentences(data: &Data<'_>) -> Vec<String> {
    let races = races(data);
    if races.is_empty() {
        return vec![
            "No workload was measured on both the module and the kernel's own memory, so \
             nothing is compared."
                .to_owned(),
        ];
    }
    let mut said = Vec::new();
    if races.iter().any(|race| race.peer.rate.rounds < 3) {
        said.push(
            "Fewer than three rounds: how far the figures spread is not known, and what differs \
             may differ by chance."
                .to_owned(),
        );
    }
    said.push(tally(&races));
    said.extend(favourite(&races));
    said.extend(ahead(&races));
    said.extend(behind(&races));
    said.extend(tails(&races));
    said
}

/// A workload with the most threads that it was run with.
struct Race<'c, 'd> {
    peer: &'c Cell<'d>,
    /// The module's, the fastest first.
    module: Vec<&'c Cell<'d>>,
}

impl Race<'_, '_> {
    fn place(&self) -> String {
        let threads = number::threads(self.peer.threads);
        format!("{} ({threads})", self.peer.workload.name)
    }

    /// How the fastest policy fares beside the kernel's own memory: as fast,
    /// if the spreads overlap.
    fn outcome(&self) -> Ordering {
        let fastest = &self.module[0].rate;
        if fastest.clearly_above(&self.peer.rate) {
            Ordering::Greater
        } else if self.peer.rate.clearly_above(fastest) {
            Ordering::Less
        } else {
            Ordering::Equal
        }
    }

    fn ratio(&self) -> f64 {
        ratio(self.module[0], self.peer).unwrap_or(1.0)
    }

    /// "pft (2 threads): its fastest policy, spf-range, does ...".
    fn told(&self) -> String {
        let fastest = self.module[0];
        format!(
            "{}: its fastest policy, {}, does {} {}/s, {} of {}'s {}",
            self.place(),
            fastest.target.name,
            number::short(fastest.rate.median),
            fastest.workload.unit,
            number::times(self.ratio()),
            self.peer.target.name,
            number::short(self.peer.rate.median),
        )
    }
}

fn races<'c, 'd>(data: &'c Data<'d>) -> Vec<Race<'c, 'd>> {
    let mut races = Vec::new();
    for workload in data.workloads() {
        let Some(&threads) = data.threads(&workload.name).last() else {
            continue;
        };
        let cells = data.with(&workload.name, threads);
        let Some(peer) = data.peer(&cells) else {
            continue;
        };
        let mut module: Vec<_> = cells
            .into_iter()
            .filter(|cell| !cell.target.kernel)
            .collect();
        module.sort_by(|a, b| b.rate.median.total_cmp(&a.rate.median));
        if !module.is_empty() {
            races.push(Race { peer, module });
        }
    }
    races
}

fn tally(races: &[Race<'_, '_>]) -> String {
    let of = |outcome| {
        races
            .iter()
            .filter(|race| race.outcome() == outcome)
            .count()
    };
    format!(
        "Of {} workloads, each with the most threads it was run with, the module's fastest policy \
         is ahead of the kernel's own memory in {}, behind in {}, and not to be told from it by \
         the spread of the rounds in {}.",
        races.len(),
        of(Ordering::Greater),
        of(Ordering::Less),
        of(Ordering::Equal),
    )
}

/// The policy that is the fastest most often, if one is.
fn favourite(races: &[Race<'_, '_>]) -> Option<String> {
    let mut wins: Vec<(&str, usize)> = Vec::new();
    let open = races
        .iter()
        .filter(|race| race.module.len() > 1 && race.module[0].rate.median > 0.0);
    let count = open.clone().count();
    for name in open.map(|race| race.module[0].target.name.as_str()) {
        match wins.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => *times += 1,
            None => wins.push((name, 1)),
        }
    }
    wins.sort_by_key(|(_, times)| Reverse(*times));
    match wins.as_slice() {
        [(_, first), (_, second), ..] if first == second => None,
        [(name, times), ..] => Some(format!(
            "Among the policies {name} has the highest median most often: in {times} of {count} workloads."
        )),
        [] => None,
    }
}

fn ahead(races: &[Race<'_, '_>]) -> Option<String> {
    let won = races
        .iter()
        .filter(|race| race.outcome() == Ordering::Greater);
    let most = won.max_by(|a, b| a.ratio().total_cmp(&b.ratio()))?;
    Some(format!("The module is furthest ahead in {}.", most.told()))
}

fn behind(races: &[Race<'_, '_>]) -> Option<String> {
    let lost = races.iter().filter(|race| race.outcome() == Ordering::Less);
    let most = lost.min_by(|a, b| a.ratio().total_cmp(&b.ratio()))?;
    Some(format!("It is furthest behind in {}.", most.told()))
}

/// The workload in whose tail the kernel's own memory and the policies differ most.
fn tails(races: &[Race<'_, '_>]) -> Option<String> {
    let tail = |cell: &Cell<'_>| {
        // Fewer have no such percentile.
        let all = cell.latencies.as_ref().filter(|all| all.len() >= 1000)?;
        Some(all.value_at_quantile(0.99) as f64)
    };
    let pairs = races.iter().filter_map(|race| {
        let kernel = tail(race.peer).filter(|ns| *ns > 0.0)?;
        let module = race
            .module
            .iter()
            .filter_map(|cell| Some((tail(cell)?, *cell)));
        let (ns, cell) = module.min_by(|a, b| a.0.total_cmp(&b.0))?;
        (ns > 0.0).then_some((kernel, ns, cell, race))
    });
    let distance =
        |(kernel, module, ..): &(f64, f64, &Cell<'_>, &Race<'_, '_>)| (kernel / module).ln().abs();
    let (kernel, ns, cell, race) = pairs.max_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some(format!(
        "Latencies differ most in {}: the 99th percentile of a {} is {} on {}, the lowest of the \
         policies, and {} on {}.",
        race.place(),
        cell.latency_of(),
        number::time(ns),
        cell.target.name,
        number::time(kernel),
        race.peer.target.name,
    ))
}
