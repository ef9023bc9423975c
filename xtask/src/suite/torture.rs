// SPDX-License-Identifier: GPL-2.0-only
//! Torture of the range lock in the VM, and of one that is wrong on purpose.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;

use super::{Suite, guest};
use crate::ctx::Ctx;
use crate::host::needs::Scope;
use crate::kernel::Flavour;
use crate::ktap::Status;
use crate::module::{TORTURE, Variant};
use crate::vm::outcome::Outcome;
use crate::{exit, fsx, pipeline, say};

/// Loads the module $1 with the parameters that follow, waits for the end of
/// the test, and prints how it went. It must not go while its file is open.
const SCRIPT: &str = r#"
result=/sys/kernel/debug/faultline_torture/result
insmod "$@" || exit
exec 3<$result
rmmod faultline_torture 2>/dev/null && exit 1
exec 3<&-
while sleep 1; do
    read -r verdict <$result || exit
    [ "$verdict" = RUNNING ] || break
done
cat $result
rmmod faultline_torture
"#;

/// A test.
struct Torture {
    name: &'static str,
    flavour: Flavour,
    kind: &'static str,
    seconds: u64,
    /// What has to be found.
    verdict: &'static str,
}

const ALL: [Torture; 2] = [
    Torture {
        name: "vm.torture.range_lock",
        flavour: Flavour::Debug,
        kind: "range_lock",
        seconds: 30,
        verdict: "SUCCESS",
    },
    Torture {
        name: "vm.torture.busted",
        flavour: Flavour::Base,
        kind: "busted",
        seconds: 5,
        verdict: "FAILURE",
    },
];

/// The lock must stand it, and the busted one must be found out.
pub(crate) fn run(suite: &mut Suite<'_>) -> Result<()> {
    ALL.iter()
        .try_for_each(|torture| suite.case(torture.name, |ctx| torture.run(ctx)))
}

impl Torture {
    fn run(&self, ctx: &Ctx) -> Result<Status> {
        if ctx.global.kdir.is_some() && self.flavour == Flavour::Debug {
            return Ok(Status::Skip("--kdir gives one kernel only".into()));
        }
        let built = pipeline::build(ctx, Scope::ALL, self.flavour, &[Variant::Plain])?;
        let outcome = guest::boot(ctx, &built, self.name, self.argv(), |spec| {
            spec.load = None;
            spec.run_limit = Some(Duration::from_secs(self.seconds + 120));
        })?;
        self.status(&outcome)
    }

    fn argv(&self) -> Vec<OsString> {
        let module = format!("/{TORTURE}");
        let kind = format!("torture_type={}", self.kind);
        let duration = format!("duration={}", self.seconds);
        ["sh", "-c", SCRIPT, "sh", &module, &kind, &duration]
            .map(OsString::from)
            .to_vec()
    }

    fn status(&self, outcome: &Outcome) -> Result<Status> {
        let mut reasons = outcome.verdict().reasons;
        if let Some(status) = outcome.progress.exit.filter(|s| *s != exit::PASS) {
            reasons.push(format!("loading or unloading ended with status {status}"));
        }
        let output = fsx::read(&outcome.dir.output())?;
        let found = output.lines().next().unwrap_or("nothing");
        if found != self.verdict {
            reasons.push(format!("wanted {}, got {found}", self.verdict));
        }
        if let Some(count) = idle(&output) {
            reasons.push(format!("a test that did nothing: {count}"));
        }
        if reasons.is_empty() {
            let counts: Vec<&str> = output.lines().skip(1).collect();
            say!("{}: {found}, {}", self.name, counts.join(", "));
            return Ok(Status::Pass);
        }
        let place = outcome.dir.path().display();
        Ok(Status::Fail(format!("{}\nsee {place}", reasons.join("\n"))))
    }
}

/// A count of requests that is zero: granted, missed or killed, each has to occur.
fn idle(output: &str) -> Option<&str> {
    let mut counts = output.lines().filter(|line| {
        let request = line.starts_with("writes") || line.starts_with("reads");
        request && line.ends_with(" 0")
    });
    counts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_did_nothing_is_none() {
        let good = "SUCCESS\nerrors 0\nwrites 10\nwrites_killed 1\nreads 20\n";
        assert_eq!(idle(good), None);
        assert_eq!(idle("SUCCESS\nwrites 9\nreads 0\n"), Some("reads 0"));
    }
}
