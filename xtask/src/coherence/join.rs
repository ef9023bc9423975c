// SPDX-License-Identifier: GPL-2.0-only
//! What the plugin counted, put together with what the guest says it has done and what
//! its addresses are.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use faultline_coherence::measured::{Code, Hot, Kind, Measured, Owned, Owner, Share};
use faultline_coherence::report::{Phase, Record, SharedLine, VERSION};
use faultline_coherence::shared::is_kernel;
use serde::Deserialize;

use super::lines::Lines;
use super::objects::{self, Object};
use super::symbols::Symbols;

/// The module whose share is told apart.
const MODULE: &str = "faultline";
/// Lines of a phase that are named.
const HOTTEST: usize = 10;
/// Places in code that are named with each.
const PLACES: usize = 6;

/// What `faultline coherence` prints of a phase.
#[derive(Clone, Debug, Deserialize)]
struct Done {
    phase: u32,
    workload: String,
    unit: String,
    target: String,
    threads: u32,
    operations: u64,
    sleeps: u64,
    #[serde(default)]
    objects: Vec<Object>,
}

/// What was written down of one boot.
pub(crate) struct Taken {
    phases: Vec<(Done, Phase, Vec<SharedLine>)>,
    symbols: Symbols,
}

impl Taken {
    /// Reads it. An error says what does not fit.
    pub(crate) fn read(guest: &str, plugin: &str, symbols: Symbols) -> Result<Taken> {
        let mut counted = counted(plugin)?;
        let phase = |line: &str| {
            let done: Done =
                serde_json::from_str(line).with_context(|| format!("of the guest: {line}"))?;
            let (phase, lines) = counted
                .remove(&done.phase)
                .with_context(|| format!("the plugin has not seen phase {}", done.phase))?;
            Ok((done, phase, lines))
        };
        let phases = guest.lines().map(phase).collect::<Result<_>>()?;
        Ok(Taken { phases, symbols })
    }

    /// Instructions of the module, for which there may be lines of source.
    pub(crate) fn instructions(&self) -> Vec<u64> {
        let lines = self.phases.iter().flat_map(|(_, _, lines)| lines);
        let sites = lines.flat_map(|line| line.sites.iter().map(|site| site.0));
        let mut all: Vec<u64> = sites.filter(|&code| self.is_of_module(code)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// All phases in order, with their addresses named.
    pub(crate) fn measured(&self, source: &Lines) -> Vec<Measured> {
        let name = |(done, phase, lines): &(Done, Phase, Vec<SharedLine>)| {
            let names = Names {
                taken: self,
                source,
                objects: &done.objects,
            };
            names.measured(done, phase, lines)
        };
        self.phases.iter().map(name).collect()
    }

    fn is_of_module(&self, code: u64) -> bool {
        self.symbols.is_in(code, MODULE)
    }
}

/// The plugin's records by phase.
fn counted(plugin: &str) -> Result<BTreeMap<u32, (Phase, Vec<SharedLine>)>> {
    let mut phases: BTreeMap<u32, (Phase, Vec<SharedLine>)> = BTreeMap::new();
    for (at, line) in plugin.lines().enumerate() {
        let record = serde_json::from_str(line)
            .with_context(|| format!("line {} of the plugin's records", at + 1))?;
        match record {
            Record::Plugin { version, .. } => ensure!(
                version == VERSION,
                "the plugin writes records of version {version}, and {VERSION} is read"
            ),
            Record::Phase(phase) => drop(phases.insert(phase.number, (phase, Vec::new()))),
            Record::Line(line) => {
                let phase = phases.get_mut(&line.phase);
                phase.context("a line of no phase")?.1.push(line);
            }
        }
    }
    Ok(phases)
}

/// What addresses of one phase are called.
struct Names<'a> {
    taken: &'a Taken,
    source: &'a Lines,
    objects: &'a [Object],
}

impl Names<'_> {
    fn measured(&self, done: &Done, phase: &Phase, lines: &[SharedLine]) -> Measured {
        let of_module: Vec<_> = lines
            .iter()
            .map(|line| (line, self.share(line)))
            .filter(|(_, share)| share.writes != 0)
            .collect();
        let mut module = Share::default();
        for (_, share) in &of_module {
            module.by_code += share.by_code;
            module.to_data += share.to_data;
            module.writes += share.writes;
            module.lines += 1;
        }
        let hot = |line| self.hot(line);
        Measured {
            workload: done.workload.clone(),
            unit: done.unit.clone(),
            target: done.target.clone(),
            threads: done.threads,
            operations: done.operations,
            sleeps: done.sleeps,
            rounds: vec![phase.sharing_writes],
            counted: phase.clone(),
            module,
            hottest: lines.iter().take(HOTTEST).map(hot).collect(),
            of_module: of_module
                .into_iter()
                .take(HOTTEST)
                .map(|(line, _)| self.hot(line))
                .collect(),
            owners: self.owners(lines),
        }
    }

