// SPDX-License-Identifier: GPL-2.0-only

//! Rounds in which every peer has its turn at every case.

use serde_json::json;

use super::{
    measure::{deeper, Spread},
    peers::AnyPeer,
    report::{cell, print_table, Report},
};

/// A sample of each round, for each case and peer that has any.
pub(crate) struct Samples {
    cases: Vec<String>,
    peers: Vec<&'static str>,
    /// By case and peer.
    samples: Vec<Vec<Vec<f64>>>,
}

impl Samples {
    /// Takes `rounds` samples of each case and peer. `sample` may be `None`
    /// where a peer cannot do it.
    pub(crate) fn take<C>(
        rounds: usize,
        cases: &[(String, C)],
        peers: &[AnyPeer],
        mut sample: impl FnMut(usize, &C, &AnyPeer) -> Option<f64>,
    ) -> Self {
        let mut samples = vec![vec![Vec::new(); peers.len()]; cases.len()];
        for round in 0..rounds {
            for ((_, case), samples) in cases.iter().zip(&mut samples) {
                for (peer, samples) in peers.iter().zip(samples) {
                    samples.extend(deeper(round, &mut || sample(round, case, peer)));
                }
            }
        }
        Self {
            cases: cases.iter().map(|(name, _)| name.clone()).collect(),
            peers: peers.iter().map(AnyPeer::name).collect(),
            samples,
        }
    }

    /// Those of a case and a peer, both of which there are.
    pub(crate) fn of(&self, case: &str, peer: &str) -> &[f64] {
        let case = self.cases.iter().position(|c| c == case);
        let peer = self.peers.iter().position(|p| *p == peer);
        &self.samples[case.expect("a case")][peer.expect("a peer")]
    }

    pub(crate) fn spread(&self, case: &str, peer: &str) -> Option<Spread> {
        let samples = self.of(case, peer);
        (!samples.is_empty()).then(|| Spread::of(samples))
    }

    /// Prints and records everything, as `section`.
    pub(crate) fn report(&self, report: &mut Report, section: &str, title: &str, unit: &str) {
        let mut rows = Vec::new();
        for peer in &self.peers {
            let mut cells = Vec::new();
            for case in &self.cases {
                let spread = self.spread(case, peer);
                cells.push(cell(spread.as_ref()));
                if let Some(spread) = &spread {
                    report.record(section, json!({ "case": case, "peer": peer }), unit, spread);
                }
            }
            rows.push(((*peer).to_owned(), cells));
        }
        print_table(&format!("{title} [{unit}]"), &self.cases, rows);
    }
}
