// SPDX-License-Identifier: GPL-2.0-only
//! A measured phase: which lines were accessed in it, and what came of them.
//!
//! Who may race: the vCPUs, each a thread of QEMU, call [`Phases::access`]; any of
//! them may begin or end a phase, one at a time. A phase is over for all once `active` is clear and
//! every vCPU has been seen outside of an access: `busy` and `active` are a
//! store-buffering pair, both sides sequentially consistent. So no access is counted
//! in a phase that it did not begin in, and the one that ends it is alone with the
//! collection behind that.

use std::collections::HashMap;
use std::hint;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

use crate::context::{Nesting, Step};
use crate::line::{Bytes, Kind, LINE, Line, MAX_CPUS};
use crate::shared::{Shared, is_kernel};
use crate::table::{EARLY, Entry, Table};

/// Parts of the collection, so that vCPUs seldom meet.
const SHARDS: usize = 256;
/// Lines of a shard whose details are kept.
const DETAILED: usize = 4096;

/// One access to memory.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The vCPU.
    pub cpu: u32,
    /// What it does.
    pub kind: Kind,
    /// Address of the instruction.
    pub code: u64,
    /// Where, as the instruction says it.
    pub address: u64,
    /// Where, in the guest's memory.
    pub physical: u64,
    /// How many bytes.
    pub size: u64,
    /// The instruction repeats (`rep movs`, `rep stos`): a step of it that goes on in the
    /// line of the step before is no further access.
    pub repeats: bool,
}

/// Accesses of one vCPU, of the kernel and of user code.
#[derive(Default)]
#[repr(align(128))]
struct Vcpu {
    busy: AtomicBool,
    /// By kind, then kernel and user.
    counts: [[AtomicU64; 2]; 3],
    /// Accesses of interrupts.
    interrupts: AtomicU64,
    /// A [`Nesting`], less one.
    nesting: AtomicU64,
    /// Where its last repeated read and write ended, and of which instruction.
    steps: [[AtomicU64; 2]; 2],
}

impl Vcpu {
    /// Whether an access only goes on with the line of the one before.
    fn goes_on(&self, access: &Access) -> bool {
        let [code, end] = &self.steps[usize::from(access.kind.writes())];
        // Relaxed: its own vCPU's only.
        let same = code.load(Relaxed) == access.code && end.load(Relaxed) == access.physical;
        code.store(if access.repeats { access.code } else { 0 }, Relaxed);
        end.store(access.physical + access.size, Relaxed);
        access.repeats && same && access.physical % LINE != 0
    }

    fn nesting(&self) -> Nesting {
        // Relaxed: its own vCPU's only.
        Nesting(self.nesting.load(Relaxed) + Nesting::NONE.0)
    }
}

#[derive(Default)]
struct Shard {
    touched: Vec<u64>,
    shared: HashMap<u64, Shared>,
    /// Shared lines without details.
    undetailed: u64,
}

/// What came of a phase.
#[derive(Debug, Default)]
pub struct Collected {
    /// Number of the phase, from 1.
    pub number: u32,
    /// Loads, stores and atomic instructions, each of the kernel and of user code.
    pub counts: [[u64; 2]; 3],
    /// Accesses of interrupts, which are in none of the other figures.
    pub interrupts: u64,
    /// Lines that were accessed.
    pub lines: u64,
    /// How often any of them moved.
    pub transfers: u64,
    /// Shared lines with their number and details, if these were kept.
    pub shared: Vec<(u64, Line, Option<Shared>)>,
}

/// The phases of a run.
pub struct Phases {
    table: Table,
    active: AtomicBool,
    epoch: AtomicU32,
    vcpus: Vec<Vcpu>,
    shards: Vec<Mutex<Shard>>,
    /// Held by who begins or ends a phase.
    control: Mutex<()>,
    /// Accesses beyond the table.
    pub beyond: AtomicU64,
}