    /// Whose the lines are, the most written first.
    fn owners(&self, lines: &[SharedLine]) -> Vec<Owned> {
        let mut owners: Vec<Owned> = Vec::new();
        for line in lines {
            let owner = self.owner(line);
            let known = owners.iter().position(|owned| owned.owner == owner);
            let at = known.unwrap_or_else(|| {
                owners.push(Owned {
                    owner,
                    ..Owned::default()
                });
                owners.len() - 1
            });
            let owned = &mut owners[at];
            owned.lines += 1;
            owned.writes += u64::from(line.writes);
            owned.transfers += u64::from(line.transfers);
        }
        owners.sort_by_key(|owned| std::cmp::Reverse((owned.writes, owned.lines)));
        owners
    }

    /// The module's share of a line.
    fn share(&self, line: &SharedLine) -> Share {
        let by_module = |site: &&(u64, u32, u32, u32)| self.taken.is_of_module(site.0);
        let of_module = line.sites.iter().filter(by_module);
        let by_code: u64 = of_module.map(|site| u64::from(site.1)).sum();
        let is_of_module = self.owner(line).kind == Kind::Module;
        let to_data = if is_of_module { line.writes.into() } else { 0 };
        Share {
            by_code,
            to_data,
            writes: by_code.max(to_data),
            lines: 1,
        }
    }

    fn hot(&self, line: &SharedLine) -> Hot {
        Hot {
            physical: line.physical,
            address: line.address,
            cpus: line.cpus,
            writers: line.writers,
            writes: line.writes.into(),
            atomics: line.atomics.into(),
            transfers: line.transfers.into(),
            is_truly_shared: line.common != 0,
            owner: self.owner(line),
            code: self.code(line),
        }
    }

    /// The module knows its objects best, then the kernel its variables.
    fn owner(&self, line: &SharedLine) -> Owner {
        let owner = |kind, name: &str| Owner {
            kind,
            name: name.to_owned(),
        };
        let Some(address) = line.address else {
            return Owner::default();
        };
        if let Some(object) = objects::at(self.objects, address) {
            return owner(Kind::Module, object);
        }
        let of_cpu = line.variable.and_then(|at| self.taken.symbols.at(at));
        if let Some(symbol) = of_cpu {
            return owner(Kind::PerCpu, &symbol.name);
        }
        match self.taken.symbols.at(address) {
            Some(symbol) if symbol.module.as_deref() == Some(MODULE) => {
                owner(Kind::Module, &symbol.name)
            }
            Some(symbol) => owner(Kind::Symbol, &symbol.name),
            None if !is_kernel(address) => owner(Kind::User, &line.owner.name),
            None => line.owner.clone(),
        }
    }

