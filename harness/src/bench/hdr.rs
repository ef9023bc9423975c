// SPDX-License-Identifier: GPL-2.0-only
//! Latencies as files of HdrHistogram's own, for its plotters and log tools.

use std::fmt::Write as _;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::cells::latencies;
use super::record::{Record, Run};

/// Lines for each halving of what is left to 100 %.
const TICKS: u32 = 5;

/// The distribution by percentiles, in microseconds: a `.hgrm` file.
pub(super) fn distribution(histogram: &Histogram<u64>) -> String {
    let us = |nanoseconds: f64| nanoseconds / 1e3;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS) {
        count += step.count_since_last_iteration();
        let (value, part) = (
            us(step.value_iterated_to() as f64),
            step.quantile_iterated_to(),
        );
        let _ = match part < 1.0 {
            true => writeln!(
                text,
                "{value:12.3} {part:.12} {count:10} {:14.2}",
                1.0 / (1.0 - part)
            ),
            // There is nothing to divide by at the end.
            false => writeln!(text, "{value:12.3} {part:.12} {count:10}"),
        };
    }
    let (mean, deviation) = (us(histogram.mean()), us(histogram.stdev()));
    let (max, total) = (us(histogram.max() as f64), histogram.len());
    let _ = writeln!(
        text,
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]"
    );
    let _ = writeln!(text, "#[Max     = {max:12.3}, Total count    = {total:12}]");
    text
}

/// All latencies, turn by turn, each tagged with what it is of: a `.hlog` file. Times are
/// of turns alone, as if one followed the other.
pub(super) fn log(records: &[Record], run: &Run) -> io::Result<Vec<u8>> {
    let failed = |error: String| io::Error::other(format!("a log of histograms: {error}"));
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("faultline bench; latencies in nanoseconds")
        .with_start_time(UNIX_EPOCH + Duration::from_secs(run.began))
        .begin_log_with(&mut bytes, &mut serializer)?;
    let mut began = Duration::ZERO;
    for record in records {
        let Record::Sample(sample) = record else {
            continue;
        };
        let took = Duration::from_secs_f64(sample.seconds);
        if let Some(histogram) = latencies(sample) {
            let name = file_name(&sample.workload, &sample.target, sample.threads);
            let tag = Tag::new(&name).ok_or_else(|| failed(format!("no tag: {name}")))?;
            log.write_histogram(&histogram, began, took, Some(tag))
                .map_err(|error| failed(format!("{error:?}")))?;
        }
        began += took;
    }
    Ok(bytes)
}

/// What a cell's files are called.
pub(super) fn file_name(workload: &str, target: &str, threads: u32) -> String {
    format!("{workload}.{target}.{threads}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::turn;

    #[test]
    fn a_distribution_has_the_lines_of_the_plotter() {
        let mut histogram = turn::histogram();
        (1..=1000_u64).for_each(|us| turn::note(&mut histogram, Duration::from_micros(us)));
        let text = distribution(&histogram);
        let words: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            words[0],
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
        );
        assert!(words[1].is_empty());
        let median = words
            .iter()
            .find(|words| words.get(1) == Some(&"0.500000000000"));
        let value: f64 = median.unwrap()[0].parse().unwrap();
        assert!((499.0..502.0).contains(&value), "{median:?}");
        let last = words.iter().rev().find(|words| words.len() == 3).unwrap();
        assert_eq!(last[1..], ["1.000000000000", "1000"]);
        assert!(text.contains("Total count    =         1000"), "{text}");
    }
}