impl Phases {
    /// For a guest with physical addresses up to `bytes`.
    pub fn new(bytes: u64) -> io::Result<Phases> {
        Ok(Phases {
            table: Table::new(bytes)?,
            active: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            vcpus: (0..MAX_CPUS).map(|_| Vcpu::default()).collect(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            control: Mutex::default(),
            beyond: AtomicU64::new(0),
        })
    }

    /// Whether accesses count now: a hint that costs nothing.
    pub fn is_active(&self) -> bool {
        // Relaxed: `access` looks again.
        self.active.load(Relaxed)
    }

    /// Begins a phase, and drops what there is of one that was not ended.
    pub fn begin(&self) {
        let _alone = self.control.lock().expect("no panic");
        self.stop();
        for shard in &self.shards {
            *shard.lock().expect("no panic") = Shard::default();
        }
        for vcpu in &self.vcpus {
            let counts = vcpu.counts.iter().flatten();
            for count in counts.chain([&vcpu.interrupts]) {
                count.store(0, Relaxed);
            }
        }
        self.epoch.fetch_add(1, SeqCst);
        self.active.store(true, SeqCst);
    }

    /// Ends the phase; none if there is none.
    pub fn end(&self) -> Option<Collected> {
        let _alone = self.control.lock().expect("no panic");
        if !self.stop() {
            return None;
        }
        let mut collected = Collected {
            number: self.epoch.load(SeqCst),
            ..Collected::default()
        };
        for vcpu in &self.vcpus {
            collected.interrupts += vcpu.interrupts.load(Relaxed);
            for (sum, count) in collected.counts.iter_mut().zip(&vcpu.counts) {
                for (sum, count) in sum.iter_mut().zip(count) {
                    *sum += count.load(Relaxed);
                }
            }
        }
        for shard in &self.shards {
            let mut shard = std::mem::take(&mut *shard.lock().expect("no panic"));
            collected.lines += shard.touched.len() as u64;
            for number in shard.touched {
                let line = self.table.with(number, |entry| entry.line);
                collected.transfers += u64::from(line.transfers);
                if line.is_shared() {
                    let details = shard.shared.remove(&number);
                    collected.shared.push((number, line, details));
                }
            }
        }
        collected
            .shared
            .sort_by_key(|(number, line, _)| (u32::MAX - line.writes, *number));
        Some(collected)
    }

    /// Notes an access, if a phase is on.
    pub fn access(&self, access: Access) {
        let Some(vcpu) = self.vcpus.get(access.cpu as usize) else {
            self.beyond.fetch_add(1, Relaxed);
            return;
        };
        vcpu.busy.store(true, SeqCst);
        if self.active.load(SeqCst) {
            if !is_kernel(access.code) {
                // Whatever was lost track of when an interrupt switched to another task.
                vcpu.nesting.store(0, Relaxed);
            }
            let in_interrupt = vcpu.nesting().in_interrupt();
            let goes_on = vcpu.goes_on(&access);
            let count = match in_interrupt {
                true => &vcpu.interrupts,
                false => &vcpu.counts[access.kind as usize][usize::from(!is_kernel(access.code))],
            };
            // Relaxed: only this vCPU writes it, and who reads it waits for `busy`.
            count.store(count.load(Relaxed) + u64::from(!goes_on), Relaxed);
            if !in_interrupt {
                self.note(access, goes_on);
            }
        }
        vcpu.busy.store(false, SeqCst);
    }

    /// Notes that a vCPU has entered the kernel, or has left it.
    pub fn enter(&self, cpu: u32, step: Step) {
        if let Some(vcpu) = self.vcpus.get(cpu as usize) {
            let nesting = vcpu.nesting().after(step);
            vcpu.nesting.store(nesting.0 - Nesting::NONE.0, Relaxed);
        }
    }

    fn note(&self, access: Access, goes_on: bool) {
        let first = access.physical % LINE;
        let here = access.size.min(LINE - first);
        self.note_line(access, access.physical / LINE, mask(first, here), goes_on);
        // What is beyond the end of the page may be anywhere: left out.
        let rest = access.size - here;
        if rest > 0 && (access.physical + here) % 4096 != 0 {
            self.note_line(access, access.physical / LINE + 1, mask(0, rest), false);
        }
    }

    fn note_line(&self, access: Access, number: u64, bytes: Bytes, goes_on: bool) {
        if !self.table.has(number) {
            self.beyond.fetch_add(1, Relaxed);
            return;
        }
        let epoch = self.epoch.load(Relaxed);
        let shard = &self.shards[(number ^ number >> 8) as usize % SHARDS];
        self.table.with(number, |entry| {
            if entry.epoch != epoch {
                *entry = Entry {
                    epoch,
                    ..Entry::default()
                };
                shard.lock().expect("no panic").touched.push(number);
            }
            let before = entry.line;
            // A phase may begin in the midst of it.
            let goes_on = goes_on && before.accessed >> access.cpu & 1 != 0;
            let moved = match goes_on {
                true => {
                    entry.line.extend(access.kind, bytes);
                    false
                }
                false => entry.line.access(access.cpu, access.kind, bytes),
            };
            let update = |site: &mut crate::table::Site| {
                if goes_on {
                    return;
                }
                site.writes += u32::from(access.kind.writes());
                site.reads += u32::from(!access.kind.writes());
                site.transfers += u32::from(moved);
            };
            if entry.line.is_private() {
                let early = &mut entry.early;
                let at = (0..EARLY).find(|&i| early[i].code == access.code || early[i].code == 0);
                match at {
                    Some(at) => {
                        early[at].code = access.code;
                        update(&mut early[at]);
                    }
                    None => update(&mut entry.early_others),
                }
                return;
            }
            let mut shard = shard.lock().expect("no panic");
            let shard = &mut *shard;
            if !shard.shared.contains_key(&number) {
                if shard.shared.len() >= DETAILED {
                    shard.undetailed += 1;
                    return;
                }
                let first = before.accessed.trailing_zeros();
                let new = Shared::new(
                    first,
                    before.bytes,
                    access.address,
                    &entry.early,
                    entry.early_others,
                );
                shard.shared.insert(number, new);
            }
            let shared = shard.shared.get_mut(&number).expect("there is one");
            update(shared.access(access.cpu, access.code, bytes, access.address));
        });
    }

    /// Ends all accesses; whether a phase was on.
    fn stop(&self) -> bool {
        let was = self.active.swap(false, SeqCst);
        for vcpu in &self.vcpus {
            while vcpu.busy.load(SeqCst) {
                hint::spin_loop();
            }
        }
        was
    }
}

/// `count` bytes from `first` on.
fn mask(first: u64, count: u64) -> Bytes {
    match count {
        64.. => Bytes::MAX,
        _ => ((1 << count) - 1) << first,
    }
}

#[cfg(test)]
mod tests;
