// SPDX-License-Identifier: GPL-2.0-only
//! `faultline coherence compare`: whether two runs count the same.
//!
//! Phases are matched by workload, target and threads. Of each, the sharing writes per
//! operation agree, and so do those of the module, if they differ by no more than a
//! limit, as a part of the first run's. Differences of less than 0.05 per operation agree
//! always: of a figure that is almost nothing, a single write more is a large part.

mod judge;
mod print;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use faultline_coherence::measured::Run;

use self::judge::{Comparison, judge};
use super::read;
use crate::{EXIT_FAIL, EXIT_PASS, EXIT_USAGE};

/// Options of `faultline coherence compare`.
#[derive(Args, Clone, Debug)]
pub(super) struct Compare {
    /// Run to compare with, as `cargo xtask coherence` wrote it
    #[arg(value_name = "A")]
    before: PathBuf,

    /// Run that may count more or less
    #[arg(value_name = "B")]
    after: PathBuf,

    /// The largest difference that agrees; less than 0.05 per operation agrees always
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    within: f64,

    /// Compare runs that were not made alike, too
    #[arg(long)]
    force: bool,

    /// JSON Lines: a phase each, and then the verdict
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (0.0..=100.0).contains(&percent) {
        true => Ok(percent),
        false => Err("not between 0 and 100".to_owned()),
    }
}

/// Compares and prints. The status is 0 if all phases are in both runs, and agree.
pub(super) fn run(compare: &Compare) -> ExitCode {
    match comparison(compare) {
        Ok(comparison) => {
            let text = match compare.json {
                true => print::json(&comparison),
                false => print::text(&comparison, compare.within),
            };
            print!("{text}");
            ExitCode::from(status(&comparison))
        }
        Err(why) => {
            eprintln!("faultline coherence compare: {why}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn status(comparison: &Comparison) -> u8 {
    match comparison.agrees() {
        true => EXIT_PASS,
        false => EXIT_FAIL,
    }
}

fn comparison(compare: &Compare) -> Result<Comparison, String> {
    let (a, b) = (read(&compare.before)?, read(&compare.after)?);
    let differences = differences(&a.run, &b.run);
    if !differences.is_empty() && !compare.force {
        return Err(format!(
            "these runs were not made alike, so what differs may not be due to what was \
             changed:\n  {}\ncompare them nevertheless with --force",
            differences.join("\n  ")
        ));
    }
    let mut comparison = judge(&a, &b, compare.within / 100.0)?;
    comparison.notes = differences;
    Ok(comparison)
}

/// What has to be the same, and is not.
fn differences(a: &Run, b: &Run) -> Vec<String> {
    let pages = |run: &Run| run.pages.to_string();
    let both = [
        ("kernel", a.kernel.clone(), b.kernel.clone()),
        ("QEMU", a.qemu.clone(), b.qemu.clone()),
        ("pages for each thread", pages(a), pages(b)),
    ];
    let differ = both.into_iter().filter(|(_, a, b)| a != b);
    differ
        .map(|(what, a, b)| format!("{what}: {a} / {b}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::coherence::counted::Counted;
    use crate::coherence::testdata::{counted, lines};

    /// Compares with what `change` makes of the same run.
    fn with(
        name: &str,
        force: bool,
        change: impl FnOnce(&mut Counted),
    ) -> Result<Comparison, String> {
        let dir = std::env::temp_dir();
        let path = |of: &str| dir.join(format!("faultline-{name}-{of}-{}", std::process::id()));
        let compare = Compare {
            before: path("a"),
            after: path("b"),
            within: 5.0,
            force,
            json: false,
        };
        let mut run = counted(&[1, 2]);
        fs::write(&compare.before, lines(&run)).unwrap();
        change(&mut run);
        fs::write(&compare.after, lines(&run)).unwrap();
        let comparison = comparison(&compare);
        fs::remove_file(&compare.before).unwrap();
        fs::remove_file(&compare.after).unwrap();
        comparison
    }

    #[test]
    fn a_run_agrees_with_itself() {
        let same = with("same", false, |_| {}).unwrap();
        assert_eq!(status(&same), EXIT_PASS);
    }

    #[test]
    fn unlike_runs_are_refused_unless_it_is_forced() {
        let change = |run: &mut Counted| {
            run.run.kernel = "7.1.0".to_owned();
            run.run.pages = 512;
            run.run.began += 1000;
        };
        let why = with("refused", false, change).map(|_| ()).unwrap_err();
        assert!(why.contains("/ 7.1.0\n"), "{why}");
        assert!(why.contains("thread: 256 / 512\n"), "{why}");
        assert!(why.contains("--force") && !why.contains("QEMU"), "{why}");
        let forced = with("forced", true, change).unwrap();
        assert_eq!((status(&forced), forced.notes.len()), (EXIT_PASS, 2));
    }

    #[test]
    fn a_phase_that_differs_or_is_missing_fails() {
        let more = |run: &mut Counted| run.phases[1].counted.sharing_writes *= 2;
        assert_eq!(status(&with("more", false, more).unwrap()), EXIT_FAIL);
        let fewer = |run: &mut Counted| drop(run.phases.pop());
        assert_eq!(status(&with("fewer", false, fewer).unwrap()), EXIT_FAIL);
    }
}
