// SPDX-License-Identifier: GPL-2.0-only
//! All workloads and targets at a glance.

use maud::{Markup, html};

use super::data::{Cell, Data};
use super::number;
use super::page::{Page, Table, missing};
use super::standout;
use crate::bench::record::Workload;

/// Sentences, and the table.
pub(super) fn section(page: &Page<'_>) -> Markup {
    let data = &page.data;
    html! {
        ul class="sentences" { @for sentence in standout::sentences(data) { li { (sentence) } } }
        p class="note" {
            "Each cell: the median rate of all rounds, per second; then how many times the rate \
             of the kernel's own memory in the third column that is; then from the first to the third quartile. Blue \
             is faster than the kernel's own memory, orange slower. ★ is the fastest of its row, ☆ \
             what the spread does not tell from it."
        }
        (page.table(Table {
            caption: "Rate of each workload on each target".to_owned(),
            head: ["workload", "threads", "beside"].into_iter()
                .chain(data.targets.iter().map(|target| target.name.as_str()))
                .map(str::to_owned)
                .collect(),
            names: 1,
            rows: data.workloads().into_iter().flat_map(|w| rows(data, w)).collect(),
        }))
    }
}

/// With the fewest threads and with the most; the others are in the charts.
fn rows(data: &Data<'_>, workload: &Workload) -> Vec<Vec<Markup>> {
    let threads = data.threads(&workload.name);
    let mut ends: Vec<u32> = threads
        .first()
        .into_iter()
        .chain(threads.last())
        .copied()
        .collect();
    ends.dedup();
    ends.into_iter()
        .map(|threads| row(data, workload, threads))
        .collect()
}

fn row(data: &Data<'_>, workload: &Workload, threads: u32) -> Vec<Markup> {
    let cells = data.with(&workload.name, threads);
    let peer = data.peer(&cells);
    let best = cells
        .iter()
        .max_by(|a, b| a.rate.median.total_cmp(&b.rate.median));
    let mut row = vec![
        html! { (workload.name) span class="unit" { (workload.unit) "/s" } },
        html! { (threads) },
        html! { (peer.map_or("nothing", |peer| &peer.target.name)) },
    ];
    for (place, target) in data.targets.iter().enumerate() {
        row.push(match cells.iter().find(|cell| cell.place == place) {
            Some(cell) => glance(cell, peer, best.copied()),
            None => missing(data.skipped(&workload.name, &target.name, threads)),
        });
    }
    row
}

fn glance(cell: &Cell<'_>, peer: Option<&Cell<'_>>, best: Option<&Cell<'_>>) -> Markup {
    let rate = &cell.rate;
    let ratio = peer.and_then(|peer| ratio(cell, peer));
    let star = match best {
        Some(best) if best.rate.median <= 0.0 => "",
        Some(best) if best.place == cell.place => " ★",
        Some(best) if best.rate.rounds >= 3 && !best.rate.clearly_above(rate) => " ☆",
        _ => "",
    };
    html! {
        div class={"glance " (heat(ratio))} {
            strong { (number::short(rate.median)) (star) }
            span {
                @match ratio { Some(ratio) => (number::times(ratio)), None => "–" }
            }
            span class="spread" { (number::short(rate.low)) "–" (number::short(rate.high)) }
        }
    }
}

/// How many times as fast; nothing if that cannot be said.
pub(super) fn ratio(cell: &Cell<'_>, peer: &Cell<'_>) -> Option<f64> {
    (peer.rate.median > 0.0).then(|| cell.rate.median / peer.rate.median)
}

/// The class of a colour: the further from 1, the stronger.
pub(super) fn heat(ratio: Option<f64>) -> &'static str {
    match ratio {
        None => "",
        Some(r) if r >= 2.0 => "up3",
        Some(r) if r >= 1.25 => "up2",
        Some(r) if r >= 1.05 => "up1",
        Some(r) if r > 0.95 => "",
        Some(r) if r > 0.8 => "down1",
        Some(r) if r > 0.5 => "down2",
        Some(_) => "down3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_grows_with_the_distance_from_one() {
        let classes = [0.1, 0.7, 0.9, 1.0, 1.1, 1.5, 3.0].map(|ratio| heat(Some(ratio)));
        assert_eq!(
            classes,
            ["down3", "down2", "down1", "", "up1", "up2", "up3"]
        );
        assert_eq!(heat(None), "", "nothing to compare with");
    }
}
