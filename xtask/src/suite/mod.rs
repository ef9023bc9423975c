// SPDX-License-Identifier: GPL-2.0-only
//! The whole test suite: what belongs to it, and the summary.

pub(crate) mod busted;
mod c;
pub(crate) mod coherence;
pub(crate) mod e2e;
pub(crate) mod guest;
pub(crate) mod host;
mod lanes;
pub(crate) mod stages;
pub(crate) mod torture;

use std::time::{Duration, Instant};

use anyhow::Result;
use comfy_table::{Table, presets};

use crate::ctx::Ctx;
use crate::ktap::Status;
use crate::step::seconds;
use crate::{exit, say, signal};

/// A test that has run.
#[derive(Debug)]
struct Case {
    name: String,
    status: Status,
    took: Option<Duration>,
}

/// The tests asked for, and their results so far.
pub(crate) struct Suite<'a> {
    /// The surroundings.
    pub(crate) ctx: &'a Ctx,
    filter: &'a str,
    cases: Vec<Case>,
}

impl<'a> Suite<'a> {
    /// Tests whose full name contains `filter`.
    pub(crate) fn new(ctx: &'a Ctx, filter: &'a str) -> Self {
        Self {
            ctx,
            filter,
            cases: Vec::new(),
        }
    }

    /// Whether a test was asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        name.contains(self.filter)
    }

    /// Whether any of these tests was asked for.
    pub(crate) fn wants_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.wants(name))
    }

    /// Runs a test if it was asked for. Only a signal is an error.
    pub(crate) fn case(
        &mut self,
        name: &str,
        body: impl FnOnce(&Ctx) -> Result<Status>,
    ) -> Result<()> {
        if !self.wants(name) {
            return Ok(());
        }
        say!("{name} ...");
        let start = Instant::now();
        let status = body(self.ctx).unwrap_or_else(|error| Status::Fail(format!("{error:#}")));
        signal::check()?;
        self.record(name, status, Some(start.elapsed()));
        Ok(())
    }

    /// Takes in a result that was had in some other way.
    pub(crate) fn record(&mut self, name: &str, status: Status, took: Option<Duration>) {
        if self.wants(name) {
            self.put(name, status, took);
        }
    }

    fn put(&mut self, name: &str, status: Status, took: Option<Duration>) {
        let time = took
            .map(|t| format!(" ({})", seconds(t)))
            .unwrap_or_default();
        match &status {
            Status::Pass => println!("ok {name}{time}"),
            Status::Skip(why) => println!("ok {name} # SKIP {why}"),
            Status::Fail(why) => println!("not ok {name}{time}\n{}", comment(why)),
        }
        self.cases.push(Case {
            name: name.to_owned(),
            status,
            took,
        });
    }

    /// Takes in a failure of tests that are not known one by one, whatever was asked for.
    pub(crate) fn must_fail(&mut self, name: &str, status: Status) {
        self.put(name, status, None);
    }

    /// Prints the summary, its last line the counts; the process's status.
    pub(crate) fn finish(&self, took: Duration) -> u8 {
        let count =
            |what: fn(&Status) -> bool| self.cases.iter().filter(|c| what(&c.status)).count();
        let passed = count(|s| matches!(s, Status::Pass));
        let failed = count(|s| matches!(s, Status::Fail(_)));
        let skipped = count(|s| matches!(s, Status::Skip(_)));
        println!("\n{}\ntotal: {}", self.table(), seconds(took));
        println!("{}", totals(passed, failed, skipped));
        match (passed, failed) {
            (0, 0) => exit::SKIP,
            (_, 0) => exit::PASS,
            _ => exit::FAIL,
        }
    }

    /// Whether no test has run.
    pub(crate) fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Failures and skips by name; what passed only by group.
    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["result", "test", "time"]);
        let mut done: Vec<&str> = Vec::new();
        for case in &self.cases {
            let group = group(&case.name);
            let (word, name) = match &case.status {
                Status::Fail(_) => ("FAIL".to_owned(), case.name.as_str()),
                Status::Skip(_) => ("skip".to_owned(), case.name.as_str()),
                Status::Pass if done.contains(&group) => continue,
                Status::Pass => {
                    done.push(group);
                    (format!("{} passed", self.passed_in(group)), group)
                }
            };
            let time = match case.status {
                Status::Pass => self.time_of(group),
                _ => case.took,
            };
            table.add_row([word, name.to_owned(), time.map(seconds).unwrap_or_default()]);
        }
        table
    }

    fn passed_in(&self, name: &str) -> usize {
        let passed = |c: &&Case| group(&c.name) == name && c.status == Status::Pass;
        self.cases.iter().filter(passed).count()
    }

    /// Nothing where the tests ran in one boot and have no times of their own.
    fn time_of(&self, name: &str) -> Option<Duration> {
        let cases = self.cases.iter().filter(|c| group(&c.name) == name);
        cases.filter_map(|c| c.took).reduce(|sum, took| sum + took)
    }
}

/// "7 passed, 0 failed", and skipped ones if there are any.
fn totals(passed: usize, failed: usize, skipped: usize) -> String {
    match skipped {
        0 => format!("{passed} passed, {failed} failed"),
        n => format!("{passed} passed, {failed} failed, {n} skipped"),
    }
}

/// A name without its last part.
fn group(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(group, _)| group)
}

fn comment(text: &str) -> String {
    text.lines()
        .map(|l| format!("# {l}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts() {
        assert_eq!(totals(7, 0, 0), "7 passed, 0 failed");
        assert_eq!(totals(7, 1, 2), "7 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn groups_are_all_but_the_last_part() {
        assert_eq!(group("vm.base.fault.zero"), "vm.base.fault");
        assert_eq!(group("host.fmt"), "host");
    }
}