    /// The places that accessed a line, the most writing first.
    fn code(&self, line: &SharedLine) -> Vec<Code> {
        let mut places: Vec<Code> = Vec::new();
        for &(address, writes, reads, transfers) in &line.sites {
            let symbol = self.taken.symbols.at(address);
            let function = match symbol {
                Some(symbol) => symbol.name.clone(),
                // The plugin tells so many instructions of a line apart.
                None if address == 0 => "all others".into(),
                None if !is_kernel(address) => "the program".into(),
                None => String::new(),
            };
            let line = self.source.at(address).map(str::to_owned);
            let same = |place: &&mut Code| place.function == function && place.line == line;
            let known = places.iter_mut().find(same);
            let place = match known {
                Some(place) => place,
                None => {
                    places.push(Code {
                        function,
                        module: symbol.and_then(|symbol| symbol.module.clone()),
                        line,
                        ..Code::default()
                    });
                    places.last_mut().expect("just pushed")
                }
            };
            place.writes += u64::from(writes);
            place.reads += u64::from(reads);
            place.transfers += u64::from(transfers);
        }
        places.sort_by_key(|place| std::cmp::Reverse((place.writes, place.reads)));
        places.truncate(PLACES);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: &str = r#"{"phase":1,"workload":"pft","unit":"fault","target":"range","threads":2,"operations":4,"sleeps":0,"objects":[{"space":1,"object":"Leaf","address":12288,"bytes":64}]}"#;
    const SYMBOLS: &str = "1000 t bump\t[faultline]\n1100 T other\n2000 D counter\n2040 D end\n";

    fn line(address: u64, sites: Vec<(u64, u32, u32, u32)>) -> SharedLine {
        SharedLine {
            phase: 1,
            address: Some(address),
            writes: sites.iter().map(|site| site.1).sum(),
            sites,
            ..SharedLine::default()
        }
    }

    fn measured() -> Measured {
        let phase = Phase {
            number: 1,
            sharing_writes: 13,
            ..Phase::default()
        };
        let sites = vec![(0x1000, 6, 0, 1), (0x1100, 1, 0, 0), (0x1104, 1, 0, 0)];
        let records = [
            Record::Phase(phase),
            Record::Line(line(0x2000, sites)),
            Record::Line(line(0x3000, vec![(0x1100, 5, 0, 0)])),
        ];
        let text = |record| serde_json::to_string(record).unwrap() + "\n";
        let plugin: String = records.iter().map(text).collect();
        let taken = Taken::read(GUEST, &plugin, Symbols::parse(SYMBOLS)).unwrap();
        assert_eq!(taken.instructions(), [0x1000]);
        taken.measured(&Lines::default()).remove(0)
    }

    #[test]
    fn the_modules_part_is_what_it_writes_and_what_is_its_own() {
        let measured = measured();
        let expected = Share {
            by_code: 6,
            to_data: 5,
            writes: 11,
            lines: 2,
        };
        assert_eq!(measured.module, expected);
        assert_eq!(measured.of_module.len(), 2);
        let owners = measured.owners.iter();
        let owners = owners.map(|owned| (&*owned.owner.name, owned.lines, owned.writes));
        assert_eq!(
            owners.collect::<Vec<_>>(),
            [("counter", 1, 8), ("Leaf", 1, 5)]
        );
    }

    #[test]
    fn a_hot_line_has_an_owner_and_its_places_in_code() {
        let measured = measured();
        let [counter, leaf] = &measured.hottest[..] else {
            panic!("two lines");
        };
        assert_eq!(
            (counter.owner.kind, &*counter.owner.name),
            (Kind::Symbol, "counter")
        );
        assert_eq!((leaf.owner.kind, &*leaf.owner.name), (Kind::Module, "Leaf"));
        let places = counter
            .code
            .iter()
            .map(|place| (&*place.function, place.writes));
        assert_eq!(places.collect::<Vec<_>>(), [("bump", 6), ("other", 2)]);
        assert!(!counter.is_truly_shared);
    }

    #[test]
    fn a_phase_that_one_side_has_not_seen_is_an_error() {
        let error = Taken::read(GUEST, "", Symbols::default()).err().unwrap();
        assert!(error.to_string().contains("not seen phase 1"));
    }
}
